"""How far a run is: all that another process needs to go on with it. Owns its file; reads and compares nothing else."""

import json
import os
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from cli.clients import CannotRun
from cli.output import time_json
from cli.reconcile.findings import Kind, Repair
from cli.reconcile.pair import Window
from cli.reconcile.repair import Asked
from cli.reconcile.sums import Counts, Sum, Tally
from core.rules.limits import clean_text


@dataclass(slots=True)
class Progress:
    """What was compared so far, and where to go on: from the page of `page_token` in list number `sweep`.

    asked: what the run was asked to do. Whoever goes on with it must ask for the same.
    """

    asked: dict[str, Any]
    start_time: datetime
    window: Window
    sweep: int = 0
    page_token: str = ""
    tally: Tally = field(default_factory=Tally)
    kinds: Counter[Kind] = field(default_factory=Counter)
    repairs: dict[Repair, Asked] = field(default_factory=lambda: defaultdict(Asked))

    def as_json(self) -> dict[str, Any]:
        """All of it, as `of_json` reads it."""
        return {
            "asked": self.asked,
            "start_time": time_json(self.start_time),
            "window": {name: time_json(time) if time else None for name, time in asdict(self.window).items()},
            "sweep": self.sweep,
            "page_token": self.page_token,
            "counts": asdict(self.tally.counts),
            "sums": {currency: asdict(amounts) for currency, amounts in self.tally.sums.items()},
            "kinds": dict(self.kinds),
            "repairs": {repair.value: asdict(asked) for repair, asked in self.repairs.items()},
        }

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> Self:
        """What `as_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it did not give this.
        """
        sums = {currency: Sum(**amounts) for currency, amounts in said["sums"].items()}
        repairs = {Repair(repair): Asked(**asked) for repair, asked in said["repairs"].items()}
        return cls(
            asked=said["asked"],
            start_time=datetime.fromisoformat(said["start_time"]),
            window=Window(**{name: time and datetime.fromisoformat(time) for name, time in said["window"].items()}),
            sweep=said["sweep"],
            page_token=said["page_token"],
            tally=Tally(Counts(**said["counts"]), defaultdict(Sum, sums)),
            kinds=Counter({Kind(kind): number for kind, number in said["kinds"].items()}),
            repairs=defaultdict(Asked, repairs),
        )


class ProgressFile:
    """Keeps a run's progress, so that it can be killed at any moment and gone on with. No file: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self, asked: dict[str, Any]) -> Progress | None:
        """The progress of the run that was asked for the same; None if there is none to go on with.

        Raises:
            CannotRun: the file is not readable, or is that of another run.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            progress = Progress.of_json(json.loads(self._path.read_bytes()))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CannotRun(f"{self._path} is not the progress of a run: remove it to begin anew ({error})") from error
        differing = [name for name, value in asked.items() if progress.asked.get(name) != value]
        if differing:
            was = ", ".join(f"{name} was {progress.asked.get(name)} and is {asked[name]}" for name in differing)
            raise CannotRun(f"{self._path} is of another run ({was}): finish that one, or remove it to begin anew")
        return progress

    def save(self, progress: Progress) -> None:
        """Keep it, whole or not at all.

        Raises:
            CannotRun: it cannot be written.
        """
        if self._path is None:
            return
        written = self._path.with_name(f"{self._path.name}.new")
        try:
            with written.open("w") as file:
                json.dump(progress.as_json(), file)
                file.flush()
                os.fsync(file.fileno())
            written.replace(self._path)
        except OSError as error:
            raise CannotRun(f"{self._path} cannot be written: {clean_text(str(error))}") from error

    def remove(self) -> None:
        """The run has ended: the next one begins anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
