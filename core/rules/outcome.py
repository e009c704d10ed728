"""How one delivery ended, as one of three values, and the one table that tells it from a gRPC status (SPEC 7). Pure."""

from dataclasses import dataclass
from datetime import timedelta

from core.rules.codes import Disposition

OK = 0
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
UNAVAILABLE = 14
DATA_LOSS = 15

REFUSALS = frozenset({INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION, OUT_OF_RANGE, DATA_LOSS})
"""Codes of an item that no repetition can mend: a person must look."""

BREAKER_CODES = frozenset({UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED})
"""Codes of a call that speak of the target and not of what was sent."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The order side has it, and told what it did with it."""

    disposition: Disposition


@dataclass(frozen=True, slots=True)
class TryAgain:
    """No effect is known. wait: what the receiver asked for (RetryInfo). batch_limit: most rows of the next call."""

    code: int
    message: str
    wait: timedelta = timedelta(0)
    batch_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The order side will never take it as it is."""

    code: int
    message: str


Outcome = Delivered | TryAgain | Refused


def of_item(code: int, message: str, wait: timedelta = timedelta(0)) -> TryAgain | Refused:
    """The outcome of one item that was answered with an error status of its own."""
    return Refused(code, message) if code in REFUSALS else TryAgain(code, message, wait)


def of_batch(code: int, message: str, wait: timedelta, size: int) -> TryAgain:
    """The outcome of each item of a call that failed as a whole: next time in halves, so none burns its neighbours."""
    return TryAgain(code, message, wait, batch_limit=max(1, size // 2))
