"""Real servers on free ports, whose methods are functions from bytes to bytes."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import grpc
import pytest
import structlog

from core.clock import SystemClock
from core.logs import Logger
from core.rpc.server import RpcServer, ServerOptions

SERVICE = "test.Test"
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""Channels to one address share a connection, if not told otherwise."""
Behavior = Callable[..., Any]
Events = list[MutableMapping[str, Any]]


class Server:
    """A running server and a channel to it."""

    def __init__(self, rpc: RpcServer, address: str) -> None:
        self.rpc = rpc
        self.address = address
        self.channel = grpc.insecure_channel(address)

    def call(self, method: str, request: bytes = b"x", timeout: float | None = 10) -> bytes:
        return self._unary(method)(request, timeout=timeout)

    def start_call(self, method: str, timeout: float = 30) -> Any:
        return self._unary(method).future(b"x", timeout=timeout)

    def stream(self, method: str, timeout: float = 10) -> Any:
        call: grpc.UnaryStreamMultiCallable[bytes, bytes] = self.channel.unary_stream(f"/{SERVICE}/{method}")
        return call(b"x", timeout=timeout)

    def _unary(self, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
        return self.channel.unary_unary(f"/{SERVICE}/{method}")

    def close(self) -> None:
        self.channel.close()
        self.rpc.stop(0)
        assert self.rpc.drained(20), "a handler of this test never ended"


@pytest.fixture
def events() -> Events:
    """What was logged."""
    return []


@pytest.fixture
def log(events: Events) -> Logger:
    capture = structlog.testing.LogCapture()
    capture.entries = events
    logger: Logger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return logger


Serve = Callable[..., Server]


@pytest.fixture
def serve(log: Logger) -> Iterator[Serve]:
    """Start a server of these methods: `serve(Echo=echo, streams={"Count": count}, options=…)`."""
    with ExitStack() as running:

        def start(
            options: ServerOptions | None = None,
            streams: dict[str, Behavior] | None = None,
            reading: Behavior | None = None,
            **methods: Behavior,
        ) -> Server:
            rpc = RpcServer(log, SystemClock(), options)
            rpc.add(partial(register_methods, reading=reading), (methods, streams or {}), SERVICE)
            server = Server(rpc, rpc.bind("127.0.0.1:0"))
            rpc.start()
            running.callback(server.close)
            return server

        yield start


def register_methods(
    servicer: tuple[dict[str, Behavior], dict[str, Behavior]], server: grpc.Server, reading: Behavior | None = None
) -> None:
    """Register functions as generated code registers a servicer. reading: makes a request of bytes."""
    methods, streams = servicer
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]
    handlers = {name: grpc.unary_unary_rpc_method_handler(method, reading) for name, method in methods.items()}
    handlers |= {name: grpc.unary_stream_rpc_method_handler(stream, reading) for name, stream in streams.items()}
    server.add_registered_method_handlers(SERVICE, handlers)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
