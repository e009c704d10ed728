from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from cli.demo.accident import VISIBLE_SECONDS, Accident
from cli.demo.board import Board
from cli.demo.orders import DemoOrder
from cli.demo.victim import Victim
from cli.processes import DidNotServe
from tests.support.clock import TestClock


class FakeChild:
    def __init__(self) -> None:
        self.is_serving = True
        self.has_ended = False

    def kill(self) -> None:
        self.is_serving, self.has_ended = False, True

    def serves(self, within: float) -> bool:
        return self.is_serving


class FakeFleet:
    def __init__(self) -> None:
        self.child = FakeChild()
        self.started: list[str] = []

    def __getitem__(self, name: str) -> FakeChild:
        assert name == "order-server"
        return self.child

    def start(self, name: str) -> None:
        self.started.append(name)
        self.child.has_ended = False


@pytest.fixture
def fleet() -> Any:
    return FakeFleet()


def happened(accident: Accident) -> Iterator[str]:
    """What happens in as many steps as one likes to make."""
    for _ in range(5):
        said = accident.step()
        if said:
            yield said


def test_the_victim_is_killed_by_the_report_that_was_chosen_and_by_no_other(fleet: Any, clock: TestClock) -> None:
    accident = Accident(fleet, Board(), clock, Victim.ORDER_SERVER, 2)
    ends = []
    for number in (1, 2, 3):
        accident.after_report(number)
        ends.append(fleet.child.has_ended)
        fleet.child.has_ended = False
    assert ends == [False, True, False]


def test_it_stays_away_for_a_visible_moment_then_is_started_and_heals_when_the_last_payment_arrives(
    fleet: Any, clock: TestClock
) -> None:
    board = Board()
    for number in (1, 2):
        board.settle(DemoOrder(f"A-{number}", 100, 1))
    accident = Accident(fleet, board, clock, Victim.ORDER_SERVER, 2, "; wait")
    accident.after_report(2)
    assert list(happened(accident)) == ["order-server killed (SIGKILL) right after report 2 was answered"]
    assert fleet.started == []

    clock.advance(timedelta(seconds=VISIBLE_SECONDS))
    assert list(happened(accident)) == []
    assert fleet.started == ["order-server"]

    fleet.child.is_serving = True
    clock.advance(timedelta(seconds=1))
    (said,) = happened(accident)
    assert said == "order-server serves again; 2 settled payments have not reached their orders; wait"

    board.settle(DemoOrder("A-3", 100, 1))
    board.look(["A-1"], {"A-1"}, {"A-1"})
    assert (list(happened(accident)), accident.is_over) == ([], False)

    clock.advance(timedelta(seconds=4))
    board.look(["A-2"], {"A-2"}, {"A-2"})
    assert list(happened(accident)) == ["healed 4.0 s after that: each of them has reached its order"]
    assert accident.is_over
    assert accident.damage.seconds_away == VISIBLE_SECONDS + 1
    assert accident.damage.waiting == 2


def test_a_victim_that_does_not_come_back_ends_the_run(fleet: Any, clock: TestClock) -> None:
    accident = Accident(fleet, Board(), clock, Victim.ORDER_SERVER, 1)
    accident.after_report(1)
    clock.advance(timedelta(seconds=VISIBLE_SECONDS))
    list(happened(accident))
    fleet.child.has_ended = True
    with pytest.raises(DidNotServe):
        accident.step()


def test_nothing_ever_happens_to_none(clock: TestClock) -> None:
    accident = Accident({}, Board(), clock, Victim.NONE, 1)  # type: ignore[arg-type]  # asked for nothing
    accident.after_report(1)
    assert list(happened(accident)) == []
    assert accident.is_over
