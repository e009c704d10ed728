"""The servers a command talks to. Owns connections, deadlines, the pages of lists, and how a failed call is told."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from core.clock import SystemClock
from core.logs import make_logger
from core.rpc.channels import open_channel
from core.rpc.outgoing import Outgoing
from core.rpc.status import code_of, message_of, reason_of
from core.rules.limits import MAX_BATCH, clean_text
from core.rules.notify_url import NotifyUrl
from core.rules.outcome import INVALID_ARGUMENT
from core.settings import load_settings, without_credentials
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.order.v1.order_service_pb2_grpc import OrderServiceStub
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from paylatch.payment.v1.payment_service_pb2_grpc import PaymentServiceStub

CONNECT_SECONDS = 5.0
DEADLINE_SECONDS = 30.0
READ_TRIES = 3

Item = TypeVar("Item")
Request = TypeVar("Request")
Response = TypeVar("Response")

_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
# Where a server on this machine is that listens on every address of it.
_HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # dialled, not bound
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class CannotRun(Exception):
    """A command cannot be run. The message says in one line why, and what to do."""


class CallFailed(CannotRun):
    """A server did not do what it was asked. violations: what it said of each wrong field or unmet precondition."""

    def __init__(self, server: str, error: grpc.RpcError) -> None:
        self.code = code_of(error)
        self.violations = tuple(_violations(error))
        # The message only puts the violations of a bad request into one line.
        message = "" if self.code == INVALID_ARGUMENT and self.violations else message_of(error)
        reason = reason_of(error)
        told = ": ".join(part for part in (code_name(self.code), reason, message) if part)
        # Without a reason it was not the server that spoke, but what stands between.
        super().__init__(f"{server} answered {told}" if reason else f"a call to {server} failed: {told}")


class Key(NamedTuple):
    """The idempotency key of a payment."""

    platform_id: str
    payment_code: str

    def __str__(self) -> str:
        return f"{self.platform_id}/{self.payment_code}"

    @property
    def message(self) -> PaymentKey:
        """The key as the contracts have it."""
        return PaymentKey(platform_id=self.platform_id, payment_code=self.payment_code)


class Keyed(Protocol):
    """A message with the two fields of a key."""

    @property
    def platform_id(self) -> str:
        """The payment's platform."""
        ...

    @property
    def payment_code(self) -> str:
        """The payment's code within it."""
        ...


def key_of(message: Keyed) -> Key:
    """The key that a message carries."""
    return Key(message.platform_id, message.payment_code)


def code_name(code: int) -> str:
    """The name of a gRPC status code; its number if it has none."""
    return _CODE_NAMES.get(code, str(code))


