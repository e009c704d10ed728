"""How commands speak: tables for people, JSON for programs, one line for what went wrong. Decides nothing."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from iso4217 import Currency
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.clients import CallFailed, CannotRun
from core.rpc.translate import from_timestamp
from core.rules.limits import clean_text
from core.rules.outcome import FAILED_PRECONDITION, NOT_FOUND
from core.settings import BadSetting


class ExitCode(IntEnum):
    """What a command tells the shell."""

    OK = 0
    NOT_ALL = 1
    """It ran, and the answer is not what one would wish: a difference, a row that did not change, no such row."""
    CANNOT_RUN = 2


AnyMessage = TypeVar("AnyMessage", bound=Message)

WIDTH_OF_A_FILE = 118
"""Columns of a table that no terminal limits."""


def console() -> Console:
    """Standard output, for people. Draws no colours into a pipe or file, nor squeezes tables into 80 columns there."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE
    return Console(highlight=False, width=width)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_json_line(document: Any) -> None:
    """One JSON document on a line of its own, there at once for whoever reads."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def show(message: AnyMessage, draw: Callable[[AnyMessage, Console], None], *, as_json: bool) -> None:
    """A message on standard output: as JSON for programs, or as `draw` draws it for people."""
    if as_json:
        print_json(message_json(message))
    else:
        draw(message, console())


@contextmanager
def told_failures() -> Iterator[None]:
    """Tell on standard error why a command cannot be run, and end it."""
    try:
        yield
    except (CannotRun, BadSetting) as failure:
        tell_failure(failure)
        raise typer.Exit(ExitCode.CANNOT_RUN) from failure


@contextmanager
def refusal_is_told() -> Iterator[None]:
    """Tell on standard error that there is no such row, or that it is past that: it ran, and this is its answer."""
    try:
        yield
    except CallFailed as failure:
        if failure.code not in {NOT_FOUND, FAILED_PRECONDITION}:
            raise
        tell_failure(failure)
        raise typer.Exit(ExitCode.NOT_ALL) from failure


def tell_failure(failure: Exception) -> None:
    """One line on standard error, and one more for each thing that is wrong."""
    sys.stderr.write(f"paylatch: {clean_text(str(failure))}\n")
    for violation in failure.violations if isinstance(failure, CallFailed) else ():
        sys.stderr.write(f"  {violation}\n")


def say(to: Console, words: str, style: str = "", *, whole: bool = False) -> None:
    """A line of text. whole: in one piece even on a terminal, as a pipe always gets it: ready to be pasted."""
    to.print(Text(clean_text(words), style=style), soft_wrap=whole or not to.is_terminal)


def table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """An empty table. right: the columns of figures."""
    made = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def texts(cells: Iterable[object]) -> list[Text]:
    """Cells of a table, with nothing in them that a terminal or rich would take for more than text."""
    return [cell if isinstance(cell, Text) else Text(clean_text(str(cell))) for cell in cells]


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 payment`, `6,911 payments`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def time_text(time: datetime) -> str:
    """A time for people, UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S}Z"


def stamp_text(stamp: Timestamp) -> str:
    """The same of a message's time."""
    return time_text(from_timestamp(stamp))


def time_json(time: datetime) -> str:
    """A time for programs: RFC 3339, UTC, to the microsecond."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"


def stamp_json(stamp: Timestamp) -> str:
    """The same of a message's time."""
    return time_json(from_timestamp(stamp))


@cache
def exponent(currency_code: str) -> int | None:
    """How many decimals the currency has; None if it has no minor unit, or is none of ISO 4217."""
    try:
        found: int | None = Currency(currency_code).exponent
    except ValueError:
        return None
    return found


def decimal_text(amount_minor: int, currency_code: str, separator: str = "") -> str:
    """An amount in the currency's major unit, exact to the minor unit: `1234.56`. Minor units if there is no other."""
    decimals = exponent(currency_code) or 0
    whole, rest = divmod(abs(amount_minor), 10**decimals)
    digits = f"{whole:,}".replace(",", separator)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{digits}.{rest:0{decimals}d}" if decimals else f"{sign}{digits}"


def money(amount_minor: int, currency_code: str) -> str:
    """An amount for people: `USD 1,234.56`."""
    return f"{currency_code} {decimal_text(amount_minor, currency_code, separator=',')}"


def message_json(message: Message) -> dict[str, Any]:
    """A message for programs, as protobuf spells it in JSON, with the contract's own field names."""
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def enum_text(enum: Any, value: int) -> str:
    """A value of a contract's enum without the enum's name in front: `SUCCESS`; its number if it has no name."""
    names: list[str] = enum.keys()
    if value not in enum.values():
        return str(value)
    # The zero value is called …_UNSPECIFIED by rule.
    prefix = names[enum.values().index(0)].removesuffix("UNSPECIFIED")
    return str(enum.Name(value)).removeprefix(prefix)
