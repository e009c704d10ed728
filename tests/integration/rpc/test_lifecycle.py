import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.logs import Logger
from core.rpc.lifecycle import StopRequest, StopRequests, StopStep, run_until_signal
from tests.integration.rpc.conftest import Events

ROOT = Path(__file__).parents[3]


class Left(Exception):
    """Stands for the end of the process."""


def leave(code: int) -> None:
    raise Left(code)


def asked(exit_code: int = 0) -> StopRequests:
    requests = StopRequests()
    requests.ask("test", exit_code)
    return requests


class TestSteps:
    def test_they_are_done_in_order_and_the_process_ends_well(self, log: Logger, events: Events) -> None:
        done: list[str] = []
        steps = [StopStep(name, 10, partial(done.append, name)) for name in ("health", "rpc", "database")]
        assert run_until_signal(log, steps, asked(), leave) == 0
        assert done == ["health", "rpc", "database"]
        assert [event["event"] for event in events] == ["process.stopping", "process.stopped"]

    def test_the_request_decides_how_the_process_ends(self, log: Logger, events: Events) -> None:
        assert run_until_signal(log, [], asked(exit_code=3), leave) == 3
        assert events[0]["reason"] == "test"

    @pytest.mark.parametrize("exit_code", [0, 3])
    def test_one_that_overruns_ends_the_process_without_the_later_ones(
        self, log: Logger, events: Events, exit_code: int
    ) -> None:
        may_end, done = threading.Event(), threading.Event()
        steps = [StopStep("handlers", 0.05, lambda: may_end.wait(30)), StopStep("database", 10, done.set)]
        with pytest.raises(Left) as left:
            run_until_signal(log, steps, asked(exit_code), leave)
        may_end.set()
        assert left.value.args == (exit_code,)
        assert not done.is_set()
        assert (events[-1]["event"], events[-1]["step"]) == ("process.stop_overran", "handlers")

    def test_one_that_says_it_has_not_ended_does_the_same(self, log: Logger, events: Events) -> None:
        done = threading.Event()
        steps = [StopStep("handlers", 10, lambda: False), StopStep("database", 10, done.set)]
        with pytest.raises(Left) as left:
            run_until_signal(log, steps, asked(), leave)
        assert left.value.args == (0,)
        assert not done.is_set()
        assert events[-1]["event"] == "process.stop_overran"

    def test_one_that_raises_ends_the_process_with_1(self, log: Logger, events: Events) -> None:
        steps = [StopStep("rpc", 10, lambda: int("x"))]
        with pytest.raises(Left) as left:
            run_until_signal(log, steps, asked(), leave)
        assert left.value.args == (1,)
        assert (events[-1]["event"], events[-1]["log_level"]) == ("process.stop_failed", "error")
        assert isinstance(events[-1]["exc_info"], ValueError)

    def test_any_thread_may_ask(self, log: Logger) -> None:
        requests = StopRequests()
        threading.Thread(target=requests.ask, args=("a loop died", 1)).start()
        assert run_until_signal(log, [], requests, leave) == 1

    def test_signals_mean_again_what_they_meant_before(self, log: Logger) -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        run_until_signal(log, [], asked(), leave)
        assert {number: signal.getsignal(number) for number in before} == before


PROGRAM = """
import sys, threading
from core.logs import make_logger
from core.rpc.lifecycle import StopRequest, StopRequests, StopStep, run_until_signal

class Requests(StopRequests):
    def wait(self):
        print("ready", flush=True)
        return super().wait()

def stop():
    print("stopping", flush=True)
    {stop}

sys.exit(run_until_signal(make_logger("test"), [StopStep("test", 30, stop)], Requests()))
"""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that waits for a signal, then does `stop`; it has said "ready"."""
    started: list[subprocess.Popen[str]] = []

    def start(stop: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(stop=stop)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert next_line(process) == "ready"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def next_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_stops_the_process_well(self, start: Start, number: signal.Signals) -> None:
        process = start("return None")
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert output == "stopping\n"
        assert f"reason={number.name}" in errors
        assert "Traceback" not in errors

    def test_one_that_does_not_interrupt_the_main_thread_is_heard_all_the_same(self, log: Logger) -> None:
        def signal_this_thread() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        class Requests(StopRequests):
            def wait(self) -> StopRequest:
                threading.Timer(0.1, signal_this_thread).start()
                return super().wait()

        assert run_until_signal(log, [], Requests(), leave) == 0

    @pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_ends_it_at_once(self, start: Start, first: signal.Signals, second: signal.Signals) -> None:
        process = start("threading.Event().wait()")
        process.send_signal(first)
        assert next_line(process) == "stopping"
        process.send_signal(second)
        assert process.wait(timeout=10) == 128 + second

    def test_threads_that_hang_do_not_keep_it_from_ending(self, start: Start) -> None:
        process = start("threading.Thread(target=threading.Event().wait).start(); return False")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "process.stop_overran" in errors
