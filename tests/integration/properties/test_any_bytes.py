"""Any bytes into every RPC: an answer with a clear code, no internal word, and bad input changes nothing (SPEC 9)."""

from random import Random

import grpc
import pytest

from core.store.database import Database
from paylatch.order.v1 import order_service_pb2
from tests.integration.order_server.order_side import AMOUNT_MISMATCH, VOUCHER, OrderSide, StartOrderSide, item
from tests.integration.payment_server.payment_side import FAILED, PaymentSide, StartPaymentSide
from tests.support.fuzz import GARBAGE, Fuzz
from tests.support.rpcs import LIKELY, Rows, Rpc, rpcs_of

QUICK = 12
"""Requests for each RPC."""

THOROUGH = {"sqlite": 200, "postgresql": 50, "mysql": 50}
"""The same of a thorough run, by backend: most are judged before any database is asked."""

PAYLATCH = "paylatch."


@pytest.fixture
def order_side(start_order_side: StartOrderSide) -> OrderSide:
    """An order of every kind: new, paid, short of stock, cancelled; and payments that fit none."""
    side = start_order_side()
    side.stock("book", 1)
    side.create("O-1")
    side.create("O-2", item("book", 2), item("gift", 1, VOUCHER))
    side.notify("P-2", "O-2")
    side.create("O-3")
    side.orders.CancelOrder(order_service_pb2.CancelOrderRequest(order_no="O-3", operator="a", description="b"))
    side.notify("P-3", "O-3")
    assert side.notify("P-4", "O-1", amount=999).disposition == AMOUNT_MISMATCH
    return side


@pytest.fixture
def payment_side(start_payment_side: StartPaymentSide) -> PaymentSide:
    """A payment of every kind."""
    side = start_payment_side()
    for number in range(1, 4):
        side.create(payment_code=f"P-{number}", order_no=f"O-{number}", amount_minor=1_000)
    side.report(payment_code="P-2")
    side.report(FAILED, payment_code="P-3")
    return side


@pytest.mark.any_backend
def test_every_service_is_found(order_side: OrderSide, payment_side: PaymentSide) -> None:
    found = {rpc.path.split("/")[1] for side in (order_side, payment_side) for rpc in rpcs_of(side.channel)}

    assert found == {
        "paylatch.order.v1.OrderNotifyService",
        "paylatch.order.v1.OrderService",
        "paylatch.payment.v1.PaymentService",
        "paylatch.payment.v1.NotifyScheduleService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.fixture(params=["quick", pytest.param("thorough", marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def count(request: pytest.FixtureRequest) -> int:
    return QUICK if request.param == "quick" else THOROUGH[request.node.callspec.params["backend"]]


class TestAnyRequest:
    def test_of_the_order_server(self, order_side: OrderSide, order_database: Database, count: int) -> None:
        _call_all(order_side.channel, order_database, count)

    def test_of_the_payment_server(self, payment_side: PaymentSide, payment_database: Database, count: int) -> None:
        _call_all(payment_side.channel, payment_database, count)


@pytest.mark.any_backend
class TestGarbage:
    def test_for_the_order_server(self, order_side: OrderSide, order_database: Database) -> None:
        _call_with_garbage(order_side.channel, order_database)

    def test_for_the_payment_server(self, payment_side: PaymentSide, payment_database: Database) -> None:
        _call_with_garbage(payment_side.channel, payment_database)


def _call_with_garbage(channel: grpc.Channel, database: Database) -> None:
    rows = Rows(database)
    for rpc in rpcs_of(channel):
        for garbage in GARBAGE.values():
            _call(rpc, garbage, rows)


def _call_all(channel: grpc.Channel, database: Database, count: int) -> None:
    served, rows = 0, Rows(database)
    for rpc in rpcs_of(channel):
        fuzz = Fuzz(Random(rpc.path), LIKELY)
        for _ in range(count if rpc.path.startswith("/" + PAYLATCH) else 2):
            served += _call(rpc, fuzz.request(rpc.method.input_type), rows)
    assert served > count, "hardly a request was good for anything"


def _call(rpc: Rpc, request: bytes, rows: Rows) -> bool:
    """Whether it was served. All that must hold of the answer does."""
    answer = rpc.call(request)
    shown = f"{rpc.path} of {len(request)} bytes, {request[:1_000].hex()}"

    assert not answer.faults(), shown
    have_changed = rows.have_changed()
    if rpc.only_reads or (answer.code is not grpc.StatusCode.OK and "OUTCOME_CONFLICT" not in answer.told):
        assert not have_changed, shown
    return answer.code is grpc.StatusCode.OK
