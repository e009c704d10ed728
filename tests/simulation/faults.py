"""What can go wrong, and where. A plan decides at each boundary; whoever stands there makes it happen.

Owns the names of faults and the counts of those that fired.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol


class Boundary(Enum):
    """Where code meets the world outside its process."""

    CONNECT = "connect"
    STATEMENT = "statement"
    COMMIT = "commit"
    READY = "ready"
    CALL = "call"


class Fault(Enum):
    """What happens at a boundary instead of what should."""

    CRASH_BEFORE = "crash before it"
    CRASH_AFTER = "crash after it"
    CONNECTION_REFUSED = "database cannot be opened"
    STATEMENT_FAILS = "statement fails: disk I/O error"
    DISK_FULL = "statement fails: disk full"
    STATEMENT_LOSES_RACE = "statement fails: database is locked"
    COMMIT_FAILS = "commit raises and is lost"
    COMMIT_FAILS_DURABLE = "commit raises and is durable"
    NOT_READY = "target not ready"
    REQUEST_LOST = "request lost"
    REQUEST_RESET = "connection reset before the request"
    ANSWER_LOST = "answer lost"
    ANSWER_RESET = "connection reset before the answer"
    ANSWER_GARBLED = "answer garbled"
    ANSWER_LATE = "answer after the deadline"
    DISPOSITION_UNKNOWN = "answered with an unknown disposition"
    ITEMS_MISSING = "items missing in the answer of a batch"
    ITEMS_SHUFFLED = "items of a batch answered in another order"
    OVERLOADED = "answered RESOURCE_EXHAUSTED"
    DUPLICATED = "request delivered twice"
    DELAYED = "request delayed"


CRASHES = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER})

POSSIBLE: dict[Boundary, tuple[Fault, ...]] = {
    Boundary.CONNECT: (Fault.CRASH_BEFORE, Fault.CONNECTION_REFUSED),
    Boundary.STATEMENT: (
        Fault.CRASH_BEFORE,
        Fault.STATEMENT_FAILS,
        Fault.DISK_FULL,
        Fault.STATEMENT_LOSES_RACE,
    ),
    Boundary.COMMIT: (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.COMMIT_FAILS, Fault.COMMIT_FAILS_DURABLE),
    Boundary.READY: (Fault.CRASH_BEFORE, Fault.NOT_READY),
    Boundary.CALL: (
        Fault.CRASH_BEFORE,
        Fault.CRASH_AFTER,
        Fault.REQUEST_LOST,
        Fault.REQUEST_RESET,
        Fault.ANSWER_LOST,
        Fault.ANSWER_RESET,
        Fault.ANSWER_GARBLED,
        Fault.ANSWER_LATE,
        Fault.DISPOSITION_UNKNOWN,
        Fault.ITEMS_MISSING,
        Fault.ITEMS_SHUFFLED,
        Fault.OVERLOADED,
        Fault.DUPLICATED,
        Fault.DELAYED,
    ),
}
"""What can happen at each boundary."""

CALLED_WITH: dict[Fault, frozenset[str]] = {
    Fault.ITEMS_MISSING: frozenset({"BatchOrderNotify"}),
    Fault.ITEMS_SHUFFLED: frozenset({"BatchOrderNotify"}),
    Fault.DISPOSITION_UNKNOWN: frozenset({"OrderNotify", "BatchOrderNotify"}),
}
"""The calls to which some faults can happen only."""


class Plan(Protocol):
    """Decides what goes wrong."""

    def at(self, boundary: Boundary, who: str, what: str) -> Fault | None:
        """The fault at this boundary, or None: all goes well."""
        ...


class NoFaults:
    """All goes well."""

    def at(self, boundary: Boundary, who: str, what: str) -> Fault | None:
        return None


class Passed(NamedTuple):
    """A boundary that somebody came to."""

    boundary: Boundary
    who: str
    what: str


@dataclass
class OneFault:
    """All goes well but at one boundary: the `number`th that anybody comes to, counted from 0.

    times: at so many boundaries of the same kind in a row the same happens to the same process. passed: all that were
    come to. fired: how often it happened.
    """

    number: int
    fault: Fault | None
    times: int = 1
    passed: list[Passed] = field(default_factory=list)
    fired: int = 0

    def at(self, boundary: Boundary, who: str, what: str) -> Fault | None:
        self.passed.append(Passed(boundary, who, what))
        if len(self.passed) <= self.number or self.fault is None or self.fired == self.times:
            return None
        first = self.passed[self.number]
        if (boundary, who) != (first.boundary, first.who):
            return None
        self.fired += 1
        return self.fault


class RandomFaults:
    """Each fault has its own chance in a run; which ones can happen at all is drawn first, so that runs differ."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._chances = {fault: self._chance(fault) for fault in Fault}
        self._by_boundary = {
            boundary: [(fault, chance) for fault in faults if (chance := self._chances[fault])]
            for boundary, faults in POSSIBLE.items()
        }
        self._totals = {boundary: sum(chance for _, chance in known) for boundary, known in self._by_boundary.items()}

    def at(self, boundary: Boundary, who: str, what: str) -> Fault | None:
        drawn = self._random.random()
        if drawn >= self._totals[boundary]:
            return None
        for fault, chance in self._by_boundary[boundary]:
            drawn -= chance
            if drawn < 0:
                return fault
        return None

    def _chance(self, fault: Fault) -> float:
        if self._random.random() < 0.5:
            return 0.0
        if fault is Fault.DUPLICATED:
            return self._random.choice((0.1, 0.5))
        if fault in {Fault.CRASH_BEFORE, Fault.CRASH_AFTER}:
            return 0.004
        return self._random.choice((0.005, 0.03))


Counts = Counter[str]
"""How often each fault has fired, by its words."""

TROUBLES = ("process killed", "process frozen", "network cut", "clock stepped", "vouchers jammed")
"""What happens to a whole process, network or clock, at a time that is drawn."""


def fired(boundary: Boundary, fault: Fault) -> str:
    """The words by which a fault is counted; a crash's tell where."""
    return f"crash at {boundary.value}" if fault in CRASHES else fault.value


def every_fault() -> list[str]:
    """Every fault that can fire, by its words."""
    at_boundaries = {fired(boundary, fault): None for boundary, faults in POSSIBLE.items() for fault in faults}
    return [*at_boundaries, *TROUBLES]
