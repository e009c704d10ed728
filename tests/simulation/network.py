"""A network without sockets: real messages as bytes, real stubs and servicers at its ends.

A call waits for its answer in virtual time; requests and answers may be lost, late, doubled or garbled on the way.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from core.clock import Clock
from core.logs import Logger
from core.rpc.interceptors import FailureInterceptor
from paylatch.order.v1.order_notify_service_pb2 import (
    BatchOrderNotifyRequest,
    BatchOrderNotifyResponse,
    OrderNotifyResponse,
)
from tests.simulation.faults import CALLED_WITH, Boundary, Fault
from tests.simulation.turns import Crash, Owner, Task, Turns

Behavior = Callable[[bytes, "Context"], bytes]

_UNKNOWN: Any = 77  # a disposition of a later version

SILENT = 600.0
"""Seconds a caller without a deadline of its own waits for an answer that was lost."""


class Caller(Owner, Protocol):
    """A process that calls."""

    def fault_at(self, boundary: Boundary, what: str) -> Fault | None: ...

    def crash(self) -> Crash: ...

    def begins_call(self, method: str, request: Any) -> None: ...


@dataclass(frozen=True)
class Reply:
    """How a call ended."""

    code: grpc.StatusCode
    message: bytes = b""
    details: str = ""
    metadata: Any = ()


class RpcFailed(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code.name}: {reply.details}")
        self._reply = reply

    def code(self) -> grpc.StatusCode:
        return self._reply.code

    def details(self) -> str:
        return self._reply.details

    def trailing_metadata(self) -> Any:
        return self._reply.metadata


UNAVAILABLE = Reply(grpc.StatusCode.UNAVAILABLE, details="connection reset")
NO_ANSWER = Reply(grpc.StatusCode.DEADLINE_EXCEEDED, details="deadline exceeded")
GARBLED = Reply(grpc.StatusCode.INTERNAL, details="exception deserializing response")
OVERLOADED = Reply(grpc.StatusCode.RESOURCE_EXHAUSTED, details="too many calls")


class _Aborted(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.details)
        self.reply = reply


class Context:
    """As much of a grpc.ServicerContext as interceptors and handlers ask for."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def is_active(self) -> bool:
        return True

    def time_remaining(self) -> float:
        return self._timeout

    def code(self) -> None:
        return None

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise _Aborted(Reply(code, details=details))

    def abort_with_status(self, status: grpc.Status) -> None:
        raise _Aborted(Reply(status.code, details=status.details, metadata=status.trailing_metadata))


class Handlers:
    """As much of a grpc.Server as the generated `add_…_to_server` functions ask for; behind the real interceptor."""

    def __init__(self, log: Logger, clock: Clock) -> None:
        self._interceptor = FailureInterceptor(log, clock)
        self.by_method: dict[str, Behavior] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers come registered too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            details: Any = _Details(method)
            self.by_method[method] = _behavior(self._interceptor.intercept_service(_always(handler), details))


@dataclass(frozen=True)
class _Details:
    method: str
    invocation_metadata: Sequence[Any] = ()


def _always(handler: Any) -> Callable[[Any], Any]:
    return lambda details: handler


def _behavior(handler: Any) -> Behavior:
    def run(request: bytes, context: Context) -> bytes:
        answer = handler.unary_unary(handler.request_deserializer(request), context)
        message: bytes = handler.response_serializer(answer)
        return message

    return run


@dataclass(eq=False)
class _Call:
    """A call under way. reply: None until it ended for the caller."""

    address: str
    method: str
    request: bytes
    timeout: float
    waiting: Task
    reply: Reply | None = None
    servers: list[Owner] = field(default_factory=list)


