"""What to do about a finding: the next step in words, and the exact call. Pure; asks nobody and changes nothing."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from cli.clients import Key, code_name
from cli.output import stamp_text
from cli.reconcile.findings import Repair, Step
from cli.reconcile.pair import Pair
from core.rules.outcome import REFUSALS
from core.settings import Settings
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.payment_pb2 import Payment

WHO_AND_WHY = "--operator WHO --reason WHY"
_DEFAULT_PAYMENT_ADDRESS = Settings.model_fields["payment_address"].default
_DEFAULT_ORDER_ADDRESS = Settings.model_fields["order_address"].default


def is_unanswered(schedule: NotifySchedule) -> bool:
    """Whether a schedule was given up for lack of an answer, and nobody has handled it: safe to try again."""
    return not schedule.HasField("handled_time") and schedule.last_code not in REFUSALS


@dataclass(frozen=True, slots=True)
class Steps:
    """The next step for each case. The addresses are those the run was made with."""

    payment_address: str
    order_address: str

    def deliver(self, pair: Pair) -> Step:
        """A settled payment the order side does not have, or is not known to have."""
        schedule = pair.schedule
        if pair.payment and pair.payment.HasField("handled_note") and schedule is None:
            words = f"{pair.payment.handled_note}; only if it is to be delivered after all, give it a new schedule"
            return self._retry(pair.key, "restore", words)
        if schedule is None:
            return self._retry(pair.key, "restore", "it has no schedule: give it a new one", Repair.RESTORE)
        if schedule.status == payment_enums.SCHEDULE_STATUS_FAILED:
            return self._given_up(pair.key, schedule)
        if schedule.status == payment_enums.SCHEDULE_STATUS_SUCCESS:
            return self._delivered(pair)
        return self._wait(pair.key, schedule)

    def deliver_again(self, pair: Pair) -> Step:
        """A payment both sides have, and which the order side repeats its answer of: the payment side takes it over."""
        action = "reopen" if pair.schedule else "restore"
        words = "what the order side did is what counts: deliver it once more, and the payment side takes that over"
        return self._retry(pair.key, action, words)

    def overdue(self, key: Key, schedule: NotifySchedule) -> Step:
        """A schedule that nobody tries though its time has come."""
        words = (
            f"it has been due since {stamp_text(schedule.next_notify_time)}: is a scheduler running, "
            f"and {schedule.notify_url} neither paused nor off its allow-list?"
        )
        return Step(words, f"paylatch notify explain{self._address_option} {_argument(key)}")

    def create_order(self, pair: Pair, payment: Payment) -> Step:
        """A payment whose order the order side does not have."""
        create = self._grpcurl(
            self.order_address,
            "order.v1.OrderService/CreateOrder",
            order_no=payment.order_no,
            amount_minor=payment.amount_minor,
            currency_code=payment.currency_code,
        )
        deliver = self.deliver(pair)
        words = "create the order again as it was, with its items; then have the payment tried"
        return Step(words, f"{create} && {deliver.call}" if deliver.call else create, deliver.repair)

    def look(self, pair: Pair, words: str) -> Step:
        """Nothing that a program may decide: look at the order first."""
        return Step(words, self._grpcurl(self.order_address, "order.v1.OrderService/GetOrder", order_no=pair.order_no))

    def no_result(self, pair: Pair) -> Step:
        """A settled payment whose payment_result is missing, which no call of paylatch does."""
        if pair.schedule is None:
            return self._retry(pair.key, "restore", "it has no schedule either: give it both", Repair.RESTORE)
        words = "somebody has edited the database: put back its row of payment_result from a backup"
        return Step(words, self._show(pair.key))

    def settle(self, pair: Pair, notify: OrderPaymentNotify) -> Step:
        """A payment the order side was told of, which the payment side does not know or has not settled."""
        words = "ask the platform how it ended; only if it ended as the order side was told, "
        report = self._report(notify)
        if pair.payment is None:
            return Step(f"{words}create and report it again", f"{self._create(notify)} && {report}")
        return Step(f"{words}report it again", report)

    def resolve(self, pair: Pair) -> Step:
        """Money that did not pay its order."""
        is_mismatch = pair.notify is not None and pair.notify.disposition == order_enums.DISPOSITION_AMOUNT_MISMATCH
        choice = "; or take the amount as good: --resolution accepted" if is_mismatch else ""
        address = _option("--order-address", self.order_address, _DEFAULT_ORDER_ADDRESS)
        call = f"paylatch exceptions resolve --resolution returned{address} {WHO_AND_WHY} {_argument(pair.key)}"
        return Step(f"give the money back, then resolve it{choice}", call)

    def _wait(self, key: Key, schedule: NotifySchedule) -> Step:
        until = f"given up at {stamp_text(schedule.give_up_time)} at the latest"
        if schedule.is_claimed:
            return Step(f"wait: {schedule.claimed_by} is delivering it now; {until}")
        due = stamp_text(schedule.next_notify_time)
        return self._retry(key, "due-now", f"wait: it is due at {due}, {until}; or have it tried now")

    def _given_up(self, key: Key, schedule: NotifySchedule) -> Step:
        if schedule.HasField("handled_time"):
            handled = (
                f"{schedule.handled_by} closed it at {stamp_text(schedule.handled_time)}: {schedule.handled_reason}"
            )
            return self._retry(key, "requeue", f"{handled}; only if it is to be delivered after all, requeue it")
        if is_unanswered(schedule):
            return self._retry(
                key, "requeue", "it was given up for lack of an answer: have it tried again", Repair.REQUEUE
            )
        refusal = f"the order side refused it with {code_name(schedule.last_code)}"
        return self._retry(key, "requeue", f"{refusal}: mend the cause, then requeue it; or abandon it")

    def _delivered(self, pair: Pair) -> Step:
        if pair.notify is None:
            return self._retry(pair.key, "reopen", "the order side lost it: deliver it again", Repair.REOPEN)
        return Step("a person must look: the schedule is finished, its payment is not", self._show(pair.key))

    def _retry(self, key: Key, action: str, words: str, repair: Repair | None = None) -> Step:
        call = f"paylatch notify retry --action {action}{self._address_option} {WHO_AND_WHY} {_argument(key)}"
        return Step(words, call, repair)

    def _show(self, key: Key) -> str:
        return f"paylatch notify show{self._address_option} {_argument(key)}"

    @property
    def _address_option(self) -> str:
        return _option("--payment-address", self.payment_address, _DEFAULT_PAYMENT_ADDRESS)

    def _report(self, notify: OrderPaymentNotify) -> str:
        is_paid = notify.outcome == order_enums.PAYMENT_OUTCOME_SUCCESS
        status = payment_enums.PAYMENT_STATUS_SUCCESS if is_paid else payment_enums.PAYMENT_STATUS_FAILED
        return self._grpcurl(
            self.payment_address,
            "payment.v1.PaymentService/ReportPaymentResult",
            platform_id=notify.platform_id,
            payment_code=notify.payment_code,
            status=payment_enums.PaymentStatus.Name(status),
        )

    def _create(self, notify: OrderPaymentNotify) -> str:
        return self._grpcurl(
            self.payment_address,
            "payment.v1.PaymentService/CreatePayment",
            platform_id=notify.platform_id,
            payment_code=notify.payment_code,
            order_no=notify.order_no,
            amount_minor=notify.amount_minor,
            currency_code=notify.currency_code,
            notify_url=_url(self.order_address),
        )

    def _grpcurl(self, address: str, method: str, **fields: Any) -> str:
        is_tls = address.startswith("grpcs://")
        host = address.rpartition("//")[2]
        return f"grpcurl {'' if is_tls else '-plaintext '}-d {shlex.quote(json.dumps(fields))} {host} paylatch.{method}"


def _option(name: str, address: str, default: str) -> str:
    return "" if address == default else f" {name} {shlex.quote(address)}"


def _argument(key: Key) -> str:
    """The key as `paylatch` takes it: PLATFORM/CODE, or what is needed where that would be misread."""
    if "/" in key.platform_id or key.platform_id.startswith("-"):
        return f"--platform={shlex.quote(key.platform_id)} -- {shlex.quote(key.payment_code)}"
    return shlex.quote(str(key))


def _url(address: str) -> str:
    return address if "://" in address else f"grpc://{address}"
