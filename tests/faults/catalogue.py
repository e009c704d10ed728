"""The faults the flow must survive: every row that is promised, the faults it is made of, and who makes each happen.

A point registers itself for one fault of a row. `python -m tests.faults` crosses all of them; a unit test holds that
none is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.run import Run

SERVERS = ("sqlite", "postgresql")
"""The backends that every fault is made on."""

EVERY = (*SERVERS, "mysql")
"""MariaDB too: it locks, counts changed rows and tells the time in its own way."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the step, what goes wrong there, what must be true after it."""

    step: str
    faults: Sequence[str]
    expected: str


ROWS = (
    Row(
        "create order",
        ("kill before COMMIT", "kill after COMMIT", "COMMIT raises, is durable", "COMMIT raises, is not"),
        "none, or exactly one; the same key again gets the same answer; other content is refused",
    ),
    Row(
        "create payment",
        ("kill before COMMIT", "kill after COMMIT", "COMMIT raises, is durable", "COMMIT raises, is not"),
        "none, or exactly one; the same key again gets the same answer; other content is refused",
    ),
    Row("create ×2", ("order", "payment"), "at the same instant: one row, both answered"),
    Row(
        "report result",
        ("kill after write 1", "kill after write 2", "kill after write 3", "kill before COMMIT"),
        "none of the three",
    ),
    Row(
        "report result",
        ("kill after COMMIT, before the answer",),
        "all three; the report again changes nothing",
    ),
    Row(
        "report result",
        (
            "COMMIT raises, is durable",
            "COMMIT raises, is not",
            "fsync fails with EIO",
            "database restarted in the transaction",
            "disk full",
            "lock wait",
            "deadlock",
            "serialization failure",
        ),
        "unknown is re-read, bounded retry of the whole transaction, then a clear error; never half",
    ),
    Row(
        "report result",
        ("twice at once", "success and failure at once", "deadline passes while it runs"),
        "one transition; the late opposite is refused",
    ),
    Row(
        "first attempt",
        ("kill before the call", "kill during the call", "the sender's queue is full", "shutdown during the call"),
        "the scheduler delivers; one effect",
    ),
    Row(
        "first attempt",
        ("the scheduler polls while it is slow",),
        "at most one call in flight: the row was born claimed",
    ),
    Row(
        "first attempt",
        ("target not resolvable", "target no longer on the allow-list"),
        "given back; not claimed, shown as such; the payment stays a success",
    ),
    Row(
        "OrderNotify",
        (
            "kill before COMMIT",
            "kill after COMMIT",
            "1 duplicate",
            "20 duplicates at once",
            "1000 duplicates at once",
            "duplicate days later",
        ),
        "one effect, all answered alike",
    ),
    Row(
        "OrderNotify",
        (
            "amount differs",
            "currency differs",
            "order cancelled",
            "order already paid",
            "order unknown",
            "same key with other content",
        ),
        "taken down with its disposition, or refused with a reason; never dropped",
    ),
    Row(
        "OrderNotify batch",
        (
            "one poison item among 500",
            "one item kills the receiver",
            "an answer with an item missing",
            "an answer in another order",
        ),
        "499 served, one has its own error; alone or halved next time; matched by key, the missing one unknown",
    ),
    Row(
        "follow-ups",
        ("one raises", "stock is short", "two orders want the last piece"),
        "the payment stands; the follow-up is listed; no deadlock",
    ),
    Row(
        "answer lost",
        ("dropped", "delayed past the deadline", "corrupted", "black-holed"),
        "tried again; one effect; 3 in the end",
    ),
    Row(
        "acknowledge",
        (
            "kill before COMMIT",
            "kill after COMMIT",
            "COMMIT raises, is durable",
            "COMMIT raises, is not",
            "payment database away longer than the lease",
        ),
        "sent again, repeated, 3 in the end",
    ),
    Row(
        "claim",
        ("kill before COMMIT", "kill after COMMIT", "N claimed, killed after k calls"),
        "free at once / due after the lease; k repeats, N−k deliveries",
    ),
    Row(
        "claim",
        ("2 schedulers at once", "8 schedulers at once"),
        "each row claimed once per lease; none starved",
    ),
    Row(
        "claim",
        ("a poison row at the head", "a lower id that commits later"),
        "the rest is served; it is picked",
    ),
    Row(
        "lease over",
        ("SIGSTOP before the call", "SIGSTOP after a call that succeeded", "SIGSTOP after a call that failed"),
        "repeated call; its failure write changes nothing; its success is accepted",
    ),
    Row(
        "clock",
        ("a worker's 1 h fast", "a worker's 1 h slow", "stepping back", "a year ahead"),
        "no early claim, no stuck row; purge and expiry stop with an alarm",
    ),
    Row(
        "receiver",
        (
            "accepts and never answers",
            "down with a backlog waiting",
            "answers RESOURCE_EXHAUSTED",
            "flaps",
        ),
        "deadlines hold; other targets go on; no budget burnt while it refuses connections; a ramp when it is back",
    ),
    Row(
        "give up",
        ("kill before COMMIT", "kill after COMMIT"),
        "once; the alarm is told",
    ),
    Row(
        "requeue",
        ("kill before COMMIT", "kill after COMMIT", "while a late worker is alive", "of a notified row"),
        "once; the new token wins; a notified row is reopened by nothing but `reopen`",
    ),
    Row(
        "purge",
        ("kill in the middle", "together with claim and requeue", "clock a year ahead"),
        "the rest next time; never an unfinished row; never a mass deletion",
    ),
    Row(
        "databases",
        ("restart every few seconds under load",),
        "converges",
    ),
    Row(
        "databases",
        (
            "order side restored from a backup",
            "payment side restored from a backup",
            "both sides restored, from backups of different times",
        ),
        "reconcile lists every difference, `--repair` mends what is safe, and nothing it repairs is doubled",
    ),
    Row(
        "network",
        ("cut both ways", "requests cut", "answers cut", "connection reset", "half-open"),
        "converges when healed",
    ),
    Row("everything", ("seeded random mix, then heal",), "all invariants"),
)
"""All of them, in the order of the flow."""


@dataclass(frozen=True, slots=True)
class Point:
    """One fault of a row, and what makes it happen. backends: those it can happen on."""

    step: str
    fault: str
    cross: Callable[["Run"], None] = field(repr=False)
    backends: Sequence[str] = SERVERS
    is_quick: bool = False

    @property
    def name(self) -> str:
        """As it is told and asked for."""
        return f"{self.step}: {self.fault}"


_POINTS: dict[tuple[str, str], Point] = {}


def point(
    step: str, fault: str, *, backends: Sequence[str] = SERVERS, quick: bool = False
) -> Callable[[Callable[["Run"], None]], Callable[["Run"], None]]:
    """Register what makes a fault happen. quick: also part of the short version."""

    def register(cross: Callable[["Run"], None]) -> Callable[["Run"], None]:
        assert (step, fault) not in _POINTS, f"{step}: {fault} has two points"
        _POINTS[step, fault] = Point(step, fault, cross, backends, quick)
        return cross

    return register


def points() -> Mapping[tuple[str, str], Point]:
    """All that are registered, by step and fault."""
    return _POINTS