def chunks(items: Iterable[Item], size: int = MAX_BATCH) -> Iterator[list[Item]]:
    """`items` in lists of at most `size`, none of them empty."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class Server:
    """One server, connected. name: what a person calls it. deadline: seconds, of each call.

    Shows the certificate or token of the settings; with a certificate, an address without a scheme is meant for TLS.
    """

    def __init__(self, name: str, address: str, deadline: float = DEADLINE_SECONDS) -> None:
        settings = load_settings()
        self.name = name
        self.address = f"grpcs://{address}" if settings.uses_tls and "://" not in address else address
        log = make_logger("paylatch", settings.log_format, settings.log_level)
        outgoing = Outgoing.of(settings, SystemClock(), log)
        self.channel = open_channel(_target(name, self.address), outgoing=outgoing)
        self._deadline = deadline

    def __str__(self) -> str:
        return f"the {self.name} at {self.address}"

    def connect(self, bound: float = CONNECT_SECONDS) -> None:
        """Wait until it is connected, at most `bound` seconds.

        Raises:
            CannotRun: it cannot be reached.
        """
        # Not the channel's own connectivity watch: its thread may outlive the channel, and dies with a traceback.
        health: Any = health_pb2_grpc.HealthStub(self.channel)
        try:
            health.Check(health_pb2.HealthCheckRequest(), timeout=bound)
        except grpc.RpcError as error:
            if error.code() in _AWAY:
                raise self._unreachable() from error

    def call(self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request) -> Response:
        """The answer to one call, made once.

        Raises:
            CallFailed: it was not answered with OK.
        """
        try:
            return method(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise CallFailed(str(self), error) from error

    def read(self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request) -> Response:
        """The answer to a call that changes nothing: made again when the server was away, once it is back.

        Raises:
            CallFailed: it was not answered with OK.
        """
        for _ in range(READ_TRIES - 1):
            try:
                return method(request, timeout=self._deadline, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise CallFailed(str(self), error) from error
        return self.call(method, request)

    def close(self) -> None:
        """Let the connection go."""
        self.channel.close()

    def _unreachable(self) -> CannotRun:
        option = f"--{self.name.split()[0]}-address"
        return CannotRun(f"{self} cannot be reached: start it (paylatch up), or say with {option} where it is")


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


class _Listing(Protocol):
    page_size: int
    page_token: str


_AnyListing = TypeVar("_AnyListing", bound=_Listing)
_AnyPage = TypeVar("_AnyPage", bound=_Page)


def pages(
    server: Server,
    method: "grpc.UnaryUnaryMultiCallable[_AnyListing, _AnyPage]",
    request: _AnyListing,
    size: int = MAX_BATCH,
) -> Iterator[_AnyPage]:
    """The pages of a list, one after the other; changes the request's page fields.

    Raises:
        CannotRun: the list does not go on.
    """
    request.page_size = size
    while True:
        page = server.read(method, request)
        yield page
        if not page.next_page_token:
            return
        if page.next_page_token == request.page_token:
            raise CannotRun(f"{server} answers the same page again and again")
        request.page_token = page.next_page_token


@dataclass(frozen=True, slots=True)
class PaymentSide:
    """The payment server and its services. operator_server: where operators are served, often the same."""

    server: Server
    operator_server: Server
    payments: PaymentServiceStub
    schedules: NotifyScheduleServiceStub

    @classmethod
    def at(cls, address: str, operator_address: str | None = None) -> Self:
        """The payment server at `address` (`host:port`, or `grpcs://host:port`), not connected yet.

        operator_address: where it serves operators, if elsewhere.
        """
        server = Server("payment server", address)
        operators = server if operator_address is None else Server("payment server", operator_address)
        return cls(server, operators, PaymentServiceStub(server.channel), NotifyScheduleServiceStub(operators.channel))

    def close(self) -> None:
        """Let it go."""
        self.server.close()
        self.operator_server.close()


@dataclass(frozen=True, slots=True)
class OrderSide:
    """The order server and its service for operators."""

    server: Server
    orders: OrderServiceStub

    @classmethod
    def at(cls, address: str) -> Self:
        """The order server at `address` (`host:port`, or `grpcs://host:port`), not connected yet."""
        server = Server("order server", address)
        return cls(server, OrderServiceStub(server.channel))


@dataclass(frozen=True, slots=True)
class Clients:
    """Both servers, connected. Closes them at the end of a `with`."""

    payment: PaymentSide
    order: OrderSide

    @classmethod
    def connect(cls, payment_address: str, order_address: str, operator_address: str | None = None) -> Self:
        """Connect to both. operator_address: where the payment server serves operators, if elsewhere.

        Raises:
            CannotRun: one of them cannot be reached, or its address is none.
        """
        clients = cls(PaymentSide.at(payment_address, operator_address), OrderSide.at(order_address))
        try:
            clients.payment.server.connect()
            clients.order.server.connect()
        except BaseException:
            clients.close()
            raise
        return clients

    def close(self) -> None:
        """Let both go."""
        self.payment.close()
        self.order.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def payment_side(address: str) -> Iterator[PaymentSide]:
    """The payment server alone, connected.

    Raises:
        CannotRun: it cannot be reached, or its address is none.
    """
    side = PaymentSide.at(address)
    try:
        side.server.connect()
        yield side
    finally:
        side.close()


@contextmanager
def order_side(address: str) -> Iterator[OrderSide]:
    """The order server alone, connected.

    Raises:
        CannotRun: it cannot be reached, or its address is none.
    """
    side = OrderSide.at(address)
    try:
        side.server.connect()
        yield side
    finally:
        side.server.close()


def _target(name: str, address: str) -> NotifyUrl:
    url = address.lower() if "://" in address else f"grpc://{address.lower()}"
    for everywhere, here in _HERE.items():
        url = url.replace(f"//{everywhere}:", f"//{here}:")
    try:
        return NotifyUrl.parse(url)
    except ValueError:
        given = clean_text(without_credentials(address))
        raise CannotRun(
            f"the address of the {name} is {given!r}: must be host:port, such as 127.0.0.1:50051, "
            "or grpcs://host:port for TLS"
        ) from None


def _violations(error: Any) -> Sequence[str]:
    """What the server said of each wrong field or unmet precondition."""
    try:
        status = rpc_status.from_call(error)
    except (AttributeError, DecodeError, ValueError):
        return []
    bad_request, unmet = error_details_pb2.BadRequest(), error_details_pb2.PreconditionFailure()
    for detail in status.details if status is not None else ():
        for message in (bad_request, unmet):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    fields = [f"{clean_text(one.field)}: {clean_text(one.description)}" for one in bad_request.field_violations]
    return fields + [f"{clean_text(one.subject)}: {clean_text(one.description)}" for one in unmet.violations]
