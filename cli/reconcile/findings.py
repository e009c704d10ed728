"""What reconciliation finds: the kinds by name, and one finding. Names are stable: programs and alerts rest on them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum, unique

from cli.reconcile.pair import Pair


@unique
class Kind(StrEnum):
    """What is the matter with one payment."""

    NOT_DELIVERED = "NOT_DELIVERED"
    GIVEN_UP = "GIVEN_UP"
    SCHEDULE_MISSING = "SCHEDULE_MISSING"
    LOST_BY_ORDER_SIDE = "LOST_BY_ORDER_SIDE"
    ACKNOWLEDGE_MISSING = "ACKNOWLEDGE_MISSING"
    DISPOSITION_DIFFERS = "DISPOSITION_DIFFERS"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    ORDER_STATE_WRONG = "ORDER_STATE_WRONG"
    PHANTOM = "PHANTOM"
    PAYMENT_EXCEPTION = "PAYMENT_EXCEPTION"
    OUTCOME_CONFLICT = "OUTCOME_CONFLICT"


OPEN_MATTERS = frozenset({Kind.PAYMENT_EXCEPTION, Kind.OUTCOME_CONFLICT})
"""Kinds in which both sides agree, and which stand open all the same until a person has decided."""

MEANING = {
    Kind.NOT_DELIVERED: "settled; the order side does not have it yet, and it is tried again",
    Kind.GIVEN_UP: "settled; the order side does not have it, and it is tried no more",
    Kind.SCHEDULE_MISSING: "settled and not acknowledged, but there is no schedule to deliver it",
    Kind.LOST_BY_ORDER_SIDE: "acknowledged by the order side, which does not have it any more",
    Kind.ACKNOWLEDGE_MISSING: "the order side has it; the payment side has not been told",
    Kind.DISPOSITION_DIFFERS: "the sides differ in what the order side did with it",
    Kind.CONTENT_DIFFERS: "the sides differ in order, outcome, amount or currency",
    Kind.ORDER_STATE_WRONG: "the order does not stand as this payment must have left it",
    Kind.PHANTOM: "the order side has a payment that the payment side never settled so",
    Kind.PAYMENT_EXCEPTION: "settled money that did not pay its order: a person decides",
    Kind.OUTCOME_CONFLICT: "the opposite outcome was reported later: a person decides",
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
    """All findings counted, and of each kind the first `limit` kept."""

    limit: int
    counts: Counter[Kind] = field(default_factory=Counter)
    listed: list[Finding] = field(default_factory=list)

    def add(self, found: Iterable[Finding]) -> None:
        """Count them, and keep those there is room for."""
        for finding in found:
            self.counts[finding.kind] += 1
            if self.counts[finding.kind] <= self.limit:
                self.listed.append(finding)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def in_order(self) -> list[Finding]:
        """Those listed, kind by kind."""
        kinds = list(Kind)
        return sorted(self.listed, key=lambda finding: kinds.index(finding.kind))
