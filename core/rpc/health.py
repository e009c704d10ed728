"""The health service of a server (grpc.health.v1). Owns its threads: a busy server still answers that it is alive."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2

from core.rpc.pools import on_threads_of

SERVICE_NAME = health.SERVICE_NAME
_THREADS = 2

_Request = health_pb2.HealthCheckRequest
_Response = health_pb2.HealthCheckResponse


class Health:
    """What a server tells of itself and of each of its services. NOT_SERVING until told otherwise."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="health")
        self._servicer = health.HealthServicer()
        self._names = {health.OVERALL_HEALTH}
        self._watches = _Watches()
        self.set_serving(False)

    def add_to(self, server: grpc.Server) -> None:
        """Answer on `server`."""
        # Not by the generated function: the library keeps its pool on the class, shared by every server of the process.
        check = grpc.unary_unary_rpc_method_handler(
            on_threads_of(self._threads, self._servicer.Check), _Request.FromString, _Response.SerializeToString
        )
        watch = grpc.unary_stream_rpc_method_handler(
            on_threads_of(self._threads, self._watch, sends_itself=True),
            _Request.FromString,
            _Response.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(SERVICE_NAME, {"Check": check, "Watch": watch})
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
        self._threads.shutdown(wait=False)

    def _watch(self, request: _Request, context: grpc.ServicerContext, send: Callable[[_Response], None]) -> None:
        """Send the status now and whenever it changes, without keeping a thread in between."""
        self._servicer.Watch(request, context, send)
        self._watches.add(context)


class _Watches:
    """The open watches. Never more than one lock is held: contexts call back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[grpc.ServicerContext] = set()
        self._has_ended = False

    def add(self, context: grpc.ServicerContext) -> None:
        """Take on a watch until it ends by itself. After `end` it is cancelled at once."""
        with self._lock:
            self._open.add(context)
        if not context.add_callback(lambda: self._forget(context)):
            self._forget(context)
        if self._has_ended:
            context.cancel()

    def end(self) -> None:
        """Cancel every watch."""
        with self._lock:
            self._has_ended = True
            contexts = tuple(self._open)
        for context in contexts:
            context.cancel()

    def _forget(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._open.discard(context)
