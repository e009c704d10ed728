"""The figures to hold (SPEC 11), each with what a run measured. Owns which figure answers which promise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measurement import number
from benchmarks.suite import POSTGRESQL, SQLITE

NAMED_PEERS = ("graphile-worker", "pg-boss", "procrastinate")
"""Those that SPEC 11 compares with, doing only the call."""

TIMES_BEST_PEER = 5
"""How many times the best of them a drain shall be."""

_MIB = 200
_FLAT = 1.2


@dataclass(frozen=True, slots=True)
class Promise:
    """what: the promise. least: what it says. measured: as it is told. holds: whether it does; None if not measured."""

    what: str
    least: str
    measured: str
    holds: bool | None


class NotMeasured(Exception):
    """A figure is not in this run."""


class Run:
    """The figures of one run, by where they stand in its JSON."""

    def __init__(self, run: dict[str, Any]) -> None:
        self._measurements = run["measurements"]

    def median(self, measurement: str, variant: str, figure: str = "rate") -> float:
        """A median.

        Raises:
            NotMeasured: it is not there, or failed.
        """
        return self.medians(measurement, variant)[figure]

    def medians(self, measurement: str, variant: str) -> Mapping[str, float]:
        """All medians.

        Raises:
            NotMeasured: it is not there, or failed.
        """
        try:
            return dict(self._measurements[measurement][variant]["median"])
        except KeyError:
            raise NotMeasured(f"{measurement}: {variant}") from None

    def variants(self, measurement: str) -> Sequence[str]:
        """The names of those that were compared.

        Raises:
            NotMeasured: the measurement is not in this run.
        """
        if measurement not in self._measurements:
            raise NotMeasured(measurement)
        return list(self._measurements[measurement])

    def last_round(self, measurement: str, variant: str) -> dict[str, Any]:
        """All figures and series of the last round.

        Raises:
            NotMeasured: it is not there, or failed.
        """
        try:
            return dict(self._measurements[measurement][variant]["rounds"][-1])
        except KeyError:
            raise NotMeasured(f"{measurement}: {variant}") from None


def promises(run: Run) -> Sequence[Promise]:
    """Each of them."""
    made = (
        ("drain on PostgreSQL", "10,000/s", _drain),
        (f"… beside the best of {', '.join(NAMED_PEERS)} doing only the call", f"{TIMES_BEST_PEER} ×", _beside_peers),
        ("… beside the same SQL alone, the best of one and two workers", "40 %", _beside_sql),
        ("drain on SQLite", "3,000/s", _drain_on_sqlite),
        ("reported → order paid, light load, PostgreSQL: p50, p99", "under 15 ms, 50 ms", _latency),
        ("… fresh payments during a drain of old rows: p99", "under 250 ms", _latency_in_drain),
        ("ReportPaymentResult, 32 callers, beside one transaction a report", "2 ×", _grouped),
        ("… beside its bare echo", "half", _beside_echo),
        ("BatchReportPaymentResults", "10,000 payments/s", _batched),
        ("drain with the most finished rows in the tables, beside empty ones", "90 %", _growth),
        ("a process's memory in the longest drain: peak, second half beside first", "under 200 MiB, flat", _memory),
        ("start of any process, to health SERVING", "under 1.5 s", _start),
    )
    return [_promise(what, least, answer, run) for what, least, answer in made]


Answer = Callable[[Run], tuple[str, bool]]


def _promise(what: str, least: str, answer: Answer, run: Run) -> Promise:
    try:
        measured, holds = answer(run)
    except NotMeasured as missing:
        return Promise(what, least, f"not measured ({missing})", holds=None)
    return Promise(what, least, measured, holds)


def _drain(run: Run) -> tuple[str, bool]:
    rate = run.median("drain", POSTGRESQL)
    return f"{number(rate)}/s", rate >= 10_000


def ceiling_beside_peers(run: Run) -> float:
    """How many times the best peer's rate anything can reach here that writes the rows: by the same SQL alone.

    Raises:
        NotMeasured: it is not in the run.
    """
    return _sql_alone(run) / run.median("drain", _best_peer(run))


def _beside_peers(run: Run) -> tuple[str, bool]:
    best = _best_peer(run)
    rate = run.median("drain", best)
    times = run.median("drain", POSTGRESQL) / rate
    return f"{times:.1f} × ({best}: {number(rate)}/s)", times >= TIMES_BEST_PEER


def _beside_sql(run: Run) -> tuple[str, bool]:
    ceiling = _sql_alone(run)
    part = run.median("drain", POSTGRESQL) / ceiling
    return f"{part:.0%} of {number(ceiling)}/s", part >= 0.4


def _best_peer(run: Run) -> str:
    return max(NAMED_PEERS, key=lambda name: run.median("drain", name))


def _sql_alone(run: Run) -> float:
    return max(run.median("drain", f"SQL alone, workers: {workers}") for workers in (1, 2))


def _drain_on_sqlite(run: Run) -> tuple[str, bool]:
    rate = run.median("drain", SQLITE)
    return f"{number(rate)}/s", rate >= 3_000


def _latency(run: Run) -> tuple[str, bool]:
    p50, p99 = (run.median("latency", "PostgreSQL, light load", name) for name in ("p50", "p99"))
    return f"{p50:.1f} ms, {p99:.1f} ms", p50 < 15 and p99 < 50


def _latency_in_drain(run: Run) -> tuple[str, bool]:
    p99 = run.median("latency", "PostgreSQL, during a drain", "p99")
    return f"{p99:.0f} ms", p99 < 250


def _grouped(run: Run) -> tuple[str, bool]:
    times = run.median("reports", "grouped") / run.median("reports", "one transaction each")
    return f"{times:.1f} × ({number(run.median('reports', 'grouped'))}/s)", times >= 2


def _beside_echo(run: Run) -> tuple[str, bool]:
    echo = run.median("reports", "bare echo")
    part = run.median("reports", "grouped") / echo
    return f"{part:.0%} of {number(echo)}/s", part >= 0.5


def _batched(run: Run) -> tuple[str, bool]:
    rate = run.median("reports", "batches of 500")
    return f"{number(rate)}/s", rate >= 10_000


def _growth(run: Run) -> tuple[str, bool]:
    levels = sorted(int(name.replace(",", "")) for name in run.variants("growth"))
    empty, most = (run.median("growth", f"{level:,}") for level in (levels[0], levels[-1]))
    return f"{most / empty:.0%} with {levels[-1]:,} ({number(most)}/s)", most / empty >= 0.9


def _memory(run: Run) -> tuple[str, bool]:
    over_time = run.last_round("memory", POSTGRESQL)["memory over time"]
    half = len(over_time) // 2 or 1
    first, second = max(over_time[:half]), max(over_time[half:] or over_time)
    return f"{max(over_time):.0f} MiB, {second / first:.2f} ×", max(over_time) < _MIB and second / first < _FLAT


def _start(run: Run) -> tuple[str, bool]:
    seconds = {
        f"{process}, {engine}": taken
        for engine in run.variants("start")
        for process, taken in run.medians("start", engine).items()
    }
    slowest = max(seconds, key=seconds.__getitem__)
    return f"{seconds[slowest]:.2f} s ({slowest})", seconds[slowest] < 1.5
