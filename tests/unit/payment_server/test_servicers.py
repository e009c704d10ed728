"""The servicers alone: they translate, call one use case, and translate back. No database, no network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import grpc_testing
import pytest
import structlog

from core.rules.codes import Disposition, PaymentStatus, ResultStatus
from core.rules.errors import InvalidInput
from core.rules.notify_url import AllowList
from core.store.database import Database
from paylatch.payment.v1 import payment_enums_pb2, payment_service_pb2
from payment_server.create import CreatePayment, NewPayment
from payment_server.group import Group
from payment_server.payment_service import PaymentService, UseCases
from payment_server.report import Report, ReportResults
from payment_server.views import PaymentView
from payment_server.watch import PaymentWatches

TARGET = "grpc://127.0.0.1:50052"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAYMENT = SimpleNamespace(
    platform_id="alipay",
    payment_code="P1",
    order_no="O1",
    amount_minor=2_933,
    currency_code="USD",
    notify_url=TARGET,
    status=PaymentStatus.SUCCESS,
    trade_no="T1",
    failure_reason="",
    create_time=NOON,
    settle_time=NOON,
    conflict_status=None,
    conflict_trade_no=None,
    conflict_time=None,
)
VIEW = PaymentView(PAYMENT, ResultStatus.NOTIFIED, Disposition.APPLIED)


class Recorder:
    """A use case that remembers what it was called with."""

    def __init__(self) -> None:
        self.created: list[NewPayment] = []
        self.reported: list[Report] = []

    def create(self, new: NewPayment) -> PaymentView:
        self.created.append(new)
        return VIEW

    def report(self, reports: Sequence[Report]) -> list[PaymentView]:
        self.reported += reports
        return [VIEW] * len(reports)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def servicer(recorder: Recorder) -> PaymentService:
    log = structlog.wrap_logger(None)
    use_cases = UseCases(
        cast(CreatePayment, recorder.create),
        cast(ReportResults, recorder.report),
        Group(recorder.report, 1),
        PaymentWatches(cast(Database, None), log),
    )
    return PaymentService(cast(Database, None), use_cases, AllowList.parse([TARGET]), log)


def call(servicer: PaymentService, method: str, request: Any) -> Any:
    """Call `method` through grpc's own test server, which runs no network."""
    service = payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"]
    server = grpc_testing.server_from_dictionary({service: servicer}, grpc_testing.strict_real_time())
    rpc = server.invoke_unary_unary(service.methods_by_name[method], (), request, 10)
    response, _, code, details = rpc.termination()
    assert response is not None, (code, details)
    return response


def test_a_creation_reaches_the_use_case_as_plain_values(servicer: PaymentService, recorder: Recorder) -> None:
    request = payment_service_pb2.CreatePaymentRequest(
        platform_id="alipay",
        payment_code="P1",
        order_no="O1",
        amount_minor=2_933,
        currency_code="USD",
        notify_url=TARGET,
    )
    response = call(servicer, "CreatePayment", request)
    assert recorder.created == [NewPayment("alipay", "P1", "O1", 2_933, "USD", TARGET)]
    assert response.payment.status == payment_enums_pb2.PAYMENT_STATUS_SUCCESS
    assert response.payment.notify_status == payment_enums_pb2.NOTIFY_STATUS_NOTIFIED


def test_what_a_report_leaves_out_is_not_told(servicer: PaymentService, recorder: Recorder) -> None:
    request = payment_service_pb2.ReportPaymentResultRequest(
        platform_id="alipay", payment_code="P1", status=payment_enums_pb2.PAYMENT_STATUS_FAILED
    )
    call(servicer, "ReportPaymentResult", request)
    assert recorder.reported == [Report("alipay", "P1", PaymentStatus.FAILED)]


def test_bad_items_of_a_batch_never_reach_the_use_case(servicer: PaymentService, recorder: Recorder) -> None:
    good = payment_service_pb2.ReportPaymentResultRequest(
        platform_id="alipay", payment_code="P1", status=payment_enums_pb2.PAYMENT_STATUS_SUCCESS
    )
    bad = payment_service_pb2.ReportPaymentResultRequest(platform_id="alipay")
    request = payment_service_pb2.BatchReportPaymentResultsRequest(requests=[bad, good, bad])
    response = call(servicer, "BatchReportPaymentResults", request)
    assert recorder.reported == [Report("alipay", "P1", PaymentStatus.SUCCESS)]
    assert [result.WhichOneof("outcome") for result in response.results] == ["error", "response", "error"]


def test_bad_input_is_refused_before_any_use_case(servicer: PaymentService, recorder: Recorder) -> None:
    with pytest.raises(InvalidInput):
        servicer.CreatePayment(payment_service_pb2.CreatePaymentRequest(), cast(Any, None))
    assert recorder.created == []
