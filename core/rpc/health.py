"""The health service of a server (grpc.health.v1). Owns its threads: a busy server still answers that it is alive."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import grpc
from grpc_health.v1 import health, health_pb2

from core.rpc import status
from core.rpc.access import identities_of, told_by
from core.rpc.admission import Admission
from core.rpc.handlers import Handler, HandlerInterceptor, surrounded
from core.rpc.pools import on_threads_of
from core.rules.errors import Overloaded

SERVICE_NAME = health.SERVICE_NAME
MAX_WATCHES = 32
"""Clients that may be told of every change. One more is refused with RESOURCE_EXHAUSTED; it can still ask."""

_CHECK, _WATCH = f"/{SERVICE_NAME}/Check", f"/{SERVICE_NAME}/Watch"
_CHECKS, _CHECKS_WAITING, _REFUSING = 16, 16, 2
# One caller may have all but an eighth of the places: as many watches as there may be.
_WATCH_PLACES = MAX_WATCHES + 4
_WAIT_SECONDS = 5.0

_Request = health_pb2.HealthCheckRequest
_Response = health_pb2.HealthCheckResponse


class Health:
    """What a server tells of itself and of each of its services. NOT_SERVING until told otherwise."""

    def __init__(self) -> None:
        # Non-blocking watches, which cost no thread, can deadlock: the library sends while it holds the lock that
        # grpc's one serving thread takes to tell it of a client that left.
        self._servicer = health.HealthServicer(experimental_non_blocking=False)
        self._names = {health.OVERALL_HEALTH}
        self._watches = _Watches()
        self.admission = HealthAdmission()
        # More than there are places, to refuse the rest. A thread is started only when there is a call for it.
        self._check_threads = ThreadPoolExecutor(_CHECKS + _CHECKS_WAITING + _REFUSING, thread_name_prefix="health")
        self._watch_threads = ThreadPoolExecutor(_WATCH_PLACES + _REFUSING, thread_name_prefix="health-watch")
        self.set_serving(False)

    def add_to(self, server: grpc.Server) -> None:
        """Answer on `server`."""
        check = on_threads_of(self._check_threads, self._servicer.Check)
        watch = on_threads_of(self._watch_threads, self._watch)
        coding = (_Request.FromString, _Response.SerializeToString)
        handler = grpc.method_handlers_generic_handler(
            SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, *coding),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, *coding),
            },
        )
        server.add_generic_rpc_handlers([handler])

    def add_service(self, name: str) -> None:
        """Answer for the service of this full name too."""
        self._names.add(name)
        self._servicer.set(name, _Response.NOT_SERVING)

    def set_serving(self, serving: bool) -> None:
        """Say of the server and all its services whether they serve. Without effect once `shut_down` was called."""
        for name in self._names:
            self._servicer.set(name, _Response.SERVING if serving else _Response.NOT_SERVING)

    def shut_down(self) -> None:
        """Say NOT_SERVING from now on, and end every watch: an open one would hold up the stop of the server."""
        self._servicer.enter_graceful_shutdown()
        self._watches.end()

    def close(self) -> None:
        """Let the threads go. Only after the server has stopped."""
        self._check_threads.shutdown(wait=False)
        self._watch_threads.shutdown(wait=False)

    def _watch(self, request: _Request, context: grpc.ServicerContext) -> Iterator[_Response]:
        """The status now, and whenever it changes."""
        watcher = self._servicer.Watch(request, context)
        with self._watches.joined_by(watcher) as may_stay:
            if not may_stay:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHES} clients watch already: use Check")
            yield from watcher


class HealthAdmission(HandlerInterceptor):
    """Gives each call of the health service its place before its request is read, and leaves room for other callers.

    Else a client that begins calls and never sends their requests would keep a prober from its answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rooms = {_CHECK: Admission(_CHECKS, _CHECKS_WAITING), _WATCH: Admission(_WATCH_PLACES, 0)}

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, with a place to run in."""
        room = self._rooms.get(method)
        return handler if room is None else surrounded(handler, partial(self._place, room))

    @contextmanager
    def _place(self, room: Admission, context: grpc.ServicerContext) -> Iterator[grpc.ServicerContext]:
        caller = next(iter(identities_of(told_by(context))), context.peer())
        try:
            # A room has one method: only the share of a caller counts.
            with room.place(caller, caller, min(context.time_remaining(), _WAIT_SECONDS)):
                yield context
        except Overloaded as error:
            context.abort_with_status(status.reply_to(error))


class _Watcher(Protocol):
    def close(self) -> None: ...


class _Watches:
    """The open watches, bounded, and their common end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[_Watcher] = set()
        self._has_ended = False

    @contextmanager
    def joined_by(self, watcher: _Watcher) -> Iterator[bool]:
        """Take on one more while the block runs; False if there are enough. After `end` it ends at once."""
        with self._lock:
            may_stay = len(self._open) < MAX_WATCHES
            if may_stay:
                self._open.add(watcher)
            if self._has_ended:
                watcher.close()
        try:
            yield may_stay
        finally:
            with self._lock:
                self._open.discard(watcher)

    def end(self) -> None:
        """End every watch, once it has sent what it has to send."""
        with self._lock:
            self._has_ended = True
            for watcher in self._open:
                watcher.close()
