"""A COMMIT that raised may be durable or not (SPEC 4): it is read again, and never reported as "not done"."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from peewee import OperationalError

from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    ACT,
    APPLIED,
    NEW_PAYING,
    NEW_UNPAID,
    PAID_PAID,
    VOUCHER,
    OrderSide,
    StartOrderSide,
    item,
    notification,
    refused,
)

BreakCommits = Callable[..., None]


@pytest.fixture
def break_commits(side: OrderSide, monkeypatch: pytest.MonkeyPatch) -> BreakCommits:
    """Makes the next commits raise, after or instead of committing."""
    commit = side.database.pool.commit

    def install(durable: bool, times: int = 1) -> None:
        left = [times]

        def raising() -> Any:
            if left[0] == 0:
                return commit()
            left[0] -= 1
            if durable:
                commit()
            raise OperationalError("disk I/O error")

        monkeypatch.setattr(side.database.pool, "commit", raising)

    return install


@pytest.mark.parametrize("durable", [True, False])
def test_an_order_is_created_once(side: OrderSide, break_commits: BreakCommits, durable: bool) -> None:
    break_commits(durable)

    assert side.create("O-1", item("a", 1)).order_no == "O-1"

    assert side.sql('SELECT count(*) FROM "order"') == [(1,)]
    assert side.sql("SELECT count(*) FROM order_item") == [(1,)]


@pytest.mark.parametrize("durable", [True, False])
def test_a_notification_has_one_effect(side: OrderSide, break_commits: BreakCommits, durable: bool) -> None:
    side.stock("book", 5)
    side.create("O-1", item("book", 1), item("gift", 1, VOUCHER))
    break_commits(durable)

    assert side.notify().disposition == APPLIED

    assert side.statuses() == PAID_PAID
    assert len(side.status_log()) == 2
    assert side.on_hand("book") == 4
    assert len(side.vouchers()) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_an_event_of_a_person_is_done_once_and_not_refused(
    side: OrderSide, break_commits: BreakCommits, durable: bool
) -> None:
    side.create()
    break_commits(durable)

    order = side.orders.StartPayment(pb.StartPaymentRequest(order_no="O-1", **ACT)).order

    assert (order.order_status, order.payment_status) == NEW_PAYING
    assert len(side.status_log()) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_an_exception_is_accepted_once(side: OrderSide, break_commits: BreakCommits, durable: bool) -> None:
    side.create("O-1", item("gift", 1, VOUCHER))
    side.notify(amount=999)
    break_commits(durable)

    request = pb.ResolvePaymentExceptionRequest(
        platform_id="alipay",
        payment_code="P-1",
        resolution=enums.EXCEPTION_RESOLUTION_ACCEPTED,
        operator="alice",
        reason="close enough",
    )
    resolved = side.orders.ResolvePaymentException(request).payment_exception

    assert (resolved.order_status, resolved.payment_status) == PAID_PAID
    assert len(side.vouchers()) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_a_result_that_stays_unknown_is_said_to_be_unknown_and_the_same_call_decides_it(
    side: OrderSide, break_commits: BreakCommits, durable: bool
) -> None:
    side.create()
    break_commits(durable, times=3)

    refusal = refused(side.notifies.OrderNotify, notification())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "RESULT_UNKNOWN")
    assert side.statuses() == (PAID_PAID if durable else NEW_UNPAID)
    assert side.notify().is_repeated is durable
    assert len(side.status_log()) == 2


def test_setting_a_figure_again_does_not_undo_what_orders_took_since(
    start_order_side: StartOrderSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, other = start_order_side(), start_order_side()
    side.create("O-1", item("book", 3))
    commit = side.database.pool.commit

    def durable_and_an_order_takes_at_once() -> None:
        commit()
        monkeypatch.setattr(side.database.pool, "commit", commit)
        other.notify()
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(side.database.pool, "commit", durable_and_an_order_takes_at_once)
    side.stock("book", 10)

    assert side.on_hand("book") == 7
