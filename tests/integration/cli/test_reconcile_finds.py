"""Every kind of difference is found over RPC, named once, and comes with what to do."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import grpc
import pytest

from cli.clients import CannotRun, Key
from cli.output import ExitCode
from cli.reconcile import Report, verdict
from cli.reconcile.findings import Class, Finding, Kind, Repair
from core.rpc.translate import to_timestamp
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1.order_service_pb2 import (
    BatchGetOrderPaymentNotifiesRequest,
    ListOrderPaymentNotifiesRequest,
)
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_service_pb2 import RetryNotifySchedulesRequest
from paylatch.payment.v1.payment_service_pb2 import BatchGetPaymentsRequest, ListPaymentsRequest
from tests.support.clock import START
from tests.support.sides import LONG_AGO, Sides, a_payment

Run = Callable[..., Report]


def only(report: Report, kind: Kind) -> Finding:
    """The one finding of a run, which must be of this kind."""
    assert dict(report.findings.counts) == {kind: 1}
    assert report.exit_code is ExitCode.NOT_ALL
    return report.findings.listed[0]


def test_two_sides_that_agree_are_clean(sides: Sides, run: Run) -> None:
    sides.settled("P1")
    sides.settled("P2", failed=True)
    report = run()
    assert report.is_clean
    assert report.exit_code is ExitCode.OK
    assert (report.counts.payments, report.counts.succeeded, report.counts.failed) == (2, 1, 1)
    assert verdict(report) == ("Clean: 2 payments, all delivered; nothing lost, nothing twice; sums equal: USD 12.34.")


def test_no_payments_at_all_is_clean(sides: Sides, run: Run) -> None:
    assert verdict(run()) == ("Clean: 0 payments, all delivered; nothing lost, nothing twice; no money on either side.")


def test_a_purged_schedule_of_a_delivered_payment_is_no_difference(sides: Sides, run: Run) -> None:
    del sides.schedules[sides.settled()]
    assert run().is_clean


def test_agreeing_payments_cost_no_call_of_their_own(sides: Sides, run: Run) -> None:
    for number in range(10):
        sides.settled(f"P{number}")
    run()
    assert [type(request).__name__ for request in sides.requests] == [
        "ListPaymentsRequest",
        "BatchGetOrderPaymentNotifiesRequest",
        "ListPaymentsRequest",
        "ListOrderPaymentNotifiesRequest",
        "BatchGetPaymentsRequest",
    ]


def test_a_payment_still_being_tried_is_not_delivered(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.schedules[key].next_notify_time.CopyFrom(to_timestamp(START + timedelta(minutes=5)))
    finding = only(run(), Kind.NOT_DELIVERED)
    assert finding.pair.key == key
    assert finding.step.repair is None
    assert f"due at {START + timedelta(minutes=5):%Y-%m-%d %H:%M:%S}Z" in finding.step.words
    assert finding.step.call == (
        f"paylatch notify retry --action due-now --payment-address {sides.payment_address} "
        "--operator WHO --reason WHY card/P1"
    )


def test_a_payment_that_is_due_and_that_nobody_tries_is_overdue(sides: Sides, run: Run) -> None:
    schedule = sides.schedules[sides.undelivered()]
    schedule.next_notify_time.CopyFrom(to_timestamp(START - timedelta(seconds=61)))
    finding = only(run(), Kind.OVERDUE)
    assert finding.step.repair is None
    assert "is a scheduler running" in finding.step.words
    assert finding.step.call == f"paylatch notify explain --payment-address {sides.payment_address} card/P1"
    schedule.next_notify_time.CopyFrom(to_timestamp(START - timedelta(seconds=59)))
    only(run(), Kind.NOT_DELIVERED)


@pytest.mark.parametrize(("is_given_up", "action", "repair"), [(False, "due-now", None), (True, "requeue", "REQUEUE")])
def test_a_payment_for_an_order_that_is_not_there_comes_with_the_call_that_creates_it(
    sides: Sides, run: Run, is_given_up: bool, action: str, repair: str | None
) -> None:
    key = sides.undelivered()
    sides.schedules[key].last_code = grpc.StatusCode.NOT_FOUND.value[0]
    if is_given_up:
        sides.give_up(key, grpc.StatusCode.NOT_FOUND, "there is no order 'O-P1'")
    finding = only(run(), Kind.ORDER_MISSING)
    assert finding.step.repair == repair
    create, retry = finding.step.call.split(" && ")
    assert """-d '{"order_no": "O-P1", "amount_minor": 1234, "currency_code": "USD"}'""" in create
    assert retry.startswith(f"paylatch notify retry --action {action}")


def test_a_settled_payment_without_its_result_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    sides.payments[key].ClearField("notify_status")
    assert only(run(), Kind.RESULT_MISSING).step.repair is None
    del sides.notifies[key]
    assert only(run(), Kind.RESULT_MISSING).step.repair is None
    del sides.schedules[key]
    assert only(run(), Kind.RESULT_MISSING).step.repair is Repair.RESTORE


def test_a_payment_that_a_worker_holds_is_left_to_it(sides: Sides, run: Run) -> None:
    schedule = sides.schedules[sides.undelivered()]
    schedule.is_claimed, schedule.claimed_by = True, "scheduler-7"
    finding = only(run(), Kind.NOT_DELIVERED)
    assert "scheduler-7 is delivering it now" in finding.step.words
    assert finding.step.call == ""


def test_a_payment_given_up_for_lack_of_an_answer_can_be_requeued(sides: Sides, run: Run) -> None:
    sides.give_up(sides.undelivered(), grpc.StatusCode.UNAVAILABLE)
    assert only(run(), Kind.GIVEN_UP).step.repair is Repair.REQUEUE


def test_a_payment_given_up_before_any_attempt_can_be_requeued(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.give_up(key, grpc.StatusCode.UNAVAILABLE)
    sides.schedules[key].ClearField("last_code")
    assert only(run(), Kind.GIVEN_UP).step.repair is Repair.REQUEUE


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.DATA_LOSS,
    ],
)
def test_a_refused_payment_is_for_a_person(sides: Sides, run: Run, code: grpc.StatusCode) -> None:
    sides.give_up(sides.undelivered(), code)
    finding = only(run(), Kind.REFUSED)
    assert finding.step.repair is None
    assert f"refused it with {code.name}" in finding.step.words


def test_what_a_person_closed_stays_listed_is_not_repaired_and_leaves_the_run_clean(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.give_up(key, grpc.StatusCode.UNAVAILABLE)
    schedule = sides.schedules[key]
    schedule.handled_time.CopyFrom(to_timestamp(LONG_AGO))
    schedule.handled_by, schedule.handled_reason = "ana", "paid in cash"
    report = run()
    assert report.is_clean
    assert report.findings.of_class(Class.CLOSED) == {Kind.ABANDONED: 1}
    (finding,) = report.findings.listed
    assert finding.step.repair is None
    assert "ana closed it at 2020-01-01 12:00:00Z: paid in cash" in finding.step.words


def test_what_a_person_closed_stays_listed_when_its_schedule_was_purged(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    del sides.schedules[key]
    sides.payments[key].handled_note = "closed by ana at 2020-01-01: paid in cash"
    report = run()
    assert report.is_clean
    (finding,) = report.findings.listed
    assert (finding.kind, finding.step.repair) == (Kind.ABANDONED, None)
    assert "closed by ana at 2020-01-01: paid in cash" in finding.step.words


def test_a_delivery_that_a_person_closed_is_no_missing_schedule_when_it_was_purged(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    del sides.schedules[key]
    sides.payments[key].handled_note = "closed by ana at 2020-01-01: paid in cash"
    assert only(run(), Kind.ACKNOWLEDGE_MISSING).step.repair is None


def test_what_was_delivered_and_purged_is_no_difference(sides: Sides, run: Run) -> None:
    del sides.schedules[sides.settled()]
    assert run().findings.total == 0


def test_a_settled_payment_without_a_schedule_is_named(sides: Sides, run: Run) -> None:
    del sides.schedules[sides.undelivered()]
    assert only(run(), Kind.SCHEDULE_MISSING).step.repair is Repair.RESTORE


def test_a_delivered_payment_without_a_schedule_to_acknowledge_it_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    del sides.schedules[key]
    assert only(run(), Kind.SCHEDULE_MISSING).step.repair is Repair.RESTORE


def test_what_the_order_side_lost_is_reopened(sides: Sides, run: Run) -> None:
    del sides.notifies[sides.settled()]
    assert only(run(), Kind.LOST_BY_ORDER_SIDE).step.repair is Repair.REOPEN


def test_what_the_order_side_lost_is_restored_if_its_schedule_was_purged(sides: Sides, run: Run) -> None:
    key = sides.settled()
    del sides.notifies[key], sides.schedules[key]
    assert only(run(), Kind.LOST_BY_ORDER_SIDE).step.repair is Repair.RESTORE


def test_what_the_order_side_lost_and_is_on_its_way_again_is_waited_for(sides: Sides, run: Run) -> None:
    key = sides.settled()
    del sides.notifies[key]
    sides.schedules[key].status = payment_enums.SCHEDULE_STATUS_NOTIFYING
    assert only(run(), Kind.LOST_BY_ORDER_SIDE).step.repair is None


def test_a_delivery_that_was_never_acknowledged_is_named(sides: Sides, run: Run) -> None:
    sides.unacknowledge(sides.settled())
    assert only(run(), Kind.ACKNOWLEDGE_MISSING).step.repair is None


def test_a_delivery_that_was_never_acknowledged_and_given_up_is_requeued(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    sides.give_up(key, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert only(run(), Kind.ACKNOWLEDGE_MISSING).step.repair is Repair.REQUEUE


def test_a_finished_schedule_of_an_unacknowledged_payment_is_for_a_person(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    sides.schedules[key].status = payment_enums.SCHEDULE_STATUS_SUCCESS
    finding = only(run(), Kind.ACKNOWLEDGE_MISSING)
    assert finding.step.repair is None
    assert finding.step.call.startswith("paylatch notify show")


@pytest.mark.parametrize(("is_purged", "action"), [(False, "reopen"), (True, "restore")])
def test_another_disposition_on_the_order_side_is_named_and_not_repaired(
    sides: Sides, run: Run, is_purged: bool, action: str
) -> None:
    key = sides.settled()
    sides.payments[key].disposition = order_enums.DISPOSITION_DUPLICATE_PAYMENT
    if is_purged:
        del sides.schedules[key]
    finding = only(run(), Kind.DISPOSITION_DIFFERS)
    assert finding.step.repair is None
    assert finding.step.call.startswith(f"paylatch notify retry --action {action}")


@pytest.mark.parametrize(
    ("field", "value"), [("order_no", "O-other"), ("amount_minor", 1_235), ("currency_code", "EUR")]
)
def test_other_content_on_the_order_side_is_named_by_field(sides: Sides, run: Run, field: str, value: object) -> None:
    setattr(sides.notifies[sides.settled()], field, value)
    assert f"differ in {field};" in only(run(), Kind.CONTENT_DIFFERS).step.words


def test_a_success_the_order_side_took_for_a_failure_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.notifies[key].outcome = order_enums.PAYMENT_OUTCOME_FAILED
    assert "differ in outcome;" in only(run(), Kind.OUTCOME_DIFFERS).step.words


def test_a_success_the_payment_side_settled_as_failed_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.payments[key].CopyFrom(a_payment(key, failed=True))
    only(run(), Kind.OUTCOME_DIFFERS)


def test_a_payment_the_payment_side_does_not_know_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    del sides.payments[key], sides.schedules[key]
    finding = only(run(), Kind.PAYMENT_UNKNOWN)
    assert finding.step.repair is None
    assert "CreatePayment" in finding.step.call
    assert "ReportPaymentResult" in finding.step.call


def test_a_payment_the_payment_side_has_not_settled_is_named(sides: Sides, run: Run) -> None:
    key = sides.settled()
    payment = sides.payments[key]
    payment.status = payment_enums.PAYMENT_STATUS_PENDING
    for field in ("settle_time", "notify_status", "disposition"):
        payment.ClearField(field)
    del sides.schedules[key]
    finding = only(run(), Kind.PAYMENT_UNSETTLED)
    assert "CreatePayment" not in finding.step.call
    assert '"status": "PAYMENT_STATUS_SUCCESS"' in finding.step.call


def test_an_order_not_paid_by_its_applied_payment_is_named(sides: Sides, run: Run) -> None:
    sides.notifies[sides.settled()].is_paying_key = False
    only(run(), Kind.ORDER_STATE_WRONG)


def test_an_order_not_paid_at_all_by_its_applied_payment_is_named(sides: Sides, run: Run) -> None:
    sides.notifies[sides.settled()].order_status = order_enums.ORDER_STATUS_CANCELLED
    only(run(), Kind.ORDER_STATE_WRONG)


def test_an_order_paid_by_a_payment_that_was_not_applied_is_named(sides: Sides, run: Run) -> None:
    key = _exception(sides, order_enums.DISPOSITION_DUPLICATE_PAYMENT)
    sides.notifies[key].resolution = order_enums.EXCEPTION_RESOLUTION_RETURNED
    sides.notifies[key].is_paying_key = True
    only(run(), Kind.ORDER_STATE_WRONG)


@pytest.mark.parametrize("status", [order_enums.ORDER_STATUS_PROCESSING, order_enums.ORDER_STATUS_COMPLETED])
def test_an_order_that_went_on_after_it_was_paid_is_right(
    sides: Sides, run: Run, status: "order_enums.OrderStatus.ValueType"
) -> None:
    sides.notifies[sides.settled()].order_status = status
    assert run().is_clean


@pytest.mark.parametrize(
    "disposition",
    [
        order_enums.DISPOSITION_DUPLICATE_PAYMENT,
        order_enums.DISPOSITION_ORDER_CANCELLED,
        order_enums.DISPOSITION_AMOUNT_MISMATCH,
    ],
)
def test_an_open_payment_exception_stands_open_and_is_no_difference(
    sides: Sides, run: Run, disposition: "order_enums.Disposition.ValueType"
) -> None:
    _exception(sides, disposition)
    report = run()
    finding = only(report, Kind.PAYMENT_EXCEPTION)
    assert report.findings.of_class(Class.DIFFERENCE) == {}
    assert report.findings.of_class(Class.OPEN_MATTER) == {Kind.PAYMENT_EXCEPTION: 1}
    assert finding.step.call == (
        f"paylatch exceptions resolve --resolution returned --order-address {sides.order_address} "
        "--operator WHO --reason WHY card/P1"
    )
    assert finding.step.repair is None
    assert verdict(report).startswith("Not clean: 1 open matter; 1 payment, all delivered; sums equal")


def test_a_returned_payment_exception_is_closed(sides: Sides, run: Run) -> None:
    key = _exception(sides, order_enums.DISPOSITION_ORDER_CANCELLED)
    sides.notifies[key].resolution = order_enums.EXCEPTION_RESOLUTION_RETURNED
    assert run().is_clean


def test_an_accepted_payment_exception_must_have_paid_its_order(sides: Sides, run: Run) -> None:
    key = _exception(sides, order_enums.DISPOSITION_AMOUNT_MISMATCH)
    sides.notifies[key].resolution = order_enums.EXCEPTION_RESOLUTION_ACCEPTED
    only(run(), Kind.ORDER_STATE_WRONG)
    sides.notifies[key].is_paying_key = True
    sides.notifies[key].order_status = order_enums.ORDER_STATUS_PAID
    sides.notifies[key].payment_status = order_enums.ORDER_PAYMENT_STATUS_PAID
    assert run().is_clean


def test_a_contradictory_report_stands_open(sides: Sides, run: Run) -> None:
    payment = sides.payments[sides.settled()]
    payment.conflict_status = payment_enums.PAYMENT_STATUS_FAILED
    payment.conflict_time.CopyFrom(to_timestamp(LONG_AGO))
    report = run()
    only(report, Kind.OUTCOME_CONFLICT)
    assert report.findings.of_class(Class.OPEN_MATTER) == {Kind.OUTCOME_CONFLICT: 1}


def test_a_payment_settled_within_the_grace_is_left_out(sides: Sides, run: Run) -> None:
    _settled_at(sides, timedelta(seconds=-59))
    report = run(grace=timedelta(seconds=60))
    assert report.is_clean
    assert report.counts.payments == 0
    only(run(grace=timedelta(seconds=58)), Kind.OVERDUE)


def test_a_payment_with_a_settle_time_in_the_future_is_compared_all_the_same(sides: Sides, run: Run) -> None:
    _settled_at(sides, timedelta(days=1))
    only(run(), Kind.OVERDUE)


def test_a_payment_settled_long_ago_and_reported_just_now_is_on_its_way(sides: Sides, run: Run) -> None:
    key = sides.undelivered(amount=500)
    sides.schedules[key].create_time.CopyFrom(to_timestamp(START - timedelta(seconds=1)))
    sides.schedules[key].ClearField("last_code")
    report = run()
    assert report.is_clean
    assert verdict(report).startswith("Clean: 1 payment, 0 delivered and 1 not, 1 on their way;")
    assert report.sums["USD"].undelivered == 500


def test_a_payment_reported_just_now_whose_first_attempt_failed_is_named(sides: Sides, run: Run) -> None:
    key = sides.undelivered()
    sides.schedules[key].create_time.CopyFrom(to_timestamp(START - timedelta(seconds=1)))
    only(run(), Kind.OVERDUE)


def test_a_delivery_of_this_moment_may_be_acknowledged_later(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    sides.notifies[key].create_time.CopyFrom(to_timestamp(START))
    assert run().is_clean


def test_each_payment_is_judged_once_though_both_sides_are_read(sides: Sides, run: Run) -> None:
    sides.unacknowledge(sides.settled("P1"))
    sides.notifies[sides.settled("P2")].amount_minor = 1
    report = run()
    assert report.findings.counts == {Kind.ACKNOWLEDGE_MISSING: 1, Kind.CONTENT_DIFFERS: 1}
    assert report.counts.payments == 2


def test_a_key_on_another_platform_is_another_payment(sides: Sides, run: Run) -> None:
    sides.settled("P1", platform="card")
    key = sides.undelivered("P1", platform="CARD")
    assert only(run(), Kind.OVERDUE).pair.key == key


def test_many_payments_are_read_in_pages_and_batches_of_at_most_500(sides: Sides, run: Run) -> None:
    for number in range(1_201):
        sides.settled(f"P{number}")
    for key in list(sides.payments)[:3]:
        del sides.notifies[key]
    assert run().findings.counts == {Kind.LOST_BY_ORDER_SIDE: 3}
    assert [request.page_size for request in sides.made(ListPaymentsRequest)] == [500, 500, 500, 500]
    assert [request.page_size for request in sides.made(ListOrderPaymentNotifiesRequest)] == [500, 500, 500]
    batches = [len(request.requests) for request in sides.made(BatchGetOrderPaymentNotifiesRequest)]
    assert batches == [500, 500, 201, 3]
    assert [len(request.requests) for request in sides.made(BatchGetPaymentsRequest)] == [3, 500, 500, 198]


def test_no_more_than_the_limit_of_each_kind_is_listed_and_all_are_counted(sides: Sides, run: Run) -> None:
    for number in range(5):
        sides.undelivered(f"N{number}")
        del sides.notifies[sides.settled(f"L{number}")]
    report = run(limit=2)
    assert report.findings.counts == {Kind.OVERDUE: 5, Kind.LOST_BY_ORDER_SIDE: 5}
    assert [finding.kind for finding in report.findings.in_order] == [
        Kind.OVERDUE,
        Kind.OVERDUE,
        Kind.LOST_BY_ORDER_SIDE,
        Kind.LOST_BY_ORDER_SIDE,
    ]


def test_a_window_has_the_payments_settled_in_it_and_no_others(sides: Sides, run: Run) -> None:
    for code, hours in {"too-early": 4, "first": 3, "last": 2, "too-late": 1}.items():
        key = sides.undelivered(code)
        sides.payments[key].settle_time.CopyFrom(to_timestamp(START - timedelta(hours=hours)))
    report = run(since=START - timedelta(hours=3), until=START - timedelta(hours=1))
    assert {finding.pair.key.payment_code for finding in report.findings.listed} == {"first", "last"}
    assert (report.counts.payments, report.sums["USD"].settled) == (2, 2_468)


def test_a_window_has_the_notifications_taken_down_in_it_whose_payment_is_not_settled(sides: Sides, run: Run) -> None:
    for code, hours in {"too-early": 4, "first": 3, "last": 2, "too-late": 1}.items():
        key = sides.settled(code)
        sides.notifies[key].create_time.CopyFrom(to_timestamp(START - timedelta(hours=hours)))
        del sides.payments[key], sides.schedules[key]
    sides.notifies[sides.settled("settled-elsewhere")].create_time.CopyFrom(to_timestamp(START - timedelta(hours=2)))
    report = run(since=START - timedelta(hours=3), until=START - timedelta(hours=1))
    assert {finding.pair.key.payment_code for finding in report.findings.listed} == {"first", "last"}
    assert report.findings.counts == {Kind.PAYMENT_UNKNOWN: 2}
    assert (report.counts.notifies, report.counts.payments) == (3, 0)


def test_windows_side_by_side_find_together_what_one_run_finds(sides: Sides, run: Run) -> None:
    for number in range(24):
        key = sides.settled(f"P{number}")
        time = to_timestamp(START - timedelta(hours=number + 1))
        sides.payments[key].settle_time.CopyFrom(time)
        sides.notifies[key].create_time.CopyFrom(time)
        if number % 3:
            del (sides.notifies if number % 2 else sides.payments)[key]
    whole = run(limit=99)
    edges = [None, START - timedelta(hours=17), START - timedelta(hours=9, minutes=30), START]
    parts = [run(limit=99, since=since, until=until) for since, until in itertools.pairwise(edges)]
    assert sum((part.findings.counts for part in parts), Counter()) == whole.findings.counts
    assert sum(part.counts.payments for part in parts) == whole.counts.payments
    assert sum(part.sums["USD"].difference for part in parts) == whole.sums["USD"].difference


def test_a_window_ends_before_the_grace_even_if_a_later_end_is_asked_for(sides: Sides, run: Run) -> None:
    _settled_at(sides, timedelta(seconds=-30))
    assert run(until=START + timedelta(days=1)).counts.payments == 0


def test_a_window_without_any_time_in_it_is_refused(run: Run) -> None:
    with pytest.raises(CannotRun, match="there is nothing between --since"):
        run(since=START - timedelta(seconds=30))


def test_nothing_is_changed_without_repair(sides: Sides, run: Run) -> None:
    del sides.notifies[sides.settled()]
    run()
    assert sides.made(RetryNotifySchedulesRequest) == []


def _settled_at(sides: Sides, when: timedelta) -> Key:
    key = sides.undelivered()
    sides.payments[key].settle_time.CopyFrom(to_timestamp(START + when))
    return key


def _exception(sides: Sides, disposition: "order_enums.Disposition.ValueType") -> Key:
    key = sides.settled()
    sides.payments[key].disposition = disposition
    notify = sides.notifies[key]
    notify.disposition = disposition
    notify.is_paying_key = False
    notify.order_status = order_enums.ORDER_STATUS_NEW
    notify.payment_status = order_enums.ORDER_PAYMENT_STATUS_UNPAID
    return key
