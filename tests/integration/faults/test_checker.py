"""What the checker holds after every fault: each invariant is broken here, and seen."""

from datetime import timedelta

import pytest

from core.outbox.tables import NotifyAttempt, NotifySchedule, PaymentResult
from core.rules.codes import (
    Disposition,
    NotifyOutcome,
    OrderPaymentStatus,
    OrderStatus,
    PaymentStatus,
    ResultStatus,
    ScheduleStatus,
)
from core.store.database import Database
from core.store.transaction import Transaction
from order_server.rules import StatusName
from order_server.tables import Order, OrderPaymentNotify, OrderStatusLog
from payment_server.tables import Payment
from tests.faults.checker import Books, Broken, acknowledged_stays
from tests.faults.customer import History
from tests.support.databases import run_sql

CODE = "p1-1"
KEY = {"platform_id": "card", "payment_code": CODE}
MONEY = {"order_no": CODE, "amount_minor": 5, "currency_code": "USD"}
TARGET = "grpc://127.0.0.1:50052"

pytestmark = pytest.mark.any_backend


@pytest.fixture(autouse=True)
def _delivered(payment_database: Database, order_database: Database) -> None:
    """A payment that has reached its order."""
    payment_database.transact(_write_payment)
    order_database.transact(_write_order)


def test_a_delivered_payment_breaks_nothing(payment_database: Database, order_database: Database) -> None:
    books = Books(payment_database, order_database, "p1-")
    books.hold_invariants()
    history = History({(CODE, True)}, {(CODE, True)}, set())
    acknowledged_stays(books, history, "p1-")
    counts = books.tally(history, "p1-").counts
    assert counts == {
        "attempted": 1,
        "acknowledged": 1,
        "applied": 1,
        "lost": 0,
        "duplicated": 0,
        "unexpected": 0,
        "recovered": 0,
    }


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("DELETE FROM payment_result", "1 atomic triple"),
        ("UPDATE payment SET status = 0, settle_time = NULL", "1 atomic triple"),
        ("UPDATE payment SET amount_minor = 6", "3 no phantom"),
        ("UPDATE payment_result SET notify_status = 1, disposition = NULL", "4 no false acknowledgement"),
        ("UPDATE notify_schedule SET notify_status = 1", "4 no false acknowledgement|7 healing"),
        ("UPDATE notify_schedule SET last_message = printf('%.3000c', 'x')", "10 bounds"),
        ("UPDATE notify_schedule SET attempt_count = 2", "10 bounds"),
    ],
)
def test_what_is_wrong_on_the_payment_side_is_seen(
    payment_database: Database, order_database: Database, statement: str, broken: str
) -> None:
    run_sql(payment_database, statement)
    with pytest.raises(Broken, match=broken):
        Books(payment_database, order_database, "p1-").hold_invariants()


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE \"order\" SET paid_payment_code = 'p1-2'", "2 one effect"),
        ("DELETE FROM order_payment_notify", "2 one effect"),
        ("UPDATE order_payment_notify SET amount_minor = 6", "8 money"),
        ("UPDATE order_status_log SET from_status = 2, to_status = 1 WHERE status_name = 2", "11 monotonic"),
    ],
)
def test_what_is_wrong_on_the_order_side_is_seen(
    payment_database: Database, order_database: Database, statement: str, broken: str
) -> None:
    run_sql(order_database, statement)
    with pytest.raises(Broken, match=broken):
        Books(payment_database, order_database, "p1-").hold_invariants()


def test_the_tally_names_what_was_lost_unexpected_and_recovered(
    payment_database: Database, order_database: Database
) -> None:
    books = Books(payment_database, order_database, "p1-")
    assert books.tally(History(), "p1-").unexpected == [CODE]
    assert books.tally(History({(CODE, True)}), "p1-").recovered == [CODE]
    run_sql(order_database, "DELETE FROM order_payment_notify")
    books = Books(payment_database, order_database, "p1-")
    assert books.tally(History({(CODE, True)}, {(CODE, True)}), "p1-").lost == [CODE]


def test_an_order_that_was_moved_to_paid_twice_is_duplicated(
    payment_database: Database, order_database: Database
) -> None:
    order_database.transact(lambda tx: tx.insert(OrderStatusLog, [_change(tx, StatusName.PAYMENT_STATUS, 0)]))
    books = Books(payment_database, order_database, "p1-")
    assert books.tally(History({(CODE, True)}), "p1-").duplicated == [CODE]


def test_an_answer_that_was_not_kept_is_seen(payment_database: Database, order_database: Database) -> None:
    books = Books(payment_database, order_database, "p1-")
    with pytest.raises(Broken, match="5 no loss"):
        acknowledged_stays(books, History(acknowledged={("p1-2", True)}), "p1-")
    with pytest.raises(Broken, match="5 no loss"):
        acknowledged_stays(books, History(refused={(CODE, False)}), "p1-")


def _write_payment(tx: Transaction) -> None:
    times = {"create_time": tx.now, "update_time": tx.now}
    payment = {**KEY, **MONEY, "notify_url": TARGET, "status": PaymentStatus.SUCCESS, "trade_no": ""}
    tx.insert(Payment, [{**payment, "failure_reason": "", "create_time": tx.now, "settle_time": tx.now}])
    result = {"payment_id": 1, "notify_status": ResultStatus.NOTIFIED, "disposition": Disposition.APPLIED}
    tx.insert(PaymentResult, [{**result, **times}])
    schedule = {
        **KEY,
        **times,
        "payment_id": 1,
        "order_no": CODE,
        "notify_url": TARGET,
        "notify_content": b"",
        "notify_status": ScheduleStatus.SUCCESS,
        "next_notify_time": tx.now,
        "give_up_time": tx.now + timedelta(days=3),
        "notify_count": 1,
        "attempt_count": 1,
        "reopened_attempt": 0,
        "lapse_count": 0,
        "last_message": "",
    }
    tx.insert(NotifySchedule, [schedule])
    attempt = {"schedule_id": 1, "number": 1, "code": 0, "message": "", "made_by": "test"}
    tx.insert(NotifyAttempt, [{**attempt, "start_time": tx.now, "finish_time": tx.now}])


def _write_order(tx: Transaction) -> None:
    order = {
        **MONEY,
        "order_status": OrderStatus.PAID,
        "payment_status": OrderPaymentStatus.PAID,
        "paid_platform_id": "card",
        "paid_payment_code": CODE,
        "create_time": tx.now,
        "update_time": tx.now,
    }
    tx.insert(Order, [order])
    notify = {**KEY, **MONEY, "status": NotifyOutcome.SUCCESS, "disposition": Disposition.APPLIED}
    tx.insert(OrderPaymentNotify, [{**notify, "trade_no": "", "create_time": tx.now}])
    tx.insert(OrderStatusLog, [_change(tx, StatusName.ORDER_STATUS, 1)])
    tx.insert(OrderStatusLog, [_change(tx, StatusName.PAYMENT_STATUS, 0)])


def _change(tx: Transaction, name: StatusName, from_status: int) -> dict[str, object]:
    return {
        "order_no": CODE,
        "status_name": name,
        "from_status": from_status,
        "to_status": 2,
        "operator": "test",
        "description": "paid",
        "create_time": tx.now,
    }
