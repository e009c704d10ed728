"""Threads that run RPC handlers. Owns the count of calls in flight, and which method runs on threads of its own."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class WorkerPool(ThreadPoolExecutor):
    """A thread pool that knows how many of the calls handed to it have not ended, waiting ones included.

    gRPC forgets a call when its client's deadline passes or the server stops, but its handler goes on, and commits.
    """

    def __init__(self, workers: int, name: str) -> None:
        super().__init__(max_workers=workers, thread_name_prefix=name)
        self._in_flight = 0
        self._changed = threading.Condition()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Run `fn` on one of the threads, counted until it has ended."""
        self._count(+1)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:
            self._count(-1)
            raise
        future.add_done_callback(lambda _: self._count(-1))
        return future

    @property
    def in_flight(self) -> int:
        """How many have not ended."""
        return self._in_flight

    def drained(self, timeout: float) -> bool:
        """Whether nothing is in flight, after waiting for it at most `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout)

    def _count(self, change: int) -> None:
        with self._changed:
            self._in_flight += change
            self._changed.notify_all()


def on_threads_of(pool: ThreadPoolExecutor, behavior: Callable[..., Any]) -> Callable[..., Any]:
    """`behavior` of a method, to be run by `pool` however busy the server's workers are."""

    @functools.wraps(behavior)
    def handle(*arguments: Any) -> Any:
        return behavior(*arguments)

    handle.experimental_thread_pool = pool  # type: ignore[attr-defined]  # where grpc looks for it
    return handle
