"""The payment database refuses nonsense by itself (SPEC 2), whatever the code above it does."""

from datetime import timedelta
from typing import Any

import pytest

from core.outbox.tables import NotifyAttempt, NotifySchedule, NotifyTarget, OperatorAction, PaymentResult
from core.rules.codes import BreakerState, Disposition, PaymentStatus, ResultStatus, ScheduleStatus
from core.rules.errors import Contended
from core.store.database import Database
from payment_server.tables import Payment
from tests.support.clock import START
from tests.support.databases import REFUSED
from tests.support.rows import (
    CLAIMED,
    CONFLICT,
    HANDLED,
    SETTLED,
    attempt,
    operator_action,
    payment,
    payment_result,
    schedule,
    target,
)

LATER = START + timedelta(minutes=1)
FAILED, SUCCESS = ScheduleStatus.FAILED, ScheduleStatus.SUCCESS

SENSE = [
    (Payment, payment(2)),
    (Payment, payment(2, amount_minor=1)),
    (Payment, payment(2, amount_minor=10**15)),
    (Payment, payment(2, order_no="x" * 64, trade_no="x" * 128, failure_reason="x" * 512)),
    (Payment, payment(2, **SETTLED)),
    (Payment, payment(2, status=PaymentStatus.FAILED, settle_time=START)),
    (Payment, payment(2, **SETTLED, **CONFLICT)),
    (PaymentResult, payment_result()),
    (PaymentResult, payment_result(notify_status=ResultStatus.NOTIFIED, disposition=Disposition.IGNORED)),
    (NotifySchedule, schedule()),
    (NotifySchedule, schedule(notify_count=1, attempt_count=1, **CLAIMED)),
    (NotifySchedule, schedule(notify_count=0, attempt_count=7, reopened_attempt=7, batch_limit=1)),
    (NotifySchedule, schedule(notify_status=SUCCESS)),
    (NotifySchedule, schedule(notify_status=FAILED)),
    (NotifySchedule, schedule(notify_status=FAILED, **HANDLED)),
    (NotifyAttempt, attempt()),
    (NotifyTarget, target()),
    (NotifyTarget, target(breaker_state=BreakerState.OPEN, consecutive_failures=5, open_until=LATER)),
    (NotifyTarget, target(breaker_state=BreakerState.HALF_OPEN, open_until=LATER, ramp_limit=1)),
    (OperatorAction, operator_action()),
]
NONSENSE = [
    (Payment, payment(2, amount_minor=0)),
    (Payment, payment(2, amount_minor=-1)),
    (Payment, payment(2, amount_minor=10**15 + 1)),
    (Payment, payment(2, amount_minor="many")),
    (Payment, payment(2, platform_id="")),
    (Payment, payment(2, payment_code="x" * 65)),
    (Payment, payment(2, order_no="")),
    (Payment, payment(2, order_no=None)),
    (Payment, payment(2, currency_code="US")),
    (Payment, payment(2, currency_code="USDT")),
    (Payment, payment(2, status=3)),
    (Payment, payment(2, status=PaymentStatus.SUCCESS)),
    (Payment, payment(2, settle_time=START)),
    (Payment, payment(2, trade_no="x" * 129)),
    (Payment, payment(2, failure_reason="x" * 513)),
    (Payment, payment(2, **SETTLED, conflict_status=PaymentStatus.FAILED)),
    (Payment, payment(2, **SETTLED, conflict_time=START)),
    (Payment, payment(2, **SETTLED, **CONFLICT | {"conflict_status": PaymentStatus.SUCCESS})),
    (Payment, payment(2, **CONFLICT)),
    (PaymentResult, payment_result(999)),
    (PaymentResult, payment_result(notify_status=3)),
    (PaymentResult, payment_result(disposition=6)),
    (PaymentResult, payment_result(disposition=Disposition.APPLIED)),
    (PaymentResult, payment_result(notify_status=ResultStatus.NOTIFIED)),
    (NotifySchedule, schedule(payment_id=999)),
    (NotifySchedule, schedule(notify_status=0)),
    (NotifySchedule, schedule(notify_count=-1)),
    (NotifySchedule, schedule(notify_count=2, attempt_count=1)),
    (NotifySchedule, schedule(reopened_attempt=-1)),
    (NotifySchedule, schedule(attempt_count=1, reopened_attempt=2)),
    (NotifySchedule, schedule(lapse_count=-1)),
    (NotifySchedule, schedule(batch_limit=0)),
    (NotifySchedule, schedule(**CLAIMED | {"claim_token": None})),
    (NotifySchedule, schedule(**CLAIMED | {"claimed_by": None})),
    (NotifySchedule, schedule(**CLAIMED | {"claim_time": None})),
    (NotifySchedule, schedule(notify_status=SUCCESS, **CLAIMED)),
    (NotifySchedule, schedule(notify_status=FAILED, **CLAIMED)),
    (NotifySchedule, schedule(**HANDLED)),
    (NotifySchedule, schedule(notify_status=SUCCESS, **HANDLED)),
    (NotifySchedule, schedule(notify_status=FAILED, **HANDLED | {"handled_by": None})),
    (NotifySchedule, schedule(notify_status=FAILED, **HANDLED | {"handled_reason": None})),
    (NotifySchedule, schedule(notify_status=FAILED, **HANDLED | {"handled_by": "x" * 65})),
    (NotifySchedule, schedule(notify_status=FAILED, **HANDLED | {"handled_reason": "x" * 513})),
    (NotifySchedule, schedule(give_up_time=None)),
    (NotifySchedule, schedule(notify_content=None)),
    (NotifyAttempt, attempt(999)),
    (NotifyAttempt, attempt(number=0)),
    (NotifyAttempt, attempt(made_by=None)),
    (NotifyTarget, target(breaker_state=4, open_until=LATER)),
    (NotifyTarget, target(breaker_state=BreakerState.OPEN)),
    (NotifyTarget, target(open_until=LATER)),
    (NotifyTarget, target(consecutive_failures=-1)),
    (NotifyTarget, target(ramp_limit=0)),
    (NotifyTarget, target(paused_time=START)),
    (NotifyTarget, target(paused_by="anna", paused_reason="a move")),
    (OperatorAction, operator_action(operator="x" * 65)),
    (OperatorAction, operator_action(reason="x" * 513)),
    (OperatorAction, operator_action(reason=None)),
]
UNIQUE = [
    (Payment, payment(1)),
    (PaymentResult, payment_result()),
    (NotifySchedule, schedule()),
    (NotifySchedule, schedule(payment_code="P-9")),
    (NotifyAttempt, attempt()),
    (NotifyTarget, target()),
    (OperatorAction, operator_action()),
]


