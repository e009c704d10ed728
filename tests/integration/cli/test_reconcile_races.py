"""What changes while it is being compared is no difference: each is read again before it is named."""

from collections.abc import Callable

import grpc
import pytest

from cli.clients import CallFailed, CannotRun, Key
from cli.reconcile import Report
from cli.reconcile.findings import Kind
from core.rpc.translate import to_timestamp
from core.rules.errors import Contended, InvalidInput, Unavailable
from paylatch.order.v1.order_service_pb2 import BatchGetOrderPaymentNotifiesRequest
from paylatch.payment.v1.payment_service_pb2 import BatchGetPaymentsRequest, ListPaymentsRequest
from tests.support.clock import START
from tests.support.sides import Sides

Run = Callable[..., Report]


def deliver(sides: Sides, key: Key) -> None:
    """What a sender does, all of it, now."""
    sides.settled(key.payment_code)
    sides.notifies[key].create_time.CopyFrom(to_timestamp(START))


def arrive(sides: Sides, key: Key) -> None:
    """The first half of it: the order side has it."""
    kept = sides.payments[key], sides.schedules[key]
    deliver(sides, key)
    sides.payments[key], sides.schedules[key] = kept


def nothing() -> None:
    """Let a call pass."""


def test_a_payment_delivered_before_the_second_reading_is_no_difference(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.before["BatchGetNotifySchedules"] = [lambda: deliver(sides, key)]
    report = run()
    assert report.is_clean
    assert (report.counts.delivered, report.counts.undelivered) == (1, 0)
    assert report.sums["USD"].applied == 1_234


@pytest.mark.parametrize("method", ["BatchGetPayments", "BatchGetOrderPaymentNotifies"])
def test_a_payment_delivered_in_the_middle_of_the_second_reading_is_no_difference(
    sides: Sides, run: Run, method: str
) -> None:
    key = sides.undelivered()
    first_reading = [nothing] if method == "BatchGetOrderPaymentNotifies" else []
    sides.before[method] = [*first_reading, lambda: deliver(sides, key)]
    assert run().is_clean


def test_a_payment_that_arrives_and_waits_for_its_acknowledgement_is_on_its_way(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.before["BatchGetOrderPaymentNotifies"] = [nothing, lambda: arrive(sides, key)]
    report = run()
    assert report.is_clean
    assert report.counts.on_their_way == 1


def test_a_payment_reported_before_the_second_reading_is_no_phantom(sides: Sides, run: Run) -> None:
    key = sides.settled()
    payment = sides.payments.pop(key)
    sides.before["BatchGetPayments"] = [nothing, lambda: sides.payments.update({key: payment})]
    assert run().is_clean


def test_a_difference_is_named_as_it_is_at_the_second_reading(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.before["BatchGetNotifySchedules"] = [lambda: sides.give_up(key, grpc.StatusCode.UNAVAILABLE)]
    assert run().findings.counts == {Kind.GIVEN_UP: 1}


def test_every_difference_is_read_once_more_and_no_more(sides: Sides, run: Run) -> None:
    del sides.notifies[sides.settled("lost")]
    sides.settled("fine")
    run()
    asked = [[key.payment_code for key in request.requests] for request in sides.made(BatchGetPaymentsRequest)]
    assert asked == [["lost"], ["fine"]]
    asked = [
        [key.payment_code for key in request.requests] for request in sides.made(BatchGetOrderPaymentNotifiesRequest)
    ]
    assert asked == [["fine", "lost"], ["lost"]]


def test_a_server_that_is_away_for_a_moment_is_asked_again(sides: Sides, run: Run) -> None:
    sides.undelivered()
    for method in ("ListPayments", "BatchGetOrderPaymentNotifies", "BatchGetNotifySchedules"):
        sides.before[method] = [_raise(Unavailable("the database is away", reason="DATABASE_UNAVAILABLE"))]
    assert run().findings.counts == {Kind.OVERDUE: 1}


def test_a_server_that_stays_away_ends_the_run(sides: Sides, run: Run) -> None:
    sides.before["ListPayments"] = [_raise(Unavailable("the database is away", reason="DATABASE_UNAVAILABLE"))] * 9
    with pytest.raises(CallFailed, match=r"answered UNAVAILABLE: DATABASE_UNAVAILABLE: the database is away"):
        run()
    assert len(sides.made(ListPaymentsRequest)) == 3


def test_a_call_that_fails_otherwise_is_not_repeated(sides: Sides, run: Run) -> None:
    sides.before["ListPayments"] = [_raise(Contended())] * 9
    with pytest.raises(CallFailed, match="ABORTED: CONTENDED"):
        run()
    assert len(sides.made(ListPaymentsRequest)) == 1


def test_a_schedule_that_cannot_be_read_ends_the_run(sides: Sides, run: Run) -> None:
    sides.undelivered()
    sides.before["BatchGetNotifySchedules"] = [_raise(InvalidInput([]))] * 2
    with pytest.raises(CallFailed, match="INVALID_ARGUMENT"):
        run()


def test_an_answer_that_leaves_out_a_key_ends_the_run(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.mistaken[key] = Key("card", "another")
    with pytest.raises(CannotRun, match="was asked for 1 keys and left out card/P1"):
        run()


def _raise(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail
