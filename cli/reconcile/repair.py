"""`--repair`: has the payment server try again what is safe to try again (SPEC 10). Never touches anything else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cli.clients import CallFailed, Key, PaymentSide, chunks, key_of
from cli.reconcile.findings import Finding, Repair
from cli.reconcile.pair import Pair
from paylatch.payment.v1 import payment_enums_pb2
from paylatch.payment.v1.notify_schedule_service_pb2 import RetryNotifySchedulesRequest

_ACTION = {
    Repair.REQUEUE: payment_enums_pb2.RETRY_ACTION_REQUEUE,
    Repair.REOPEN: payment_enums_pb2.RETRY_ACTION_REOPEN,
    Repair.RESTORE: payment_enums_pb2.RETRY_ACTION_RESTORE,
}
DEFAULT_REASON = {
    Repair.REQUEUE: "reconcile: given up for lack of an answer",
    Repair.REOPEN: "reconcile: the order side was asked twice and does not have it",
    Repair.RESTORE: "reconcile: settled, and without a schedule",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A key that was not repaired, and why."""

    key: Key
    repair: Repair
    reason: str
    message: str


@dataclass(slots=True)
class Asked:
    """What was asked for of one repair. unknown: keys of calls that failed, and may have been carried out."""

    asked: int = 0
    changed: int = 0
    refused: int = 0
    unknown: int = 0


@dataclass(slots=True)
class RepairReport:
    """All that was asked for. refusals and failures: the first `limit` of each."""

    operator: str
    limit: int
    by_repair: dict[Repair, Asked] = field(default_factory=lambda: defaultdict(Asked))
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """How many payments are tried again."""
        return sum(asked.changed for asked in self.by_repair.values())


class Repairs:
    """Asks for repairs, page by page of findings. reason: what is recorded; if None, what speaks for itself.

    Kill it anywhere, and ask again: a repair that was done finds the schedule in another status, and is not done twice.
    """

    def __init__(self, side: PaymentSide, reason: str | None, report: RepairReport) -> None:
        self._side = side
        self._reason = reason
        self.report = report

    def ask(self, findings: Iterable[Finding]) -> None:
        """Have what is safe among the findings repaired."""
        pairs = defaultdict(list)
        for finding in findings:
            if finding.step.repair:
                pairs[finding.step.repair].append(finding.pair)
        for repair, of_repair in pairs.items():
            for chunk in chunks(of_repair):
                self._ask_batch(repair, [pair.key for pair in chunk], _oldest_reading(chunk))

    def _ask_batch(self, repair: Repair, keys: Sequence[Key], unchanged_since: Timestamp | None) -> None:
        """Ask for what was found: whatever a person has done since it was read stands."""
        asked = self.report.by_repair[repair]
        asked.asked += len(keys)
        request = RetryNotifySchedulesRequest(
            action=_ACTION[repair],
            keys=[key.message for key in keys],
            operator=self.report.operator,
            reason=self._reason or DEFAULT_REASON[repair],
            unchanged_since=unchanged_since,
        )
        try:
            answer = self._side.server.call(self._side.schedules.RetryNotifySchedules, request)
        except CallFailed as failure:
            asked.unknown += len(keys)
            self._note(self.report.failures, str(failure))
            return
        asked.changed += answer.changed_count
        for result in answer.results:
            if result.HasField("error"):
                asked.refused += 1
                refusal = Refusal(key_of(result), repair, result.error.reason, result.error.message)
                self._note(self.report.refusals, refusal)

    def _note(self, notes: list[Any], note: Any) -> None:
        if len(notes) < self.report.limit:
            notes.append(note)


def _oldest_reading(pairs: Iterable[Pair]) -> Timestamp | None:
    return min((pair.read_time for pair in pairs if pair.read_time), key=Timestamp.ToNanoseconds, default=None)
