"""The one table of a run: each fault, how often it was made, how fast all healed, the verdict; and what was counted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.catalogue import ROWS
from tests.faults.run import Outcome

_WIDTH = 140
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}


@dataclass(frozen=True, slots=True)
class Report:
    """A run. counts: signals sent, databases crashed, chunks of bytes treated badly. seconds: how long it took."""

    outcomes: Sequence[Outcome]
    counts: Mapping[str, int]
    seconds: float

    @property
    def is_green(self) -> bool:
        """Whether something was crossed, and everything held."""
        return bool(self.outcomes) and not any(outcome.problem for outcome in self.outcomes)

    def show(self, console: Console | None = None) -> None:
        """Print it."""
        console = console or Console(width=_WIDTH)
        backends = list(dict.fromkeys(outcome.backend for outcome in self.outcomes))
        console.print(self._table(backends))
        for line in self._summary(backends):
            console.print(line, highlight=False)

    def _table(self, backends: Sequence[str]) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, caption="times fired · seconds until all had healed")
        for title in ("step", "fault"):
            table.add_column(title, no_wrap=True)
        for backend in backends:
            table.add_column(_NAMES[backend], justify="right", no_wrap=True)
        table.add_column("verdict")
        by_place = {(each.point.step, each.point.fault, each.backend): each for each in self.outcomes}
        for row in ROWS:
            for fault in row.faults:
                found = [by_place.get((row.step, fault, backend)) for backend in backends]
                if any(found):
                    table.add_row(row.step, fault, *[_cell(each) for each in found], _verdict(found))
        return table

    def _summary(self, backends: Sequence[str]) -> Iterable[str]:
        for outcome in self.outcomes:
            if outcome.problem:
                yield f"BROKEN on {_NAMES[outcome.backend]}: {outcome.point.name}: {outcome.problem}"
        for backend in backends:
            own = [outcome for outcome in self.outcomes if outcome.backend == backend]
            yield f"{_NAMES[backend]}: {len(own)} faults, fired {sum(each.fired for each in own):,} times"
            yield f"  reports: {_tallied(own)}"
        yield " · ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()) if count)
        if self.is_green:
            worst = max(self.outcomes, key=lambda each: each.healed / each.promised)
            where = f"{worst.point.name}, {_NAMES[worst.backend]}"
            yield f"worst healing: {worst.healed:.1f} s of {worst.promised:.1f} s promised ({where})"
        yield f"{'all green' if self.is_green else 'NOT GREEN'}, in {self.seconds / 60:.1f} min"


def _cell(outcome: Outcome | None) -> str:
    return "—" if outcome is None else f"{outcome.fired:,} · {outcome.healed:.1f} s"


def _verdict(found: Sequence[Outcome | None]) -> str:
    broken = [_NAMES[each.backend] for each in found if each and each.problem]
    return f"BROKEN on {', '.join(broken)}" if broken else "holds"


def _tallied(outcomes: Sequence[Outcome]) -> str:
    tallies = [outcome.tally for outcome in outcomes if outcome.tally]
    sums = Counter[str]()
    for tally in tallies:
        sums.update(tally.counts)
    return " · ".join(f"{name} {count:,}" for name, count in sums.items())
