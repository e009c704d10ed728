import threading
from typing import Any

import pytest

from core.rules.codes import PaymentStatus
from core.rules.errors import AlreadyExists, Unavailable
from core.store.database import Database
from payment_server.views import PaymentView
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.payments import Payments, new_payment
from tests.support.rows import OTHER_TARGET

DIFFERENCES: dict[str, Any] = {
    "order_no": "O-2",
    "amount_minor": 1_235,
    "currency_code": "EUR",
    "notify_url": OTHER_TARGET,
}


@pytest.fixture
def payments(payment_database: Database, clock: TestClock) -> Payments:
    return Payments(payment_database, clock, capacity=0)


def test_a_created_payment_waits(payments: Payments) -> None:
    (view,) = payments.create(1)

    assert (view.payment.status, view.payment.create_time) == (PaymentStatus.WAITING, START)
    assert (view.payment.trade_no, view.payment.failure_reason, view.payment.settle_time) == ("", "", None)
    assert (view.notify_status, view.disposition) == (None, None)
    assert payments.triples() == (0, 0, 0)


def test_the_same_content_again_answers_the_payment_as_it_is_now(payments: Payments) -> None:
    first, second = payments.create(1, 1)
    assert first == second

    payments.report(1)
    (third,) = payments.create(1)
    assert third.payment.status == PaymentStatus.SUCCESS
    assert third.notify_status is not None


@pytest.mark.parametrize("field", DIFFERENCES)
def test_other_content_is_refused_and_named_and_nothing_changes(payments: Payments, field: str) -> None:
    payments.create(1)
    before = payments.payment()

    with pytest.raises(AlreadyExists) as refused:
        payments.create(1, **{field: DIFFERENCES[field]})
    assert refused.value.reason == "PAYMENT_DIFFERS"
    assert refused.value.metadata == {"fields": field}
    assert field in refused.value.message
    assert payments.payment() == before


def test_all_fields_that_differ_are_named(payments: Payments) -> None:
    payments.create(1)

    with pytest.raises(AlreadyExists) as refused:
        payments.create(1, **DIFFERENCES)
    assert refused.value.metadata == {"fields": "order_no,amount_minor,currency_code,notify_url"}


def test_the_same_code_on_another_platform_is_another_payment(payments: Payments) -> None:
    payments.create(1)
    (other,) = payments.create(1, platform_id="wechatpay", amount_minor=99)

    assert other.payment.amount_minor == 99


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_commit_that_raised_makes_one_payment(payments: Payments, way: Commit) -> None:
    with commits(payments.database, [way]):
        (view,) = payments.create(1)

    assert view.payment == payments.payment()


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_result_that_stays_unknown_is_decided_by_the_same_call_again(payments: Payments, way: Commit) -> None:
    with commits(payments.database, [way] * 3), pytest.raises(Unavailable) as told:
        payments.create(1)

    assert told.value.reason == "RESULT_UNKNOWN"
    (view,) = payments.create(1)
    assert view.payment == payments.payment()


def test_two_creations_at_the_same_instant_make_one_row_and_both_are_answered(payments: Payments) -> None:
    barrier = threading.Barrier(8)
    answers: list[PaymentView] = []

    def create() -> None:
        barrier.wait()
        answers.append(payments.create_payment(new_payment(1)))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 8
