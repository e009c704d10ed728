"""Payment exceptions (SPEC 5): listed until a person decides, and decided once."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_payment_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    ACT,
    AMOUNT_MISMATCH,
    APPLIED,
    CANCELLED_UNPAID,
    DECISION,
    DUPLICATE_PAYMENT,
    FAILED,
    NEW_UNPAID,
    ORDER_CANCELLED,
    PAID_PAID,
    VOUCHER,
    OrderSide,
    item,
    refused,
)

RETURNED = enums.EXCEPTION_RESOLUTION_RETURNED
ACCEPTED = enums.EXCEPTION_RESOLUTION_ACCEPTED


def _listed(side: OrderSide, **wanted: Any) -> Sequence[order_payment_pb2.PaymentException]:
    return side.orders.ListPaymentExceptions(pb.ListPaymentExceptionsRequest(**wanted)).payment_exceptions


def _codes(side: OrderSide, **wanted: Any) -> list[str]:
    return [exception.payment_code for exception in _listed(side, **wanted)]


def _resolve(code: str, resolution: Any, **more: Any) -> pb.ResolvePaymentExceptionRequest:
    return pb.ResolvePaymentExceptionRequest(
        platform_id="alipay", payment_code=code, resolution=resolution, **(DECISION | more)
    )


@pytest.fixture
def one_of_each(side: OrderSide) -> OrderSide:
    """An amount mismatch on O-1, a duplicate on O-2, a success for the cancelled O-3; and what is none."""
    for number in range(1, 4):
        side.create(f"O-{number}", item("gift", 2, VOUCHER))
    side.notify("mismatch", "O-1", amount=999)
    side.notify("pays", "O-2")
    side.notify("duplicate", "O-2")
    side.orders.CancelOrder(pb.CancelOrderRequest(order_no="O-3", **ACT))
    side.notify("cancelled", "O-3")
    side.notify("ignored", "O-3", FAILED)
    return side


def test_every_exception_is_listed_beside_its_order_newest_first(one_of_each: OrderSide) -> None:
    cancelled, duplicate, mismatch = _listed(one_of_each)

    assert (cancelled.payment_code, cancelled.disposition) == ("cancelled", ORDER_CANCELLED)
    assert (cancelled.order_status, cancelled.payment_status) == CANCELLED_UNPAID
    assert (duplicate.payment_code, duplicate.disposition) == ("duplicate", DUPLICATE_PAYMENT)
    assert (duplicate.order_status, duplicate.payment_status) == PAID_PAID
    assert (mismatch.payment_code, mismatch.disposition) == ("mismatch", AMOUNT_MISMATCH)
    assert (mismatch.amount_minor, mismatch.order_amount_minor) == (999, 1_000)
    assert (mismatch.currency_code, mismatch.order_currency_code) == ("USD", "USD")
    assert not mismatch.HasField("resolution")


def test_exceptions_are_filtered_and_paged(one_of_each: OrderSide) -> None:
    assert _codes(one_of_each, disposition=DUPLICATE_PAYMENT) == ["duplicate"]
    assert _codes(one_of_each, order_no="O-3") == ["cancelled"]
    first = one_of_each.orders.ListPaymentExceptions(pb.ListPaymentExceptionsRequest(page_size=2))
    assert _codes(one_of_each, page_size=2, page_token=first.next_page_token) == ["mismatch"]


def test_what_is_no_exception_can_not_be_asked_for(side: OrderSide) -> None:
    request = pb.ListPaymentExceptionsRequest(disposition=APPLIED)

    assert refused(side.orders.ListPaymentExceptions, request).fields == ["disposition"]


@pytest.mark.parametrize("code", ["mismatch", "duplicate", "cancelled"])
def test_returned_closes_any_exception_and_touches_no_order(one_of_each: OrderSide, code: str) -> None:
    orders = one_of_each.sql('SELECT * FROM "order"')

    closed = one_of_each.orders.ResolvePaymentException(_resolve(code, RETURNED)).payment_exception

    assert (closed.resolution, closed.resolved_by, closed.resolve_reason) == (
        RETURNED,
        DECISION["operator"],
        DECISION["reason"],
    )
    assert closed.resolve_time.ToDatetime() == one_of_each.clock.now().replace(tzinfo=None)
    assert code not in _codes(one_of_each)
    assert code in _codes(one_of_each, include_resolved=True)
    assert one_of_each.sql('SELECT * FROM "order"') == orders


def test_accepted_pays_the_order_with_its_follow_ups_and_keeps_the_disposition(one_of_each: OrderSide) -> None:
    accepted = one_of_each.orders.ResolvePaymentException(_resolve("mismatch", ACCEPTED)).payment_exception

    assert (accepted.order_status, accepted.payment_status) == PAID_PAID
    assert accepted.disposition == AMOUNT_MISMATCH
    assert one_of_each.order("O-1").paid_payment_code == "mismatch"
    assert len(one_of_each.vouchers("O-1")) == 2
    changes = one_of_each.status_log("O-1")
    assert {change.operator for change in changes} == {"alice"}
    assert {change.description for change in changes} == {f"payment alipay/mismatch accepted: {DECISION['reason']}"}
    again = one_of_each.notify("mismatch", "O-1", amount=999)
    assert (again.disposition, again.is_repeated) == (AMOUNT_MISMATCH, True)
    assert one_of_each.notify("another", "O-1").disposition == DUPLICATE_PAYMENT


def test_the_longest_reason_fits_the_status_log(one_of_each: OrderSide) -> None:
    closed = one_of_each.orders.ResolvePaymentException(_resolve("mismatch", ACCEPTED, reason="r" * 512))

    assert closed.payment_exception.resolve_reason == "r" * 512
    assert len(one_of_each.status_log("O-1")[0].description) == 512


@pytest.mark.parametrize("resolution", [RETURNED, ACCEPTED])
def test_the_same_resolution_again_answers_the_first(one_of_each: OrderSide, resolution: Any) -> None:
    first = one_of_each.orders.ResolvePaymentException(_resolve("mismatch", resolution))
    changes = len(one_of_each.status_log("O-1"))

    again = _resolve("mismatch", resolution, operator="bob", reason="again")

    assert one_of_each.orders.ResolvePaymentException(again) == first
    assert len(one_of_each.status_log("O-1")) == changes


@pytest.mark.parametrize(("first", "then"), [(RETURNED, ACCEPTED), (ACCEPTED, RETURNED)])
def test_another_resolution_of_a_resolved_exception_is_refused(one_of_each: OrderSide, first: Any, then: Any) -> None:
    one_of_each.orders.ResolvePaymentException(_resolve("mismatch", first))

    refusal = refused(one_of_each.orders.ResolvePaymentException, _resolve("mismatch", then))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_RESOLVED")
    assert [precondition.subject for precondition in refusal.preconditions] == ["alipay/mismatch"]


@pytest.mark.parametrize("code", ["duplicate", "cancelled"])
def test_only_an_amount_mismatch_can_be_accepted(one_of_each: OrderSide, code: str) -> None:
    refusal = refused(one_of_each.orders.ResolvePaymentException, _resolve(code, ACCEPTED))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_ACCEPTABLE")
    assert code in _codes(one_of_each)


def test_a_mismatch_of_an_order_that_is_not_payable_any_more_can_not_be_accepted(one_of_each: OrderSide) -> None:
    one_of_each.notify("fits", "O-1")

    refusal = refused(one_of_each.orders.ResolvePaymentException, _resolve("mismatch", ACCEPTED))

    assert refusal.reason == "NOT_ACCEPTABLE"
    assert (refusal.metadata["current_status"], refusal.metadata["legal_events"]) == ("PAID", "process")
    assert one_of_each.order("O-1").paid_payment_code == "fits"
    assert "mismatch" in _codes(one_of_each)


def test_two_mismatches_of_one_order_accepted_at_once_pay_it_once(side: OrderSide) -> None:
    side.create()
    for code in ("low", "high"):
        side.notify(code, amount=999)

    calls = [side.orders.ResolvePaymentException.future(_resolve(code, ACCEPTED)) for code in ("low", "high")]
    errors = [call.exception() for call in calls]

    assert sum(error is None for error in errors) == 1
    assert len(side.status_log()) == 2
    assert len(_codes(side)) == 1


@pytest.mark.parametrize("code", ["pays", "ignored", "never"])
def test_what_is_no_exception_is_not_found(one_of_each: OrderSide, code: str) -> None:
    refusal = refused(one_of_each.orders.ResolvePaymentException, _resolve(code, RETURNED))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "PAYMENT_EXCEPTION_NOT_FOUND")


def test_a_dry_run_answers_as_the_real_one_and_changes_nothing(one_of_each: OrderSide) -> None:
    before = list(_listed(one_of_each))

    answer = one_of_each.orders.ResolvePaymentException(_resolve("mismatch", ACCEPTED, validate_only=True))

    assert answer.validate_only
    exception = answer.payment_exception
    assert (exception.order_status, exception.payment_status, exception.resolution) == (*PAID_PAID, ACCEPTED)
    assert list(_listed(one_of_each)) == before
    assert one_of_each.statuses("O-1") == NEW_UNPAID
    assert not one_of_each.status_log("O-1")
    assert not one_of_each.vouchers("O-1")


def test_a_dry_run_is_refused_as_the_real_one(one_of_each: OrderSide) -> None:
    request = _resolve("duplicate", ACCEPTED, validate_only=True)

    assert refused(one_of_each.orders.ResolvePaymentException, request).reason == "NOT_ACCEPTABLE"
