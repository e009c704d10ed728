"""Whatever is reported of payments, in whatever order and how often: they end as SPEC 4 and 9 say, never half."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from core.outbox.tables import NotifySchedule, PaymentResult
from core.rpc.status import reason_of
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_PENDING
from paylatch.payment.v1.payment_pb2 import Payment
from paylatch.payment.v1.payment_service_pb2 import (
    BatchReportPaymentResultsRequest,
    CreatePaymentRequest,
    ReportPaymentResultRequest,
)
from payment_server import tables
from tests.integration.payment_server.payment_side import FAILED, SUCCESS, PaymentSide, StartPaymentSide

PENDING = PAYMENT_STATUS_PENDING


class Reported(NamedTuple):
    """amount: what was really paid; None if it was not told."""

    code: str
    status: int
    trade_no: str
    amount: int | None


@dataclass
class Known:
    """A payment as it must be."""

    amount: int
    status: int = PENDING
    trade_no: str = ""
    conflict: tuple[int, str] | None = None


@dataclass
class PaymentModel:
    """Methods answer as the RPCs do: status and trade_no, or the reason why not. Shares no line with the product."""

    payments: dict[str, Known] = field(default_factory=dict)

    def create(self, code: str, amount: int) -> tuple[int, str] | str:
        known = self.payments.setdefault(code, Known(amount))
        return (known.status, known.trade_no) if known.amount == amount else "PAYMENT_DIFFERS"

    def report(self, reported: Reported) -> tuple[int, str] | str:
        known = self.payments.get(reported.code)
        if known is None:
            return "PAYMENT_NOT_FOUND"
        if known.status not in {PENDING, reported.status}:
            known.conflict = known.conflict or (reported.status, reported.trade_no)
            return "OUTCOME_CONFLICT"
        if reported.amount not in {None, known.amount}:
            return "INVALID_FIELDS"
        if known.status == PENDING:
            known.status, known.trade_no = reported.status, reported.trade_no
        return known.status, known.trade_no


CODES = st.sampled_from(["P-0", "P-1", "P-2"])
REPORTED = st.builds(
    Reported,
    CODES,
    st.sampled_from([SUCCESS, SUCCESS, FAILED]),
    st.sampled_from(["T-1", "T-2"]),
    st.sampled_from([None, None, 1_000, 999]),
)


class PaymentsUnderWay(RuleBasedStateMachine):
    """Three payments. Each answer is the model's, and so is all that is there in the end."""

    def __init__(self, side: PaymentSide, tag: str) -> None:
        super().__init__()
        self.side = side
        self.tag = tag
        self.model = PaymentModel()

    @rule(code=CODES, amount=st.sampled_from([1_000, 1_000, 999]))
    def create(self, code: str, amount: int) -> None:
        request = CreatePaymentRequest(**self.side.content(payment_code=self._name(code), amount_minor=amount))

        answer = _shown(lambda: self.side.payments.CreatePayment(request).payment)
        assert answer == self.model.create(code, amount)

    @rule(reported=REPORTED)
    def report(self, reported: Reported) -> None:
        answer = _shown(lambda: self.side.payments.ReportPaymentResult(self._message(reported)).payment)
        assert answer == self.model.report(reported)

    @rule(batch=st.lists(REPORTED, min_size=1, max_size=6))
    def report_many(self, batch: list[Reported]) -> None:
        request = BatchReportPaymentResultsRequest(requests=map(self._message, batch))

        results = self.side.payments.BatchReportPaymentResults(request).results
        answers = [_of(one.response.payment) if one.HasField("response") else one.error.reason for one in results]
        assert answers == [self.model.report(reported) for reported in batch]

    def teardown(self) -> None:
        found = {row.payment_code: row for row in self.side.rows(tables.Payment)}
        results = [row.payment_id for row in self.side.rows(PaymentResult)]
        schedules = [row.payment_id for row in self.side.rows(NotifySchedule)]
        assert {code for code in found if code.startswith(self.tag)} == set(map(self._name, self.model.payments))
        for code, known in self.model.payments.items():
            payment_id, is_settled = found[self._name(code)].id, known.status != PENDING
            self._check(code, known)
            assert results.count(payment_id) == schedules.count(payment_id) == is_settled

    def _check(self, code: str, known: Known) -> None:
        payment = self.side.get(self._name(code))
        assert _of(payment) == (known.status, known.trade_no)
        conflict = (payment.conflict_status, payment.conflict_trade_no)
        assert (conflict if payment.HasField("conflict_time") else None) == known.conflict

    def _name(self, code: str) -> str:
        return f"{self.tag}{code}"

    def _message(self, reported: Reported) -> ReportPaymentResultRequest:
        return ReportPaymentResultRequest(
            platform_id="alipay",
            payment_code=self._name(reported.code),
            status=reported.status,  # type: ignore[arg-type]  # a number of the enum
            trade_no=reported.trade_no,
            amount_minor=reported.amount,
        )


def _of(payment: Payment) -> tuple[int, str]:
    return payment.status, payment.trade_no


def _shown(call: Callable[[], Payment]) -> Any:
    try:
        return _of(call())
    except grpc.RpcError as error:
        return reason_of(error)


def test_any_sequence_ends_as_the_model_says(start_payment_side: StartPaymentSide, plan: settings) -> None:
    side, numbers = start_payment_side(), itertools.count()

    class Example(PaymentsUnderWay):
        def __init__(self) -> None:
            super().__init__(side, f"e{next(numbers)}.")

    run_state_machine_as_test(Example, settings=plan)
