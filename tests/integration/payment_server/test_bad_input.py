"""What a payment server refuses: each bad value of SPEC 2 and 9, all fields at once, and nothing is changed by it."""

from typing import Any

import grpc
import pytest

from core.outbox.tables import NotifySchedule, PaymentResult
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import notify_schedule_pb2, payment_enums_pb2
from paylatch.payment.v1 import notify_schedule_service_pb2 as schedule_pb
from paylatch.payment.v1 import payment_service_pb2 as pb
from payment_server.tables import Payment
from tests.integration.payment_server.payment_side import DEADLINE, PaymentSide, violated_fields

pytestmark = pytest.mark.any_backend

BAD_KEYS = ["", "x" * 65, "with blank", "tab\t", "nul\x00", "naïve", "emoji🙂"]
BAD_TARGETS = [
    "",
    "unix:/tmp/socket",
    "127.0.0.1:50052",
    "grpc://127.0.0.1:50052/",
    "grpc://user@127.0.0.1:50052",
    "GRPC://127.0.0.1:50052",
    "dns:///localhost:50052",
    "ipv4:127.0.0.1:50052",
    "grpc://[::ffff:127.0.0.1]:50052",
    "grpc://127.0.0.1:050052",
    "grpc://localhost.:50052",
    "grpc://169.254.169.254:80",
    "grpc://127.0.0.1:2",
    "grpcs://127.0.0.1:1",
]
BAD_CONTENT = (
    [(field, key) for field in ("platform_id", "payment_code", "order_no") for key in BAD_KEYS]
    + [("amount_minor", amount) for amount in (0, -1, 10**15 + 1, -(2**63), 2**63 - 1)]
    + [("currency_code", code) for code in ("", "usd", "XXY", "US", "USDX", "U\x00D")]
    + [("notify_url", target) for target in BAD_TARGETS]
)
BAD_REPORTS: list[tuple[str, Any]] = [
    *((field, key) for field in ("platform_id", "payment_code") for key in BAD_KEYS),
    ("status", payment_enums_pb2.PAYMENT_STATUS_UNSPECIFIED),
    ("status", payment_enums_pb2.PAYMENT_STATUS_PENDING),
    ("status", 99),
    ("trade_no", "x" * 129),
    ("trade_no", "nul\x00"),
    ("failure_reason", "x" * 513),
    ("settle_time", {"seconds": -1}),
    ("settle_time", {"seconds": 253_402_300_800}),
    ("settle_time", {"nanos": 10**9}),
    ("amount_minor", 2_934),
    ("amount_minor", 0),
    ("currency_code", "EUR"),
]


