"""How a process ends. Owns the signals and the order of stopping; knows nothing of what is stopped.

Every stop is bounded. What does not end in time is left as a crash would leave it, which everything here survives.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from socket import socket, socketpair
from types import FrameType
from typing import Any

from core.logs import Logger

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class StopStep:
    """One step of stopping.

    seconds: until it is given up on. action: does it; may answer False for "it has not ended", all else is done.
    """

    name: str
    seconds: float
    action: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Why to stop, and with which code to exit."""

    reason: str
    exit_code: int = 0


class StopRequests:
    """Where a stop is asked for: by a signal, or by a thread that cannot go on."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[StopRequest] = SimpleQueue()

    def ask(self, reason: str, exit_code: int = 0) -> None:
        """Ask the process to stop. From any thread."""
        self._requests.put(StopRequest(reason, exit_code))

    def wait(self) -> StopRequest:
        """Wait until somebody asks."""
        return self._requests.get()


def run_until_signal(
    log: Logger,
    steps: Sequence[StopStep],
    requests: StopRequests | None = None,
    leave: Callable[[int], Any] = os._exit,
    start: Callable[[], Any] = bool,
) -> int:
    """Wait for SIGTERM, SIGINT or a request, then do `steps` in order; gives back the code to exit with.

    start: begins to serve, once signals are heard: whoever sees it serving can stop it in order. Nothing by default.
    A second signal leaves at once, with 128 + its number. A step that does not end in time makes the process leave too,
    with the code of the request, and one that raises with 1: later steps could pull the ground from under it, and
    threads that hang would keep an ordinary exit from ever happening. Only in the main thread.
    """
    requests = requests or StopRequests()
    with _signals_asking(requests, leave):
        start()
        request = requests.wait()
        log.info("process.stopping", reason=request.reason)
        try:
            for step in steps:
                _do(log, step)
        except _LeftUndone as left:
            _flush()
            leave(request.exit_code or left.exit_code)
        log.info("process.stopped", exit_code=request.exit_code)
    return request.exit_code


class _LeftUndone(Exception):
    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


def _do(log: Logger, step: StopStep) -> None:
    try:
        has_ended = _on_a_thread(step.action).result(step.seconds) is not False
    except TimeoutError:
        has_ended = False
    except Exception as error:
        log.error("process.stop_failed", step=step.name, exc_info=error)
        raise _LeftUndone(exit_code=1) from error
    if not has_ended:
        log.warning("process.stop_overran", step=step.name, seconds=step.seconds)
        raise _LeftUndone(exit_code=0)


def _on_a_thread(action: Callable[[], Any]) -> Future[Any]:
    """Do `action` where it can be given up on, and where it keeps no signal waiting."""
    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            outcome.set_result(action())
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            outcome.set_exception(error)

    threading.Thread(target=work, name="stop", daemon=True).start()
    return outcome


@contextmanager
def _signals_asking(requests: StopRequests, leave: Callable[[int], Any]) -> Iterator[None]:
    """Turn the first signal into a request and any further one into the end, until the block is left.

    A thread of its own hears them. A handler in Python runs only when the main thread comes to it, and a signal that
    arrives right before the main thread begins to wait would not be heard until it has waited; the wakeup descriptor is
    written to at once, whatever the main thread does.
    """
    heard, told = socketpair()
    told.setblocking(False)
    listening = threading.Thread(target=_listen, args=(heard, requests, leave), name="signals", daemon=True)
    listening.start()
    descriptor_before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    handlers_before = {number: signal.signal(number, _heard_elsewhere) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor_before)
        told.close()
        listening.join()
        heard.close()


def _listen(heard: socket, requests: StopRequests, leave: Callable[[int], Any]) -> None:
    """Hear signals until the other end is closed."""
    is_second = False
    while numbers := heard.recv(16):
        for number in numbers:
            if number not in _SIGNALS:
                continue
            if is_second:
                leave(128 + number)
            is_second = True
            requests.ask(signal.Signals(number).name)


def _heard_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """Without a handler in Python a signal would do what it does by default."""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
