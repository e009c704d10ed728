"""`--repair` asks for what is safe and for nothing else, and says what became of it."""

from collections.abc import Callable

import grpc

from cli.clients import Key
from cli.output import ExitCode
from cli.reconcile import Report
from cli.reconcile.findings import Repair
from core.rpc.translate import to_timestamp
from core.rules.errors import Unavailable
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_service_pb2 import RetryNotifySchedulesRequest
from tests.support.sides import LONG_AGO, READ_TIME, Sides

Run = Callable[..., Report]


def test_each_repair_is_asked_for_with_exactly_the_keys_it_is_safe_for(sides: Sides, run: Run) -> None:
    requeue = sides.undelivered("given-up")
    sides.give_up(requeue, grpc.StatusCode.DEADLINE_EXCEEDED)
    reopen = sides.settled("lost")
    del sides.notifies[reopen]
    restore = sides.undelivered("no-schedule")
    del sides.schedules[restore]
    purged = sides.settled("lost-and-purged")
    del sides.notifies[purged], sides.schedules[purged]
    report = run(repair=True)
    assert sorted(sides.made(RetryNotifySchedulesRequest), key=lambda request: request.action) == [
        _request("REQUEUE", [requeue], "reconcile: given up for lack of an answer"),
        _request("REOPEN", [reopen], "reconcile: the order side was asked twice and does not have it"),
        _request("RESTORE", [purged, restore], "reconcile: settled, and without a schedule"),
    ]
    assert report.repair is not None
    assert report.repair.changed == 4
    assert report.exit_code is ExitCode.NOT_ALL


def test_what_is_for_a_person_is_not_touched(sides: Sides, run: Run) -> None:
    sides.undelivered("being-tried")
    sides.give_up(sides.undelivered("refused"), grpc.StatusCode.ALREADY_EXISTS)
    _handle(sides, "handled")
    sides.notifies[sides.settled("other-amount")].amount_minor = 1
    sides.notifies[sides.settled("wrong-order")].is_paying_key = False
    sides.payments[sides.settled("other-disposition")].disposition = order_enums.DISPOSITION_IGNORED
    del sides.payments[sides.settled("phantom")]
    _except(sides, "exception")
    _contradict(sides, "conflict")
    report = run(repair=True)
    assert report.findings.total == 9
    assert sides.made(RetryNotifySchedulesRequest) == []


def test_content_that_differs_is_not_sent_again(sides: Sides, run: Run) -> None:
    key = sides.settled()
    sides.unacknowledge(key)
    sides.give_up(key, grpc.StatusCode.UNAVAILABLE)
    sides.notifies[key].amount_minor = 1
    run(repair=True)
    assert sides.made(RetryNotifySchedulesRequest) == []


def test_what_healed_before_the_second_reading_is_not_touched(sides: Sides, run: Run) -> None:
    key = sides.settled()
    notify = sides.notifies.pop(key)
    sides.before["BatchGetNotifySchedules"] = [lambda: sides.notifies.update({key: notify})]
    assert run(repair=True).is_clean
    assert sides.made(RetryNotifySchedulesRequest) == []


def test_who_asks_and_why_are_those_of_the_options(sides: Sides, run: Run) -> None:
    del sides.notifies[sides.settled()]
    run(repair=True, operator="ana", reason="the order database was restored")
    (request,) = sides.made(RetryNotifySchedulesRequest)
    assert (request.operator, request.reason) == ("ana", "the order database was restored")


def test_repairs_are_asked_for_in_batches_of_at_most_500_and_not_only_those_listed(sides: Sides, run: Run) -> None:
    for number in range(1_100):
        del sides.notifies[sides.settled(f"P{number}")]
    report = run(repair=True, limit=1)
    assert [len(request.keys) for request in sides.made(RetryNotifySchedulesRequest)] == [500, 500, 100]
    assert report.repair is not None
    assert report.repair.by_repair[Repair.REOPEN].changed == 1_100


def test_a_payment_that_may_not_be_repaired_any_more_is_told(sides: Sides, run: Run) -> None:
    key = sides.settled()
    del sides.notifies[key]
    status = payment_enums.SCHEDULE_STATUS_NOTIFYING
    sides.before["RetryNotifySchedules"] = [lambda: setattr(sides.schedules[key], "status", status)]
    report = run(repair=True)
    assert report.repair is not None
    assert (report.repair.changed, report.repair.by_repair[Repair.REOPEN].refused) == (0, 1)
    (refusal,) = report.repair.refusals
    assert (refusal.key, refusal.repair, refusal.reason) == (key, Repair.REOPEN, "ILLEGAL_EVENT")


def test_a_repair_whose_call_fails_is_told_and_not_repeated(sides: Sides, run: Run) -> None:
    del sides.notifies[sides.settled()]

    def fail() -> None:
        raise Unavailable("the commit is unknown", reason="RESULT_UNKNOWN")

    sides.before["RetryNotifySchedules"] = [fail]
    report = run(repair=True)
    assert len(sides.made(RetryNotifySchedulesRequest)) == 1
    assert report.repair is not None
    assert report.repair.by_repair[Repair.REOPEN].unknown == 1
    assert "RESULT_UNKNOWN: the commit is unknown" in report.repair.failures[0]


def test_nothing_to_repair_asks_for_nothing(sides: Sides, run: Run) -> None:
    sides.settled()
    report = run(repair=True)
    assert report.is_clean
    assert report.repair is not None
    assert report.repair.by_repair == {}


def _request(action: str, keys: list[Key], reason: str) -> RetryNotifySchedulesRequest:
    return RetryNotifySchedulesRequest(
        action=payment_enums.RetryAction.Value(f"RETRY_ACTION_{action}"),
        keys=[key.message for key in keys],
        operator="reconcile",
        reason=reason,
        unchanged_since=READ_TIME,
    )


def _handle(sides: Sides, code: str) -> None:
    key = sides.undelivered(code)
    sides.give_up(key, grpc.StatusCode.UNAVAILABLE)
    sides.schedules[key].handled_time.CopyFrom(to_timestamp(LONG_AGO))


def _except(sides: Sides, code: str) -> None:
    key = sides.settled(code)
    sides.payments[key].disposition = order_enums.DISPOSITION_ORDER_CANCELLED
    sides.notifies[key].disposition = order_enums.DISPOSITION_ORDER_CANCELLED
    sides.notifies[key].is_paying_key = False


def _contradict(sides: Sides, code: str) -> None:
    payment = sides.payments[sides.settled(code)]
    payment.conflict_status = payment_enums.PAYMENT_STATUS_FAILED
    payment.conflict_time.CopyFrom(to_timestamp(LONG_AGO))