@pytest.mark.parametrize(("field", "value"), BAD_CONTENT)
def test_a_payment_with_a_bad_value_is_refused_and_names_the_field(side: PaymentSide, field: str, value: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        side.create(**{field: value})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(refused.value) == [field]
    assert side.rows(Payment) == []


def test_all_bad_fields_of_a_payment_are_named_at_once(side: PaymentSide) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        side.payments.CreatePayment(pb.CreatePaymentRequest(), timeout=DEADLINE)
    assert violated_fields(refused.value) == [
        "platform_id",
        "payment_code",
        "order_no",
        "amount_minor",
        "currency_code",
        "notify_url",
    ]


@pytest.mark.parametrize("value", [1, 10**15])
def test_the_smallest_and_the_largest_amount_are_taken(side: PaymentSide, value: int) -> None:
    assert side.create(amount_minor=value).amount_minor == value


@pytest.mark.parametrize(("field", "value"), BAD_REPORTS)
def test_a_report_with_a_bad_value_is_refused_and_settles_nothing(side: PaymentSide, field: str, value: Any) -> None:
    side.create()
    with pytest.raises(grpc.RpcError) as refused:
        side.report(**{field: value})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(refused.value) == [field]
    assert side.get().status == payment_enums_pb2.PAYMENT_STATUS_PENDING
    assert side.rows(PaymentResult) == side.rows(NotifySchedule) == []


@pytest.mark.parametrize("size", [0, 501])
def test_a_batch_of_no_or_too_many_items_is_refused(side: PaymentSide, size: int) -> None:
    reports = pb.BatchReportPaymentResultsRequest(requests=[pb.ReportPaymentResultRequest()] * size)
    keys = pb.BatchGetPaymentsRequest(requests=[PaymentKey()] * size)
    schedules = schedule_pb.BatchGetNotifySchedulesRequest(requests=[PaymentKey()] * size)
    for call in (
        lambda: side.payments.BatchReportPaymentResults(reports, timeout=DEADLINE),
        lambda: side.payments.BatchGetPayments(keys, timeout=DEADLINE),
        lambda: side.schedules.BatchGetNotifySchedules(schedules, timeout=DEADLINE),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert violated_fields(refused.value) == ["requests"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page_size", -1),
        ("page_size", 1_001),
        ("page_token", "garbage"),
        ("status", 99),
        ("order_no", "with blank"),
        ("settled_after", {"seconds": -1}),
    ],
)
def test_a_list_with_a_bad_filter_is_refused(side: PaymentSide, field: str, value: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        side.payments.ListPayments(pb.ListPaymentsRequest(**{field: value}), timeout=DEADLINE)
    assert violated_fields(refused.value) == [field]


@pytest.mark.parametrize("notify_url", ["nonsense", "grpc://127.0.0.1:1\x00", "grpc://h:1" + "x" * 100_000])
def test_a_filter_by_a_target_that_is_none_is_refused(side: PaymentSide, notify_url: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        side.payments.ListPayments(pb.ListPaymentsRequest(notify_url=notify_url), timeout=DEADLINE)
    assert violated_fields(refused.value) == ["notify_url"]
    with pytest.raises(grpc.RpcError) as refused:
        side.schedules.ListNotifySchedules(
            schedule_pb.ListNotifySchedulesRequest(notify_url=notify_url), timeout=DEADLINE
        )
    assert violated_fields(refused.value) == ["notify_url"]


def test_a_target_that_is_allowed_no_more_can_still_be_filtered_by(side: PaymentSide) -> None:
    request = pb.ListPaymentsRequest(notify_url="grpc://moved.example:50052")

    assert not side.payments.ListPayments(request, timeout=DEADLINE).payments


RETRY: dict[str, Any] = {
    "action": payment_enums_pb2.RETRY_ACTION_REQUEUE,
    "keys": [PaymentKey(platform_id="alipay", payment_code="P1")],
    "operator": "ann",
    "reason": "the receiver was mended",
}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"action": 0}, ["action"]),
        ({"operator": ""}, ["operator"]),
        ({"operator": "x" * 65}, ["operator"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": "x" * 513}, ["reason"]),
        ({"reason": "nul\x00"}, ["reason"]),
        ({"notify_url": "unix:/tmp/socket"}, ["notify_url"]),
        ({"keys": []}, ["keys"]),
        ({"keys": [PaymentKey(platform_id="", payment_code="a b")]}, ["keys[0].platform_id", "keys[0].payment_code"]),
        ({"keys": [PaymentKey(platform_id="a", payment_code=str(n)) for n in range(501)]}, ["keys"]),
        ({"limit": 5}, ["limit"]),
        ({"filter": notify_schedule_pb2.NotifyScheduleFilter(), "limit": 5}, ["keys"]),
        ({"keys": [], "filter": notify_schedule_pb2.NotifyScheduleFilter()}, ["limit"]),
        (
            {
                "action": payment_enums_pb2.RETRY_ACTION_REOPEN,
                "keys": [],
                "filter": notify_schedule_pb2.NotifyScheduleFilter(order_no="a b", notify_url="\x00"),
                "limit": 1_001,
            },
            ["filter", "limit", "filter.notify_url", "filter.order_no"],
        ),
    ],
)
def test_an_operators_call_with_a_bad_value_is_refused(
    side: PaymentSide, changes: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        side.schedules.RetryNotifySchedules(
            schedule_pb.RetryNotifySchedulesRequest(**RETRY | changes), timeout=DEADLINE
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(refused.value) == fields
