"""Showing how far it has come: a bar on a terminal, a line now and then elsewhere. Decides nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from cli.demo.board import Counts
from core.clock import Clock

_LINE_EVERY_SECONDS = 2.0


class Progress(Protocol):
    """Where it is shown."""

    def begin(self, stage: str, total: int) -> None:
        """From now on it is about this."""
        ...

    def show(self, done: int, counts: Counts) -> None:
        """This much of the stage is done."""
        ...

    def say(self, text: str) -> None:
        """Something happened."""
        ...


@contextmanager
def shown(console: Console, clock: Clock) -> Iterator[Progress]:
    """The progress that fits where `console` writes to."""
    if not console.is_terminal:
        yield Lines(console, clock)
        return
    columns = [
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    ]
    with RichProgress(*columns, console=console) as bars:
        yield Bars(bars)


class Bars:
    """A bar for each stage."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task = bars.add_task("starting", total=None, told="")
        self._is_fresh = True

    def begin(self, stage: str, total: int) -> None:
        """A new bar, below the others."""
        if not self._is_fresh:
            self._task = self._bars.add_task(stage, total=total, told="")
        self._bars.update(self._task, description=stage, total=total)
        self._is_fresh = False

    def show(self, done: int, counts: Counts) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done, told=_told(counts))

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text)


class Lines:
    """A line at the end of each stage, and every other second on the way."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._stage = ""
        self._total = 0
        self._shown = 0
        self._next = 0.0

    def begin(self, stage: str, total: int) -> None:
        """What the next lines are about."""
        self._stage, self._total, self._shown = stage, total, 0
        self._next = self._clock.monotonic() + _LINE_EVERY_SECONDS

    def show(self, done: int, counts: Counts) -> None:
        """A line, if the last is old enough, or nothing is left."""
        now = self._clock.monotonic()
        if now >= self._next or self._shown < done == self._total:
            self._next, self._shown = now + _LINE_EVERY_SECONDS, done
            self._console.print(f"{self._stage}: {done:,} of {self._total:,}  {_told(counts)}".rstrip(), soft_wrap=True)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, soft_wrap=True)


def _told(counts: Counts) -> str:
    if not counts.settled:
        return ""
    return f"orders paid {counts.paid:,} · waiting {counts.waiting:,}"
