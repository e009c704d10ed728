"""Between messages and plain values: times, enums and pages. Owns what a well-formed one is; knows no message by name.

What is wrong is noted with a `Checker` and something harmless is given back: it is not used, for `finish` raises.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from core.rules.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Checker

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_MAX_TOKEN = 1_024
_MAX_INTEGER = 2**63 - 1

ProtoValue = TypeVar("ProtoValue", bound=int)
Code = TypeVar("Code", bound=IntEnum)
SortKey = tuple[int | str, ...]


def to_timestamp(time: datetime) -> Timestamp:
    """An aware time as a Timestamp, to the microsecond.

    Raises:
        ValueError: the time is naive, and so could be any.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    since = time - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def from_timestamp(timestamp: Timestamp) -> datetime:
    """A Timestamp as an aware time in UTC, cut to the microsecond.

    Raises:
        ValueError: it is not within 1970 to 9999.
    """
    if not (0 <= timestamp.seconds <= _LAST_SECOND and 0 <= timestamp.nanos < 10**9):
        raise ValueError(f"seconds {timestamp.seconds}, nanos {timestamp.nanos} is not a time of 1970 to 9999")
    return EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1_000)


def read_time(checker: Checker, field: str, timestamp: Timestamp) -> datetime:
    """The time a caller gave in `field`; a violation unless it is within 1970 to 9999."""
    try:
        return from_timestamp(timestamp)
    except ValueError as wrong:
        checker.require(False, field, str(wrong))
        return EPOCH


class _ProtoEnum(Protocol):
    def Name(self, number: Any) -> str: ...


class EnumMap(Generic[ProtoValue, Code]):
    """One enum of a contract and the codes it stands for, one to one. UNSPECIFIED, not listed, stands for none."""

    def __init__(self, enum: _ProtoEnum, codes: Mapping[ProtoValue, Code]) -> None:
        self._code_of = dict(codes)
        self._value_of = {code: value for value, code in codes.items()}
        if len(self._value_of) != len(self._code_of):
            raise ValueError(f"two values stand for the same code: {codes}")
        self._allowed = ", ".join(enum.Name(value) for value in codes)

    def to_value(self, code: Code) -> ProtoValue:
        """The contract's value of `code`."""
        return self._value_of[code]

    def to_code(self, value: ProtoValue) -> Code | None:
        """The code of `value`; None if it stands for none, as what a newer peer sends may."""
        return self._code_of.get(value)

    def read(self, checker: Checker, field: str, value: ProtoValue) -> Code:
        """The code of what a caller gave in `field`; a violation if it stands for none."""
        code = self._code_of.get(value)
        if code is None:
            checker.require(False, field, f"is {value}, must be one of {self._allowed}")
            return next(iter(self._code_of.values()))
        return code

    def read_filter(self, checker: Checker, field: str, value: ProtoValue) -> Code | None:
        """The code to filter by; None (any) for UNSPECIFIED, a violation for what is not a value."""
        return None if value == 0 else self.read(checker, field, value)


@dataclass(frozen=True, slots=True)
class PageToken:
    """Where a page ended: the sort key of its last row, and a fingerprint of the filters it was made with."""

    last_key: SortKey
    filters: str

    def __str__(self) -> str:
        text = json.dumps([self.filters, *self.last_key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token that was written as `text`.

        Raises:
            ValueError: it was not written by `__str__`.
        """
        if len(text) > _MAX_TOKEN:
            raise ValueError("too long")
        padded = text.encode() + b"=" * (-len(text) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not (isinstance(parts, list) and parts and isinstance(parts[0], str)):
            raise ValueError("not a list that begins with a fingerprint")
        return cls(tuple(parts[1:]), parts[0])

    def fits(self, filters: str, kinds: Sequence[type]) -> bool:
        """Whether it was made with these filters, and its key has parts of these kinds."""
        return self.filters == filters and len(self.last_key) == len(kinds) and all(map(_is_a, self.last_key, kinds))


@dataclass(frozen=True, slots=True)
class Page:
    """The page a caller asks for: at most `size` rows, sorted after the key `after` (None: from the start)."""

    size: int
    after: SortKey | None
    filters: str

    def token_after(self, last_key: SortKey) -> str:
        """The next_page_token when the row of `last_key` is the last on this page and more follow."""
        return str(PageToken(last_key, self.filters))


class PageRequest(Protocol):
    """A request message of a list RPC."""

    page_size: int
    page_token: str

    def ClearField(self, field_name: Literal["page_size", "page_token"]) -> None:
        """Set the field to its default."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:
        """The message as bytes."""


def read_page(checker: Checker, request: PageRequest, *kinds: type[int] | type[str]) -> Page:
    """The page that a list request asks for; violations of page_size and page_token.

    kinds: what the parts of the list's sort key are. A token is good for the very filters it was given for.
    """
    filters = _fingerprint(request)
    after = _read_token(checker, request.page_token, filters, kinds) if request.page_token else None
    return Page(read_page_size(checker, request.page_size), after, filters)


def read_page_size(checker: Checker, size: int) -> int:
    """Rows a page: 50 for 0, at most 1,000; a violation of page_size else."""
    checker.number("page_size", size, 0, MAX_PAGE_SIZE)
    return size if 0 < size <= MAX_PAGE_SIZE else DEFAULT_PAGE_SIZE


def _read_token(checker: Checker, text: str, filters: str, kinds: Sequence[type]) -> SortKey | None:
    try:
        token = PageToken.parse(text)
    except (ValueError, RecursionError):
        token = None
    fits = token is not None and token.fits(filters, kinds)
    checker.require(fits, "page_token", "must be the next_page_token of a page with the same filters, or empty")
    return token.last_key if token is not None and fits else None


def _fingerprint(request: PageRequest) -> str:
    """What tells the filters of one request from those of another: everything but the page."""
    filters = copy.deepcopy(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return hashlib.sha256(filters.SerializeToString(deterministic=True)).hexdigest()[:16]


def _is_a(part: int | str, kind: type) -> bool:
    """Whether a part of a forged key could stand where `kind` is expected: no bool, no null, no endless number."""
    return type(part) is kind and (kind is str or abs(int(part)) <= _MAX_INTEGER)