def _numbered(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0].__name__}-{number}") for number, case in enumerate(cases)]


@pytest.fixture
def database(payment_database: Database) -> Database:
    """With payment 1, which is settled."""
    payment_database.transact(lambda tx: tx.insert(Payment, [payment(1, **SETTLED)]))
    return payment_database


def _insert(database: Database, model: Any, row: dict[str, Any]) -> None:
    def work(tx: Any) -> None:
        if model is NotifyAttempt:
            tx.insert_new(NotifySchedule, [schedule()], key=[NotifySchedule.payment_id])
        tx.insert(model, [row])

    database.transact(work)


@pytest.mark.parametrize(("model", "row"), _numbered(SENSE))
def test_sense_can_be_stored(database: Database, model: Any, row: dict[str, Any]) -> None:
    _insert(database, model, row)

    assert database.read(lambda tx: tx.count(model.select())) == (2 if model is Payment else 1)


@pytest.mark.parametrize(("model", "row"), _numbered(NONSENSE))
def test_nonsense_can_not_be_stored(database: Database, model: Any, row: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=REFUSED):
        _insert(database, model, row)


@pytest.mark.parametrize(("model", "row"), _numbered(UNIQUE))
def test_a_key_is_stored_once(database: Database, model: Any, row: dict[str, Any]) -> None:
    if model is not Payment:
        _insert(database, model, row)

    with pytest.raises(Contended):
        _insert(database, model, row)


@pytest.mark.parametrize("column", ["platform_id", "payment_code"])
def test_keys_that_differ_in_one_letters_case_are_two(database: Database, column: str) -> None:
    row = payment(1)
    _insert(database, Payment, row | {column: row[column].swapcase()})

    assert database.read(lambda tx: tx.count(Payment.select())) == 2
