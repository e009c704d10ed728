"""Every method, found in the contracts, by every kind of caller: what is not granted is refused."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from cli.certs import GRANTS, TOKEN_GRANTS
from core.clock import SystemClock
from core.rpc.policy import SCRAPE
from core.rpc.server import RpcServer
from core.settings import Settings, load_settings
from core.store.migrate import Schema
from order_server.compose import compose as compose_order_server
from paylatch.order.v1 import order_notify_service_pb2, order_service_pb2
from paylatch.payment.v1 import notify_schedule_service_pb2, payment_service_pb2
from payment_server.compose import compose as compose_payment_server
from tests.support.databases import SqliteBackend
from tests.support.logs import Log
from tests.support.pki import Pki
from tests.support.rpcs import NOT_SERVED, Rpc

PAYMENT = "paylatch.payment.v1.PaymentService"
SCHEDULES = "paylatch.payment.v1.NotifyScheduleService"
NOTIFY = "paylatch.order.v1.OrderNotifyService"
ORDERS = "paylatch.order.v1.OrderService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"

SERVED: Mapping[str, tuple[Any, ...]] = {
    "payment": (payment_service_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR),
    "operator": (notify_schedule_service_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR),
    "order": (
        order_notify_service_pb2.DESCRIPTOR,
        order_service_pb2.DESCRIPTOR,
        health_pb2.DESCRIPTOR,
        reflection_pb2.DESCRIPTOR,
    ),
}
"""Which contracts are served where."""

TOKEN, CANARY = "a-token-that-is-known", "a-token-that-is-not"
POLICY = f"""
[certificates]
"spiffe://test/shop" = ["{PAYMENT}/*", "{ORDERS}/CreateOrder"]
"spiffe://test/payment-server" = ["{NOTIFY}/*"]
"spiffe://test/operator" = ["{SCHEDULES}/*", "{ORDERS}/*", "{REFLECTION}/*"]
"one.example" = ["{PAYMENT}/GetPayment"]
"spiffe://test/nothing" = []

