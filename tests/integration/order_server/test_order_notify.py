"""The idempotent receiver (SPEC 5): each disposition, repeats, conflicts, and the order in which things arrive."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    ACT,
    AMOUNT_MISMATCH,
    APPLIED,
    CANCELLED_UNPAID,
    DUPLICATE_PAYMENT,
    FAILED,
    IGNORED,
    NEW_FAILED,
    NEW_PAYING,
    NEW_UNPAID,
    ORDER_CANCELLED,
    PAID_PAID,
    OrderSide,
    notification,
    refused,
)


def _answer(response: Any) -> tuple[int, bool, tuple[int, int]]:
    return response.disposition, response.is_repeated, (response.order_status, response.payment_status)


def _cancel(side: OrderSide) -> None:
    side.orders.CancelOrder(pb.CancelOrderRequest(order_no="O-1", **ACT))


def test_a_success_pays_the_order_and_both_changes_are_logged(side: OrderSide) -> None:
    side.create()

    assert _answer(side.notify()) == (APPLIED, False, PAID_PAID)

    order = side.order()
    assert (order.order_status, order.payment_status) == PAID_PAID
    assert (order.paid_platform_id, order.paid_payment_code) == ("alipay", "P-1")
    status_change, payment_change = side.status_log()
    assert (status_change.order_status.from_status, status_change.order_status.to_status) == (1, 2)
    assert (payment_change.payment_status.from_status, payment_change.payment_status.to_status) == (1, 3)
    for change in (status_change, payment_change):
        assert change.operator == "paylatch"
        assert change.description == "payment alipay/P-1 succeeded"
    assert order.update_time.ToDatetime() == status_change.create_time.ToDatetime()


def test_a_failure_fails_the_payment_of_an_unpaid_order_and_nothing_else(side: OrderSide) -> None:
    side.create()

    assert _answer(side.notify(outcome=FAILED)) == (APPLIED, False, NEW_FAILED)

    (change,) = side.status_log()
    assert change.description == "payment alipay/P-1 failed"
    assert not side.order().HasField("paid_platform_id")


def test_a_failure_for_a_payment_under_way_is_applied(side: OrderSide) -> None:
    side.create()
    side.orders.StartPayment(pb.StartPaymentRequest(order_no="O-1", **ACT))
    assert side.statuses() == NEW_PAYING

    assert _answer(side.notify(outcome=FAILED)) == (APPLIED, False, NEW_FAILED)


def test_a_failure_after_all_is_settled_is_ignored(side: OrderSide) -> None:
    for order_no in ("paid", "failed", "O-1"):
        side.create(order_no)
    side.notify("P-paid", "paid")
    side.notify("P-failed", "failed", FAILED)
    _cancel(side)

    assert _answer(side.notify("late-1", "paid", FAILED)) == (IGNORED, False, PAID_PAID)
    assert _answer(side.notify("late-2", "failed", FAILED)) == (IGNORED, False, NEW_FAILED)
    assert _answer(side.notify("late-3", "O-1", FAILED)) == (IGNORED, False, CANCELLED_UNPAID)


def test_a_success_after_a_failure_pays(side: OrderSide) -> None:
    side.create()
    side.notify("P-1", outcome=FAILED)

    assert _answer(side.notify("P-2")) == (APPLIED, False, PAID_PAID)


@pytest.mark.parametrize("wrong", [{"amount": 999}, {"amount": 1_001}, {"currency": "EUR"}])
def test_another_amount_or_currency_pays_nothing(side: OrderSide, wrong: dict[str, Any]) -> None:
    side.create()

    assert _answer(side.notify(**wrong)) == (AMOUNT_MISMATCH, False, NEW_UNPAID)
    assert not side.status_log()


def test_a_success_for_a_cancelled_order_leaves_it_cancelled(side: OrderSide) -> None:
    side.create()
    _cancel(side)

    assert _answer(side.notify()) == (ORDER_CANCELLED, False, CANCELLED_UNPAID)


@pytest.mark.parametrize("other", [{"code": "P-2"}, {"platform_id": "wechatpay"}, {"code": "p-1"}])
def test_an_order_paid_by_another_key_is_not_paid_again(side: OrderSide, other: dict[str, str]) -> None:
    side.create()
    side.notify()

    assert _answer(side.notify(**other)) == (DUPLICATE_PAYMENT, False, PAID_PAID)
    assert side.order().paid_payment_code == "P-1"
    assert side.order().paid_platform_id == "alipay"


def test_a_second_identical_notification_changes_nothing_and_tells_the_order_as_it_is_now(side: OrderSide) -> None:
    side.create()
    side.notify()
    side.orders.ProcessOrder(pb.ProcessOrderRequest(order_no="O-1", **ACT))
    before = side.sql('SELECT * FROM "order"'), side.sql("SELECT * FROM order_payment_notify")

    answer = side.notify()

    assert (answer.disposition, answer.is_repeated, answer.order_status) == (APPLIED, True, 3)
    assert (side.sql('SELECT * FROM "order"'), side.sql("SELECT * FROM order_payment_notify")) == before
    assert len(side.status_log()) == 3


def test_the_first_disposition_is_answered_for_ever(side: OrderSide) -> None:
    side.create()
    side.notify("P-1", outcome=FAILED)
    side.notify("P-2")

    assert _answer(side.notify("P-1", outcome=FAILED)) == (APPLIED, True, PAID_PAID)


def test_another_trade_no_or_time_is_no_other_content_but_is_logged_and_not_kept(side: OrderSide) -> None:
    side.create()
    side.notify(trade_no="T-1", settle_time=Timestamp(seconds=1_000, nanos=1_999))
    again = notification(trade_no="T-1", settle_time=Timestamp(seconds=1_000, nanos=1_001))

    assert side.notifies.OrderNotify(again).is_repeated
    assert not side.events("order_notify.details_differ"), "the same to the microsecond"
    assert side.notify(trade_no="T-2", settle_time=Timestamp(seconds=1_000)).is_repeated

    (line,) = side.events("order_notify.details_differ")
    assert (line["log_level"], line["payment_code"]) == ("warning", "P-1")
    ((trade_no,),) = side.sql("SELECT trade_no FROM order_payment_notify")
    assert trade_no == "T-1"


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"order_no": "O-2"}, "order_no was O-1, is now O-2"),
        ({"outcome": FAILED}, "outcome was SUCCESS, is now FAILED"),
        ({"amount": 1}, "amount_minor was 1000, is now 1"),
        ({"currency": "EUR"}, "currency_code was USD, is now EUR"),
    ],
)
def test_the_same_key_with_other_content_is_refused_as_an_alarm(
    side: OrderSide, other: dict[str, Any], difference: str
) -> None:
    side.create("O-1")
    side.create("O-2")
    side.notify()

    refusal = refused(side.notifies.OrderNotify, notification(**other))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "NOTIFY_DIFFERS")
    assert difference in refusal.message
    assert refusal.metadata == {"platform_id": "alipay", "payment_code": "P-1"}
    (line,) = side.events("order_notify.content_conflict")
    assert (line["log_level"], line["platform_id"], line["payment_code"]) == ("error", "alipay", "P-1")
    assert side.statuses("O-1") == PAID_PAID
    assert side.statuses("O-2") == NEW_UNPAID


def test_an_unknown_order_is_not_found_and_the_same_notification_is_applied_once_it_is_there(side: OrderSide) -> None:
    refusal = refused(side.notifies.OrderNotify, notification())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    assert not side.sql("SELECT * FROM order_payment_notify")

    side.create()

    assert _answer(side.notify()) == (APPLIED, False, PAID_PAID)


def test_keys_that_differ_only_in_case_are_different(side: OrderSide) -> None:
    side.create("O-1")
    refusal = refused(side.notifies.OrderNotify, notification(order_no="o-1"))
    side.create("o-1")

    assert refusal.reason == "ORDER_NOT_FOUND"
    assert _answer(side.notify("P-1", "O-1")) == (APPLIED, False, PAID_PAID)
    assert _answer(side.notify("p-1", "o-1")) == (APPLIED, False, PAID_PAID)


def test_of_a_thousand_identical_notifications_at_once_one_applies(side: OrderSide) -> None:
    side.create()

    calls = [side.notifies.OrderNotify.future(notification()) for _ in range(1_000)]
    answers = [_answer(call.result()) for call in calls]

    assert answers.count((APPLIED, False, PAID_PAID)) == 1
    assert answers.count((APPLIED, True, PAID_PAID)) == 999
    assert len(side.sql("SELECT * FROM order_payment_notify")) == 1
    assert len(side.status_log()) == 2


def test_of_many_payments_of_one_order_at_once_one_applies(side: OrderSide) -> None:
    side.create()

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda n: side.notify(f"P-{n}").disposition, range(64)))

    assert sorted(answers) == [APPLIED] + [DUPLICATE_PAYMENT] * 63
    assert len(side.status_log()) == 2


@pytest.mark.parametrize("arrival", list(permutations(range(4))))
def test_any_order_of_arrival_ends_in_the_same_statuses(side: OrderSide, arrival: tuple[int, ...]) -> None:
    side.create()
    facts = [
        notification("P-1", outcome=FAILED),
        notification("P-2"),
        notification("P-3", outcome=FAILED),
        notification("P-4", amount=999),
    ]

    for place in arrival:
        side.notifies.OrderNotify(facts[place])
        side.notifies.OrderNotify(facts[place])

    assert side.statuses() == PAID_PAID
    assert side.order().paid_payment_code == "P-2"


def test_successes_are_one_line_and_every_other_outcome_a_line_of_its_own(side: OrderSide) -> None:
    for order_no in ("O-1", "O-2"):
        side.create(order_no)

    side.batch(
        notification("P-1", "O-1"),
        notification("P-2", "O-2"),
        notification("P-1", "O-1"),
        notification("P-3", "O-1"),
        notification("P-4", "O-1", FAILED),
        notification("P-5", "O-9"),
    )

    (batch,) = side.events("order_notify.batch")
    assert (batch["applied"], batch["repeated"], batch["items"], batch["log_level"]) == (2, 1, 6, "info")
    (exception,) = side.events("order_notify.payment_exception")
    assert (exception["disposition"], exception["log_level"]) == ("DUPLICATE_PAYMENT", "warning")
    assert [line["payment_code"] for line in side.events("order_notify.ignored")] == ["P-4"]
    assert [line["order_no"] for line in side.events("order_notify.order_not_found")] == ["O-9"]
    assert {line["log_level"] for line in side.events("order_notify.applied")} == {"debug"}
