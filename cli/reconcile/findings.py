"""What reconciliation finds: the kinds by name, and one finding. Names are stable: programs and alerts rest on them."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum, unique

from cli.reconcile.pair import Pair


@unique
class Kind(StrEnum):
    """What is the matter with one payment. docs/reconcile.md says of each what makes it and who is to act."""

    NOT_DELIVERED = "NOT_DELIVERED"
    OVERDUE = "OVERDUE"
    ORDER_MISSING = "ORDER_MISSING"
    GIVEN_UP = "GIVEN_UP"
    REFUSED = "REFUSED"
    SCHEDULE_MISSING = "SCHEDULE_MISSING"
    RESULT_MISSING = "RESULT_MISSING"
    LOST_BY_ORDER_SIDE = "LOST_BY_ORDER_SIDE"
    ACKNOWLEDGE_MISSING = "ACKNOWLEDGE_MISSING"
    DISPOSITION_DIFFERS = "DISPOSITION_DIFFERS"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    OUTCOME_DIFFERS = "OUTCOME_DIFFERS"
    PAYMENT_UNKNOWN = "PAYMENT_UNKNOWN"
    PAYMENT_UNSETTLED = "PAYMENT_UNSETTLED"
    ORDER_STATE_WRONG = "ORDER_STATE_WRONG"
    PAYMENT_EXCEPTION = "PAYMENT_EXCEPTION"
    OUTCOME_CONFLICT = "OUTCOME_CONFLICT"
    ABANDONED = "ABANDONED"


@unique
class Class(StrEnum):
    """How much a kind weighs."""

    DIFFERENCE = "DIFFERENCE"
    OPEN_MATTER = "OPEN_MATTER"
    CLOSED = "CLOSED"


_OTHERS = {
    Kind.PAYMENT_EXCEPTION: Class.OPEN_MATTER,
    Kind.OUTCOME_CONFLICT: Class.OPEN_MATTER,
    Kind.ABANDONED: Class.CLOSED,
}
CLASS = {kind: _OTHERS.get(kind, Class.DIFFERENCE) for kind in Kind}
"""In a difference the sides differ. In an open matter they agree, and a person has to decide all the same. What is
closed a person has decided with a reason: it is told, and leaves a run clean."""

MEANING = {
    Kind.NOT_DELIVERED: "settled; the order side does not have it yet, and it is tried again",
    Kind.OVERDUE: "settled; its next attempt has been due for longer than the grace, and nobody makes it",
    Kind.ORDER_MISSING: "settled; the order side does not know the order it is for",
    Kind.GIVEN_UP: "settled; the order side does not have it, and for lack of an answer it is tried no more",
    Kind.REFUSED: "settled; the order side refused it, and it is tried no more",
    Kind.SCHEDULE_MISSING: "settled and not acknowledged, but there is no schedule to deliver it",
    Kind.RESULT_MISSING: "settled, but there is no payment_result to say whether the order side has it",
    Kind.LOST_BY_ORDER_SIDE: "acknowledged by the order side, which does not have it any more",
    Kind.ACKNOWLEDGE_MISSING: "the order side has it; the payment side has not been told",
    Kind.DISPOSITION_DIFFERS: "the sides differ in what the order side did with it",
    Kind.CONTENT_DIFFERS: "the sides differ in order, amount or currency",
    Kind.OUTCOME_DIFFERS: "one side has it as paid, the other as failed",
    Kind.PAYMENT_UNKNOWN: "the order side has it; the payment side does not know such a payment",
    Kind.PAYMENT_UNSETTLED: "the order side was told how it ended; the payment side has not settled it",
    Kind.ORDER_STATE_WRONG: "the order does not stand as this payment must have left it",
    Kind.PAYMENT_EXCEPTION: "settled money that did not pay its order: a person decides",
    Kind.OUTCOME_CONFLICT: "the opposite outcome was reported later: a person decides",
    Kind.ABANDONED: "settled; the order side does not have it, and a person has closed it with a reason",
}
"""Each kind in words."""


@unique
class Repair(StrEnum):
    """What `--repair` may ask for: only what is safe (SPEC 10)."""

    REQUEUE = "REQUEUE"
    REOPEN = "REOPEN"
    RESTORE = "RESTORE"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done: in words, as the exact call if one would do it, and as a repair if that is safe."""

    words: str
    call: str = ""
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, or one open matter, as it was at the second reading."""

    kind: Kind
    pair: Pair
    step: Step


@dataclass(slots=True)
class Findings:
    """All findings counted, those of an interrupted run too, and of each kind the first `limit` kept."""

    limit: int
    counts: Counter[Kind] = field(default_factory=Counter)
    listed: list[Finding] = field(default_factory=list)
    _kept: Counter[Kind] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count it, and keep it if there is room."""
        self.counts[finding.kind] += 1
        if self._kept[finding.kind] < self.limit:
            self._kept[finding.kind] += 1
            self.listed.append(finding)

    def of_class(self, wanted: Class) -> dict[Kind, int]:
        """How many there are of each kind of this class that occurred."""
        return {kind: self.counts[kind] for kind in Kind if self.counts[kind] and CLASS[kind] is wanted}

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def is_open(self) -> bool:
        """Whether any of them is not closed."""
        return self.total > sum(self.of_class(Class.CLOSED).values())

    @property
    def in_order(self) -> list[Finding]:
        """Those listed, kind by kind."""
        kinds = list(Kind)
        return sorted(self.listed, key=lambda finding: kinds.index(finding.kind))