[tokens.web]
sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
methods = ["{PAYMENT}/CreatePayment", "{ORDERS}/GetOrder"]
"""

OK, DENIED, UNKNOWN, SHUT_OUT = "served", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNAVAILABLE"
Expected = Callable[[str, str], str]
"""How a call of this service and method ends."""


def granted(*grants: str, otherwise: str = DENIED) -> Expected:
    """Served by these services or methods, and by health."""
    return lambda service, method: (
        OK if service == HEALTH or service in grants or f"{service}/{method}" in grants else otherwise
    )


def always(how: str, health: str | None = None) -> Expected:
    return lambda service, _: health if health is not None and service == HEALTH else how


@dataclass(frozen=True)
class Caller:
    """Shows these credentials at one of the two kinds of addresses."""

    credentials: grpc.ChannelCredentials | None
    expected: Expected
    with_token: bool = False


def bearing(pki: Pki, token: str) -> grpc.ChannelCredentials:
    return grpc.composite_channel_credentials(pki.credentials(), grpc.access_token_call_credentials(token))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def callers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Caller]:
    others = Pki(tmp_path_factory.mktemp("others"), "another CA")
    shop, operator = "spiffe://test/shop", "spiffe://test/operator"
    by_certificate = {
        "shop": (pki.issue(shop), granted(PAYMENT, f"{ORDERS}/CreateOrder")),
        "payment server": (pki.issue("spiffe://test/payment-server"), granted(NOTIFY)),
        "operator": (pki.issue(operator), granted(SCHEDULES, ORDERS, REFLECTION)),
        "by its DNS name": (pki.issue(dns=["one.example"]), granted(f"{PAYMENT}/GetPayment")),
        "URI unknown, DNS name known": (
            pki.issue("spiffe://test/else", dns=["one.example"]),
            granted(f"{PAYMENT}/GetPayment"),
        ),
        "known, but granted nothing": (pki.issue("spiffe://test/nothing"), granted()),
        "of the same CA, but unknown": (pki.issue("spiffe://test/stranger"), granted()),
        "its URI longer": (pki.issue(f"{shop}/2"), granted()),
        "its URI in capitals": (pki.issue(shop.upper()), granted()),
        "a known name as CN only": (pki.issue(name=shop), always(UNKNOWN, health=OK)),
        "expired": (pki.issue(operator, days=-1), always(SHUT_OUT)),
        "of another CA": (others.issue(operator), always(SHUT_OUT)),
    }
    return {
        **{name: Caller(pki.credentials(shown), expected) for name, (shown, expected) in by_certificate.items()},
        "no certificate": Caller(pki.credentials(), always(SHUT_OUT)),
        "a token where a certificate is asked for": Caller(bearing(pki, TOKEN), always(SHUT_OUT)),
        "plaintext": Caller(None, always(SHUT_OUT)),
        "token": Caller(bearing(pki, TOKEN), granted(f"{PAYMENT}/CreatePayment", f"{ORDERS}/GetOrder"), True),
        "wrong token": Caller(bearing(pki, CANARY), always(UNKNOWN), True),
        "the digest for a token": Caller(
            bearing(pki, hashlib.sha256(TOKEN.encode()).hexdigest()), always(UNKNOWN), True
        ),
        "no token": Caller(pki.credentials(), always(UNKNOWN), True),
        "a certificate where none is asked for": Caller(pki.credentials(pki.issue(operator)), always(UNKNOWN), True),
        "plaintext where tokens are taken": Caller(None, always(SHUT_OUT), True),
    }


@pytest.fixture(scope="module")
def log() -> Log:
    return Log()


@pytest.fixture(scope="module")
def addresses(pki: Pki, log: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, bool], str]]:
    """Where each server answers certificates, and where tokens."""
    pki.file("policy.toml").write_text(POLICY)
    with ExitStack() as running:
        backend = running.enter_context(closing(SqliteBackend(tmp_path_factory.mktemp("databases"))))
        settings = load_settings(
            payment_database_url=backend.ready(Schema.PAYMENT),
            order_database_url=backend.ready(Schema.ORDER),
            policy_file=str(pki.file("policy.toml")),
            operator_address="127.0.0.1:0",
            reflection=True,
            **pki.settings,
        )
        yield _started(settings, log, running)


@pytest.fixture(scope="module")
def channels(
    callers: dict[str, Caller], addresses: dict[tuple[str, bool], str]
) -> Iterator[dict[tuple[str, str], grpc.Channel]]:
    """One of each caller to each server."""
    with ExitStack() as opened:
        yield {
            (server, name): opened.enter_context(_channel(caller, addresses[server, caller.with_token]))
            for server in SERVED
            for name, caller in callers.items()
        }


def _channel(caller: Caller, address: str) -> grpc.Channel:
    if caller.credentials is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, caller.credentials)


def _started(settings: Settings, log: Log, running: ExitStack) -> dict[tuple[str, bool], str]:
    payment = compose_payment_server(settings, SystemClock(), log.logger)
    running.callback(lambda: [step.action() for step in payment.stop_steps(settings.stop_bound)])
    order = compose_order_server(settings, SystemClock(), log.logger)
    running.callback(lambda: [step.action() for step in order.stop_steps(settings.stop_bound)])
    assert payment.operator_server is not None
    servers: dict[str, RpcServer] = {
        "payment": payment.server,
        "operator": payment.operator_server,
        "order": order.server,
    }
    found = {}
    for name, server in servers.items():
        found[name, False] = server.bind("127.0.0.1:0")
        found[name, True] = server.bind_for_tokens("127.0.0.1:0")
        server.start()
    return found


def _methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for server, contracts in SERVED.items():
        for contract in contracts:
            for service in contract.services_by_name.values():
                yield from ((server, method) for method in service.methods)


METHODS = [
    pytest.param(server, method, id=f"{server}-{method.full_name}")
    for server, method in _methods()
    if f"/{method.containing_service.full_name}/{method.name}" not in NOT_SERVED
]


@pytest.mark.parametrize(("server", "method"), METHODS)
def test_every_caller_gets_what_the_policy_grants_and_nothing_else(
    server: str, method: MethodDescriptor, callers: dict[str, Caller], channels: dict[tuple[str, str], grpc.Channel]
) -> None:
    service = method.containing_service.full_name
    ends = {name: _call(channels[server, name], method) for name in callers}

    assert ends == {name: caller.expected(service, method.name) for name, caller in callers.items()}


def test_a_refusal_says_who_was_refused_what_and_never_a_token(
    log: Log, channels: dict[tuple[str, str], grpc.Channel]
) -> None:
    method = payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"].methods_by_name["ListPayments"]
    for caller in ("token", "wrong token"):
        _call(channels["payment", caller], method)
    refused = [line for line in log.named("rpc.failed") if line["code"] in {DENIED, UNKNOWN}]

    assert "the policy of this server does not grant paylatch.payment.v1.PaymentService/ListPayments to token web" in [
        line.get("message") for line in refused
    ]
    assert TOKEN not in str(log.lines)
    assert CANARY not in str(log.lines)


def test_what_development_certificates_are_granted_exists() -> None:
    known = {f"{method.containing_service.full_name}/{method.name}" for _, method in _methods()}
    services = {f"{name.partition('/')[0]}/*" for name in known}

    assert {grant for grants in (*GRANTS.values(), TOKEN_GRANTS) for grant in grants} <= known | services | {SCRAPE}


def _call(channel: grpc.Channel, method: MethodDescriptor) -> str:
    code = Rpc(channel, method).call(b"").code
    return code.name if code.name in {DENIED, UNKNOWN, SHUT_OUT} else OK
