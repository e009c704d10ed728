import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from core.rpc.admission import Admission
from core.rules.errors import Overloaded
from tests.support.waiting import wait_until

BOUND = 20.0


class Calls:
    """Calls that run until they are told to end."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.running: list[str] = []
        self._threads = ThreadPoolExecutor(40)
        self._ends: dict[str, threading.Event] = {}

    def start(self, name: str, caller: str, method: str = "any", bound: float = BOUND) -> "Future[None]":
        self._ends[name] = threading.Event()
        return self._threads.submit(self._run, name, caller, method, bound)

    def end(self, name: str) -> None:
        self._ends[name].set()
        wait_until(lambda: name not in self.running)

    def wait_for(self, *names: str) -> None:
        wait_until(lambda: sorted(self.running) == sorted(names))

    def wait_waiting(self, count: int) -> None:
        wait_until(lambda: len(self.admission._waiting) == count)

    def close(self) -> None:
        for end in self._ends.values():
            end.set()
        self._threads.shutdown()

    def _run(self, name: str, caller: str, method: str, bound: float) -> None:
        with self.admission.place(caller, method, bound):
            self.running.append(name)
            assert self._ends[name].wait(BOUND)
            self.running.remove(name)


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Four places, of which one caller may have three; a waiting room for four."""
    with ExitStack() as open_calls:
        calls = Calls(Admission(4, 4))
        open_calls.callback(calls.close)
        yield calls


def test_one_caller_never_has_every_place(calls: Calls) -> None:
    for number in range(5):
        calls.start(f"flood {number}", "flood", f"method {number}")
    calls.wait_waiting(2)
    assert len(calls.running) == 3

    calls.start("shop", "shop", "another")
    wait_until(lambda: "shop" in calls.running)


def test_one_method_never_has_every_place(calls: Calls) -> None:
    for number in range(5):
        calls.start(f"list {number}", f"caller {number}", "List")
    calls.wait_waiting(2)
    assert len(calls.running) == 3

    calls.start("report", "shop", "Report")
    wait_until(lambda: "report" in calls.running)


def test_who_has_fewest_running_goes_first(calls: Calls) -> None:
    for name in ("a1", "a2", "a3"):
        calls.start(name, "a", name)
    wait_until(lambda: len(calls.running) == 3)
    calls.start("b1", "b", "b1")
    wait_until(lambda: len(calls.running) == 4)
    calls.start("a4", "a", "a4")
    calls.wait_waiting(1)
    calls.start("c1", "c", "c1")
    calls.wait_waiting(2)

    calls.end("a1")

    wait_until(lambda: "c1" in calls.running)
    assert "a4" not in calls.running


def test_a_full_waiting_room_refuses_the_newest_of_whoever_waits_most(calls: Calls) -> None:
    flood = [calls.start(f"flood {number}", "flood", f"method {number}") for number in range(7)]
    calls.wait_waiting(4)
    with pytest.raises(Overloaded):
        calls.start("one more", "flood").result(BOUND)

    calls.start("shop 1", "shop", "x")
    wait_until(lambda: "shop 1" in calls.running)
    calls.start("shop 2", "shop", "y")
    wait_until(lambda: any(call.done() for call in flood))

    (refused,) = [call for call in flood if call.done()]
    assert isinstance(refused.exception(), Overloaded)
    assert [waiter.caller for waiter in calls.admission._waiting] == ["flood", "flood", "flood", "shop"]


def test_a_wait_is_bounded_and_leaves_nothing_behind(calls: Calls) -> None:
    for number in range(3):
        calls.start(f"flood {number}", "flood", f"method {number}")
    wait_until(lambda: len(calls.running) == 3)

    with pytest.raises(Overloaded):
        calls.start("late", "flood", bound=0.01).result(BOUND)
    assert calls.admission._waiting == []


def test_a_server_with_one_worker_serves() -> None:
    admission = Admission(1, 1)
    with admission.place("a", "m", BOUND):
        pass
    with admission.place("a", "m", BOUND):
        assert admission._running == 1
    assert (admission._running, admission._of_caller, admission._of_method) == (0, {}, {})


def test_a_call_that_raises_gives_its_place_back() -> None:
    admission = Admission(1, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.place("a", "m", BOUND):
            raise ZeroDivisionError
    assert admission._running == 0