class Network:
    """See the module.

    delay: seconds a message takes. cut: addresses that nothing reaches now. arrived: calls that did, by name.
    """

    def __init__(self, turns: Turns, delay: Callable[[], float]) -> None:
        self._turns = turns
        self._delay = delay
        self._servers: dict[str, list[tuple[Owner, Mapping[str, Behavior]]]] = {}
        self._calls: list[_Call] = []
        self.cut: set[str] = set()
        self.arrived: Counter[str] = Counter()

    def serve(self, address: str, server: Owner, handlers: Handlers) -> None:
        """Have `server` answer at `address`, beside those that do already."""
        self._servers.setdefault(address, []).append((server, handlers.by_method))

    def forget(self, server: Owner, *, is_silent: bool = False) -> None:
        """The server is dead: its connections are reset, or nobody is told."""
        for known in self._servers.values():
            known[:] = [each for each in known if each[0] is not server]
        for call in list(self._calls):
            if server in call.servers and not is_silent:
                self._end(call, UNAVAILABLE)

    def is_up(self, address: str) -> bool:
        """Whether a connection can be made."""
        return bool(self._servers.get(address)) and address not in self.cut

    def call(self, caller: Caller, address: str, method: str, request: bytes, timeout: float) -> bytes:
        """What the server answers, in time."""
        self._turns.pause(self._delay())
        fault = self._fault(caller, method)
        call = _Call(address, method, request, timeout, self._turns.current)
        self._calls.append(call)
        try:
            self._send(call, fault)
            if call.reply is None:
                self._turns.park(timeout)
        finally:
            self._calls.remove(call)
        reply = call.reply or NO_ANSWER
        if fault is Fault.CRASH_AFTER:
            raise caller.crash()
        if reply.code is not grpc.StatusCode.OK:
            raise RpcFailed(reply)
        return reply.message

    def _fault(self, caller: Caller, method: str) -> Fault | None:
        name = method.rsplit("/", 1)[-1]
        fault = caller.fault_at(Boundary.CALL, name)
        return fault if fault is None or name in CALLED_WITH.get(fault, {name}) else None

    def _send(self, call: _Call, fault: Fault | None) -> None:
        if not self.is_up(call.address):
            # A cut network swallows; a port that nobody listens on answers at once.
            if not self._servers.get(call.address):
                call.reply = UNAVAILABLE
            return
        match fault:
            case Fault.REQUEST_LOST:
                return
            case Fault.REQUEST_RESET:
                call.reply = UNAVAILABLE
                return
            case Fault.OVERLOADED:
                call.reply = OVERLOADED
                return
            case Fault.DUPLICATED:
                self._deliver(call, None, after=self._turns.random.choice((0.0, 0.01, 1.0, 12.0)), is_extra=True)
        late = self._turns.random.uniform(0.1, 1.5) * call.timeout if fault is Fault.DELAYED else self._delay()
        self._deliver(call, fault, after=late)

    def _deliver(self, call: _Call, fault: Fault | None, *, after: float, is_extra: bool = False) -> None:
        known = self._servers[call.address]
        server, handlers = known[int(self._turns.random.random() * len(known))]
        request = _without_last_item(call.request) if fault is Fault.ITEMS_MISSING else call.request
        if not is_extra:
            call.servers.append(server)

        def handle() -> None:
            reply = self._run(handlers[call.method], call, request)
            if not is_extra:
                self._answer(call, reply, fault)

        self._turns.spawn(server, handle, after)

    def _run(self, behavior: Behavior, call: _Call, request: bytes) -> Reply:
        self.arrived[call.method.rsplit("/", 1)[-1]] += 1
        try:
            return Reply(grpc.StatusCode.OK, behavior(request, Context(call.timeout)))
        except _Aborted as aborted:
            return aborted.reply

    def _answer(self, call: _Call, reply: Reply, fault: Fault | None) -> None:
        self._turns.pause(self._delay())
        match fault:
            case Fault.ANSWER_LOST:
                return
            case Fault.ANSWER_LATE:
                self._turns.pause(call.timeout)
            case Fault.ANSWER_RESET:
                reply = UNAVAILABLE
            case Fault.ANSWER_GARBLED:
                reply = GARBLED
            case Fault.ITEMS_SHUFFLED if reply.code is grpc.StatusCode.OK:
                reply = _in_another_order(reply)
            case Fault.DISPOSITION_UNKNOWN if reply.code is grpc.StatusCode.OK:
                reply = _with_unknown_disposition(reply, call.method)
        if call.address not in self.cut:
            self._end(call, reply)

    def _end(self, call: _Call, reply: Reply) -> None:
        if call.reply is None and call in self._calls:
            call.reply = reply
            if call.waiting is not self._turns.current:
                self._turns.wake(call.waiting)


def _without_last_item(message: bytes) -> bytes:
    """As a receiver has it that overlooks one; never the only one, which it would refuse."""
    request = BatchOrderNotifyRequest.FromString(message)
    if len(request.requests) > 1:
        request.requests.pop()
    return request.SerializeToString()


def _in_another_order(reply: Reply) -> Reply:
    answer = BatchOrderNotifyResponse.FromString(reply.message)
    return Reply(reply.code, BatchOrderNotifyResponse(results=reversed(answer.results)).SerializeToString())


def _with_unknown_disposition(reply: Reply, method: str) -> Reply:
    if not method.endswith("BatchOrderNotify"):
        return Reply(reply.code, OrderNotifyResponse(disposition=_UNKNOWN).SerializeToString())
    answer = BatchOrderNotifyResponse.FromString(reply.message)
    for result in answer.results:
        if result.HasField("response"):
            result.response.disposition = _UNKNOWN
    return Reply(reply.code, answer.SerializeToString())


class Channels:
    """The channels of one process. Implements core.delivery.call.TargetChannels."""

    def __init__(self, network: Network, turns: Turns, caller: Caller) -> None:
        self._network = network
        self._turns = turns
        self._caller = caller

    def get(self, target: str) -> Any:
        return _Channel(self._network, self._caller, target)

    def wait_ready(self, target: str, bound: float) -> bool:
        self._turns.pause(0.0)
        fault = self._caller.fault_at(Boundary.READY, target)
        if fault is Fault.NOT_READY or not self._network.is_up(target):
            self._turns.pause(bound)
            return False
        return True


@dataclass(frozen=True)
class _Channel:
    network: Network
    caller: Caller
    address: str

    def unary_stream(self, *_: Any, **__: Any) -> Callable[..., Any]:
        """What a generated stub asks a channel for, too; nobody here watches a payment."""

        def call(*_: Any, **__: Any) -> Any:
            raise NotImplementedError("the simulation has no streams")

        return call

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., Any]:
        """What a generated stub asks a channel for."""

        def call(request: Any, timeout: float = SILENT, metadata: object = None) -> Any:
            self.caller.begins_call(method, request)
            message = request_serializer(request)
            return response_deserializer(self.network.call(self.caller, self.address, method, message, timeout))

        return call
