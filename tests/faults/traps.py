"""Stopping a real process at an exact point of one of its transactions.

The test arms one trap in a directory; the process that reaches the point first springs it: it waits there until it is
told to go on, or to raise what a driver raises, or is killed. Both sides speak by the names of files, of which a
renaming is atomic, so that a trap springs exactly once whatever runs at the same time.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from peewee import OperationalError

from tests.support.processes import eventually

_POLL_SECONDS = 0.002
DISK_ERROR, SERIALIZATION_FAILURE = "disk I/O error", "serialization failure"
_ERRORS = {
    DISK_ERROR: OperationalError(DISK_ERROR),
    SERIALIZATION_FAILURE: psycopg.errors.SerializationFailure(SERIALIZATION_FAILURE),
}
_ARMED, _SPRUNG, _GO_ON, _RAISE = "armed", "sprung", "go-on", "raise"


@dataclass(frozen=True, slots=True)
class Point:
    """Where: the transaction, by the dotted name of the function that runs it, and the moment in it.

    moment: "before begin", "after write N", "before commit" or "after commit"; the last three only if it writes.
    """

    transaction: str
    moment: str


class Traps:
    """The test's side. directory: of one kind of process, and nobody else's."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def arm(self, point: Point) -> "Trap":
        """Set the trap; one at a time."""
        for left in self._directory.glob("trap.*"):
            left.unlink()
        draft = self._directory / "draft"
        draft.write_text(json.dumps(asdict(point)))
        draft.rename(self._directory / f"trap.{_ARMED}")
        return Trap(self._directory, point)

    def disarm(self) -> None:
        """No trap from here on; whoever waits goes on."""
        (self._directory / f"trap.{_ARMED}").unlink(missing_ok=True)
        for sprung in self._directory.glob(f"trap.{_SPRUNG}.*"):
            sprung.rename(_renamed(sprung, _GO_ON))


class Trap:
    """An armed trap."""

    def __init__(self, directory: Path, point: Point) -> None:
        self._directory = directory
        self._point = point

    def wait(self) -> int:
        """Wait until somebody has sprung it; the id of the process."""
        sprung = eventually(lambda: list(self._directory.glob(f"trap.{_SPRUNG}.*")))
        return int(sprung[0].suffix[1:])

    def go_on(self) -> None:
        """Let the process go on as if nothing had been."""
        self._answer(_GO_ON)

    def raise_there(self, error: str = DISK_ERROR) -> None:
        """Let the process's database raise this at the point."""
        self._answer(_RAISE, error)

    def _answer(self, answer: str, error: str = "") -> None:
        sprung = next(self._directory.glob(f"trap.{_SPRUNG}.*"))
        sprung.write_text(error)
        sprung.rename(_renamed(sprung, answer))


class Trapped:
    """The process's side: told of every point that it reaches."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._armed = directory / f"trap.{_ARMED}"

    def reach(self, transaction: str, moment: str) -> None:
        """Wait here if a trap is armed for this point.

        Raises:
            Exception: the test says that the database raises this here.
        """
        try:
            armed: Mapping[str, str] = json.loads(self._armed.read_text())
        except FileNotFoundError:
            return
        if armed["moment"] == moment and transaction.startswith(armed["transaction"]):
            self._spring()

    def _spring(self) -> None:
        sprung = self._directory / f"trap.{_SPRUNG}.{os.getpid()}"
        try:
            self._armed.rename(sprung)
        except FileNotFoundError:
            return  # another thread or process was there first
        while sprung.exists():
            time.sleep(_POLL_SECONDS)
        raising = _renamed(sprung, _RAISE)
        if raising.exists():
            raise _ERRORS[raising.read_text()]


def _renamed(sprung: Path, answer: str) -> Path:
    return sprung.with_name(sprung.name.replace(_SPRUNG, answer))
