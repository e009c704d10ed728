"""PaymentService: translates between the contract and the use cases. Holds no rule and no SQL."""

from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from core.logs import Logger
from core.rpc.items import item_failure
from core.rpc.pools import on_threads_of
from core.rpc.translate import read_page, read_time
from core.rules.errors import InvalidInput
from core.rules.limits import Checker
from core.rules.notify_url import AllowList
from core.store.database import Database
from core.store.paging import PageRequest
from core.telemetry.tracing import NO_TRACING, Tracing
from paylatch.order.v1 import batch_pb2
from paylatch.payment.v1 import payment_service_pb2 as pb
from paylatch.payment.v1 import payment_service_pb2_grpc
from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_UNSPECIFIED
from payment_server.create import CreatePayment, NewPayment
from payment_server.group import Group
from payment_server.messages import (
    NOTIFY_STATUS,
    OUTCOME,
    PAYMENT_STATUS,
    SCHEDULE_STATUS,
    check_batch,
    payment_message,
    read_key,
    read_key_filter,
    read_key_only,
    read_time_filter,
    read_url_filter,
    try_read_key,
)
from payment_server.report import Answer, Report, ReportResults
from payment_server.views import PaymentFilter, newest_payments, payment_not_found, payments_by_key
from payment_server.watch import PaymentWatches


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the service can do but for reading. report_in_group: shares a transaction with who reports at that time."""

    create: CreatePayment
    report: ReportResults
    report_in_group: Group[Report, Answer]
    watches: PaymentWatches


class PaymentService(payment_service_pb2_grpc.PaymentServiceServicer):
    """See protos/paylatch/payment/v1/payment_service.proto for what each RPC promises."""

    def __init__(
        self,
        database: Database,
        use_cases: UseCases,
        allow_list: AllowList,
        log: Logger,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._database = database
        self._create = use_cases.create
        self._report = use_cases.report
        self._report_in_group = use_cases.report_in_group
        self._watches = use_cases.watches
        self._allow_list = allow_list
        self._log = log
        self._tracing = tracing
        # However many watch, callers find every thread of the server free.
        self.WatchPayment = on_threads_of(self._watches.threads, self.WatchPayment)  # type: ignore[method-assign]

    def CreatePayment(
        self, request: pb.CreatePaymentRequest, context: grpc.ServicerContext
    ) -> pb.CreatePaymentResponse:
        """Create a payment."""
        return pb.CreatePaymentResponse(payment=payment_message(self._create(self._read_new(request))))

    def ReportPaymentResult(
        self, request: pb.ReportPaymentResultRequest, context: grpc.ServicerContext
    ) -> pb.ReportPaymentResultResponse:
        """Report how a payment ended."""
        answer = self._report_in_group(_read_report(request, self._tracing.current))
        if isinstance(answer, Exception):
            raise answer
        return pb.ReportPaymentResultResponse(payment=payment_message(answer))

    def BatchReportPaymentResults(
        self, request: pb.BatchReportPaymentResultsRequest, context: grpc.ServicerContext
    ) -> pb.BatchReportPaymentResultsResponse:
        """Report how many payments ended."""
        check_batch(len(request.requests))
        trace_context = self._tracing.current
        read = [_try_read_report(item, trace_context) for item in request.requests]
        answers = iter(self._report([item for item in read if isinstance(item, Report)]))
        results = [
            self._report_result(item, next(answers) if isinstance(report, Report) else report)
            for item, report in zip(request.requests, read, strict=True)
        ]
        return pb.BatchReportPaymentResultsResponse(results=results)

    def GetPayment(self, request: pb.GetPaymentRequest, context: grpc.ServicerContext) -> pb.GetPaymentResponse:
        """One payment."""
        key = read_key_only(request)
        view = self._database.read(lambda tx: payments_by_key(tx, [key])).get(key)
        if view is None:
            raise payment_not_found(key)
        return pb.GetPaymentResponse(payment=payment_message(view))

    def BatchGetPayments(
        self, request: pb.BatchGetPaymentsRequest, context: grpc.ServicerContext
    ) -> pb.BatchGetPaymentsResponse:
        """Payments by key."""
        check_batch(len(request.requests))
        read = [try_read_key(item) for item in request.requests]
        keys = [key for key in read if not isinstance(key, InvalidInput)]
        views = self._database.read(lambda tx: payments_by_key(tx, keys))
        answers = [key if isinstance(key, InvalidInput) else views.get(key, payment_not_found(key)) for key in read]
        results = [self._get_result(item, answer) for item, answer in zip(request.requests, answers, strict=True)]
        return pb.BatchGetPaymentsResponse(results=results)

    def ListPayments(self, request: pb.ListPaymentsRequest, context: grpc.ServicerContext) -> pb.ListPaymentsResponse:
        """Payments by filters, newest first."""
        checker = Checker()
        page, wanted = read_page(checker, request, int), _read_filter(checker, request)
        checker.finish()
        after = int(page.after[0]) if page.after else None
        found = self._database.read(lambda tx: newest_payments(tx, wanted, PageRequest(page.size, after)))
        return pb.ListPaymentsResponse(
            payments=[payment_message(view) for view in found.rows],
            next_page_token=page.token_after((found.last,)) if found.last is not None else "",
        )

    def WatchPayment(
        self, request: pb.WatchPaymentRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchPaymentResponse]:
        """One payment now, and whenever it changes."""
        key = read_key_only(request)
        context.add_callback(self._watches.wake)
        for watched in self._watches.watch(key, context.is_active):
            status = watched.schedule_status
            yield pb.WatchPaymentResponse(
                payment=payment_message(watched.view),
                schedule_status=SCHEDULE_STATUS.to_value(status) if status else SCHEDULE_STATUS_UNSPECIFIED,
            )

    def _read_new(self, request: pb.CreatePaymentRequest) -> NewPayment:
        checker = Checker()
        platform_id, payment_code = read_key(checker, request)
        checker.key("order_no", request.order_no)
        checker.amount("amount_minor", request.amount_minor)
        checker.currency("currency_code", request.currency_code)
        why_not = self._allow_list.why_not(request.notify_url)
        checker.require(why_not is None, "notify_url", why_not or "")
        checker.finish()
        return NewPayment(
            platform_id,
            payment_code,
            request.order_no,
            request.amount_minor,
            request.currency_code,
            request.notify_url,
        )

    def _report_result(self, item: pb.ReportPaymentResultRequest, answer: Answer) -> pb.BatchReportPaymentResultsResult:
        result = pb.BatchReportPaymentResultsResult(platform_id=item.platform_id, payment_code=item.payment_code)
        if isinstance(answer, Exception):
            result.error.CopyFrom(self._item_failure(answer, item.platform_id, item.payment_code))
        else:
            result.response.payment.CopyFrom(payment_message(answer))
        return result

    def _get_result(self, item: batch_pb2.PaymentKey, answer: Answer) -> pb.BatchGetPaymentsResult:
        result = pb.BatchGetPaymentsResult(platform_id=item.platform_id, payment_code=item.payment_code)
        if isinstance(answer, Exception):
            result.error.CopyFrom(self._item_failure(answer, item.platform_id, item.payment_code))
        else:
            result.response.payment.CopyFrom(payment_message(answer))
        return result

    def _item_failure(self, error: Exception, platform_id: str, payment_code: str) -> batch_pb2.ItemError:
        return item_failure(self._log, error, platform_id=platform_id, payment_code=payment_code)


def _try_read_report(item: pb.ReportPaymentResultRequest, trace_context: str | None) -> Report | InvalidInput:
    try:
        return _read_report(item, trace_context)
    except InvalidInput as error:
        return error


def _read_report(request: pb.ReportPaymentResultRequest, trace_context: str | None) -> Report:
    checker = Checker()
    platform_id, payment_code = read_key(checker, request)
    status = OUTCOME.read(checker, "status", request.status)
    checker.trade_no("trade_no", request.trade_no)
    checker.optional_text("failure_reason", request.failure_reason)
    settle_time = read_time(checker, "settle_time", request.settle_time) if request.HasField("settle_time") else None
    checker.finish()
    return Report(
        platform_id,
        payment_code,
        status,
        trade_no=request.trade_no if request.HasField("trade_no") else None,
        failure_reason=request.failure_reason if request.HasField("failure_reason") else None,
        settle_time=settle_time,
        amount_minor=request.amount_minor if request.HasField("amount_minor") else None,
        currency_code=request.currency_code if request.HasField("currency_code") else None,
        trace_context=trace_context,
    )


def _read_filter(checker: Checker, request: pb.ListPaymentsRequest) -> PaymentFilter:
    return PaymentFilter(
        status=PAYMENT_STATUS.read_filter(checker, "status", request.status),
        notify_status=NOTIFY_STATUS.read_filter(checker, "notify_status", request.notify_status),
        order_no=read_key_filter(checker, "order_no", request.order_no),
        notify_url=read_url_filter(checker, "notify_url", request.notify_url),
        has_conflict=request.has_conflict if request.HasField("has_conflict") else None,
        settled_after=read_time_filter(checker, "settled_after", request),
        settled_before=read_time_filter(checker, "settled_before", request),
        created_after=read_time_filter(checker, "created_after", request),
        created_before=read_time_filter(checker, "created_before", request),
    )
