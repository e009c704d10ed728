"""PaymentService over the wire: what a caller is promised, whatever happens to the order side."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2

from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import PaymentStatus, ScheduleStatus
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import payment_enums_pb2
from paylatch.payment.v1 import payment_service_pb2 as pb
from payment_server.tables import Payment
from tests.integration.payment_server.payment_side import (
    DEADLINE,
    FAILED,
    SUCCESS,
    PaymentSide,
    details_of,
    reason_of,
)


def test_a_created_payment_is_pending_and_the_same_content_again_answers_it(side: PaymentSide) -> None:
    first = side.create()
    assert first.status == payment_enums_pb2.PAYMENT_STATUS_PENDING
    assert not first.HasField("notify_status")
    assert side.create() == first
    assert len(side.rows(Payment)) == 1


def test_the_same_key_with_other_content_is_refused_and_the_difference_is_named(side: PaymentSide) -> None:
    side.create()
    with pytest.raises(grpc.RpcError) as refused:
        side.create(amount_minor=1, order_no="O2")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert reason_of(refused.value) == "PAYMENT_DIFFERS"
    assert "order_no, amount_minor" in str(refused.value.details())
    assert side.get().amount_minor == 2_933


def test_twenty_identical_creations_at_once_make_one_payment(side: PaymentSide) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: side.create(), range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert len(side.rows(Payment)) == 1


@pytest.mark.parametrize("outcome", [SUCCESS, FAILED])
def test_a_report_settles_the_payment_and_schedules_its_notification(
    side: PaymentSide, outcome: payment_enums_pb2.PaymentStatus.ValueType
) -> None:
    side.create()
    payment = side.report(outcome, trade_no="T1", failure_reason="", amount_minor=2_933, currency_code="USD")
    assert payment.status == outcome
    assert payment.notify_status == payment_enums_pb2.NOTIFY_STATUS_UNNOTIFIED
    assert payment.trade_no == "T1"
    (schedule,) = side.rows(NotifySchedule)
    assert schedule.notify_status is ScheduleStatus.NOTIFYING
    assert len(side.rows(PaymentResult)) == 1


def test_the_same_report_again_changes_nothing_and_another_trade_no_is_only_logged(side: PaymentSide) -> None:
    side.create()
    first = side.report(trade_no="T1")
    assert side.report(trade_no="T2") == first
    assert [line["kept"] for line in side.logged if line["event"] == "payment.trade_no_differs"] == ["T1"]
    assert len(side.rows(NotifySchedule)) == 1


def test_twenty_identical_reports_at_once_settle_once(side: PaymentSide) -> None:
    side.create()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: side.report(), range(20)))
    assert {answer.status for answer in answers} == {SUCCESS}
    assert len(side.rows(PaymentResult)) == len(side.rows(NotifySchedule)) == 1


def test_the_opposite_outcome_is_refused_but_written_down_and_alarmed(side: PaymentSide) -> None:
    side.create()
    side.report(SUCCESS, trade_no="T1")
    with pytest.raises(grpc.RpcError) as refused:
        side.report(FAILED, trade_no="T2")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "OUTCOME_CONFLICT"
    assert details_of(refused.value, error_details_pb2.PreconditionFailure).violations[0].type == "LIFE_CYCLE"
    payment = side.get()
    assert (payment.status, payment.trade_no) == (SUCCESS, "T1")
    assert (payment.conflict_status, payment.conflict_trade_no) == (FAILED, "T2")
    listed = side.payments.ListPayments(pb.ListPaymentsRequest(has_conflict=True), timeout=DEADLINE)
    assert [each.payment_code for each in listed.payments] == ["P1"]
    assert [line["log_level"] for line in side.logged if line["event"] == "payment.conflict"] == ["error"]


def test_the_opposite_outcome_is_written_down_whatever_amount_is_told_with_it(side: PaymentSide) -> None:
    side.create()
    side.report(FAILED)
    with pytest.raises(grpc.RpcError) as refused:
        side.report(SUCCESS, trade_no="T2", amount_minor=1)
    assert reason_of(refused.value) == "OUTCOME_CONFLICT"
    assert (side.get().conflict_status, side.get().conflict_trade_no) == (SUCCESS, "T2")


def test_success_and_failure_at_once_settle_one_way_and_the_other_is_kept_as_a_conflict(side: PaymentSide) -> None:
    side.create()

    def report(status: payment_enums_pb2.PaymentStatus.ValueType) -> grpc.StatusCode:
        try:
            side.report(status)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(2) as pool:
        answers = set(pool.map(report, [SUCCESS, FAILED]))
    assert answers == {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION}
    payment = side.get()
    assert {payment.status, payment.conflict_status} == {SUCCESS, FAILED}


def test_an_unknown_payment_is_not_found_by_any_rpc(side: PaymentSide) -> None:
    for call in (side.get, side.report):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert reason_of(refused.value) == "PAYMENT_NOT_FOUND"


def test_keys_that_differ_in_case_are_different_payments(side: PaymentSide) -> None:
    side.create(payment_code="P1")
    side.create(payment_code="p1", amount_minor=7)
    assert (side.get("P1").amount_minor, side.get("p1").amount_minor) == (2_933, 7)


def test_a_batch_answers_each_report_on_its_own_and_in_order(side: PaymentSide) -> None:
    side.create(payment_code="P1")
    side.create(payment_code="P2")

    def item(code: str, status: payment_enums_pb2.PaymentStatus.ValueType) -> pb.ReportPaymentResultRequest:
        return pb.ReportPaymentResultRequest(platform_id="alipay", payment_code=code, status=status)

    requests = [item("P1", SUCCESS), item("", SUCCESS), item("P1", FAILED), item("nobody", SUCCESS), item("P2", FAILED)]
    response = side.payments.BatchReportPaymentResults(
        pb.BatchReportPaymentResultsRequest(requests=requests), timeout=DEADLINE
    )
    told = [(result.payment_code, result.error.reason or result.response.payment.status) for result in response.results]
    assert told == [
        ("P1", SUCCESS),
        ("", "INVALID_FIELDS"),
        ("P1", "OUTCOME_CONFLICT"),
        ("nobody", "PAYMENT_NOT_FOUND"),
        ("P2", FAILED),
    ]
    assert {row.payment_code: row.status for row in side.rows(Payment)} == {
        "P1": PaymentStatus.SUCCESS,
        "P2": PaymentStatus.FAILED,
    }
    assert side.get("P1").conflict_status == FAILED


def test_a_batch_get_answers_each_key_on_its_own(side: PaymentSide) -> None:
    side.create()
    keys = [PaymentKey(platform_id="alipay", payment_code=code) for code in ("P1", "P2", "a b")]
    response = side.payments.BatchGetPayments(pb.BatchGetPaymentsRequest(requests=keys), timeout=DEADLINE)
    assert [result.error.reason for result in response.results] == ["", "PAYMENT_NOT_FOUND", "INVALID_FIELDS"]
    assert response.results[0].response.payment.order_no == "O1"


def test_settled_payments_of_a_window_are_paged_by_when_they_were_settled(side: PaymentSide) -> None:
    """However they were created; those settled at the same instant too are listed once each."""
    settled = {"P0": 30, "P1": 10, "P2": 20, "P3": 20, "P4": 20, "P5": 40, "P6": 9}
    for code, seconds in settled.items():
        side.create(payment_code=code)
        side.report(payment_code=code, settle_time={"seconds": 1_700_000_000 + seconds})
    window = {"settled_after": {"seconds": 1_700_000_010}, "settled_before": {"seconds": 1_700_000_040}}
    codes: list[str] = []
    request = pb.ListPaymentsRequest(page_size=2, **window)  # type: ignore[arg-type]  # as dictionaries
    while True:
        page = side.payments.ListPayments(request, timeout=DEADLINE)
        codes += [payment.payment_code for payment in page.payments]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert codes == ["P0", "P4", "P3", "P2", "P1"]


def test_a_list_is_paged_newest_first_and_a_token_fits_only_its_filters(side: PaymentSide) -> None:
    for number in range(5):
        side.create(payment_code=f"P{number}")
    codes: list[str] = []
    token = ""
    while True:
        page = side.payments.ListPayments(pb.ListPaymentsRequest(page_size=2, page_token=token), timeout=DEADLINE)
        codes += [payment.payment_code for payment in page.payments]
        token = page.next_page_token
        if not token:
            break
        with pytest.raises(grpc.RpcError):
            side.payments.ListPayments(pb.ListPaymentsRequest(page_token=token, order_no="O1"), timeout=DEADLINE)
    assert codes == ["P4", "P3", "P2", "P1", "P0"]


def test_lists_filter_by_status_notification_order_and_time(side: PaymentSide) -> None:
    side.create(payment_code="P1", order_no="O1")
    side.create(payment_code="P2", order_no="O2")
    settled = side.report(payment_code="P2")

    def listed(**filters: object) -> list[str]:
        request = pb.ListPaymentsRequest(**filters)  # type: ignore[arg-type]
        return [payment.payment_code for payment in side.payments.ListPayments(request, timeout=DEADLINE).payments]

    assert listed(status=SUCCESS) == ["P2"]
    assert listed(status=payment_enums_pb2.PAYMENT_STATUS_PENDING) == ["P1"]
    assert listed(notify_status=payment_enums_pb2.NOTIFY_STATUS_UNNOTIFIED) == ["P2"]
    assert listed(notify_status=payment_enums_pb2.NOTIFY_STATUS_NOTIFIED) == []
    assert listed(order_no="O1") == ["P1"]
    assert listed(has_conflict=False) == ["P2", "P1"]
    assert listed(settled_after=settled.settle_time) == ["P2"]
    assert listed(settled_before=settled.settle_time) == []
    assert listed(notify_url="grpc://127.0.0.1:9") == []
