"""Everything that `make bench` measures, as measurements whose variants take turns. Owns how much a run does."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from statistics import median, quantiles
from typing import Any

from benchmarks import ceilings, report
from benchmarks.backlog import backlog_requests
from benchmarks.drain import Drained, drain, drain_in
from benchmarks.growth import write_finished
from benchmarks.latency import Latency, latencies
from benchmarks.measurement import Figures, Measurement, Variant
from benchmarks.peers import drain as peers
from benchmarks.start import start_times
from benchmarks.statements import drain_in_sql
from benchmarks.system import Urls, fresh_database, fresh_databases, migrated

POSTGRESQL, SQLITE = "paylatch, PostgreSQL", "paylatch, SQLite"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a run does.

    finished: rows already in the tables, at each level of growth. batch_sizes: with the rows to drain at each.
    processes: of the order server, and schedulers. tries: how many settings of each peer; all if None.
    """

    rounds: int
    rows: int
    sqlite_rows: int
    peer_rows: int
    tuning_rows: int
    reports: int
    light_reports: int
    latency_backlog: int
    memory_rows: int
    finished: Sequence[int]
    commits: int
    batch_sizes: Mapping[int, int]
    processes: Sequence[tuple[int, int]]
    tries: int | None = None


FULL = Scale(
    rounds=3,
    rows=60_000,
    sqlite_rows=40_000,
    peer_rows=4_000,
    tuning_rows=1_500,
    reports=6_000,
    light_reports=500,
    latency_backlog=150_000,
    memory_rows=1_000_000,
    finished=(0, 1_000_000, 10_000_000),
    commits=2_000,
    batch_sizes={1: 2_000, 10: 10_000, 50: 30_000, 200: 60_000, 500: 60_000},
    processes=((1, 1), (1, 2), (2, 1), (2, 2)),
)
SHORT = Scale(
    rounds=1,
    rows=600,
    sqlite_rows=600,
    peer_rows=40,
    tuning_rows=20,
    reports=64,
    light_reports=20,
    latency_backlog=600,
    memory_rows=600,
    finished=(0, 500),
    commits=40,
    batch_sizes={10: 100},
    processes=((2, 2),),
    tries=1,
)


@dataclass(slots=True)
class Suite:
    """The measurements of one run, in their order. settings: each peer's best, once they were tried."""

    scale: Scale
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)

    def measurements(self) -> Mapping[str, Callable[[], Measurement]]:
        """By name; each is made when its turn has come, for what was learned before."""
        return {
            "settings": self._settings,
            "drain": self._drain,
            "batch size": self._batch_size,
            "processes": self._processes,
            "reports": self._reports,
            "latency": self._latency,
            "ceilings": self._ceilings,
            "start": self._start,
            "memory": self._memory,
            "growth": self._growth,
        }

    def _settings(self) -> Measurement:
        """Each peer with each of its settings, once, so that it competes with its best."""
        variants = [
            Variant(f"{peer.name}: {_shown(settings)}", self._with_settings(peer, settings, self.scale.tuning_rows))
            for peer in peers.PEERS
            for settings in peer.settings[: self.scale.tries]
        ]
        return Measurement("settings", variants, rounds=1)

    def _with_settings(self, peer: peers.Peer, settings: Mapping[str, Any], rows: int) -> Callable[[], Figures]:
        def run() -> Figures:
            rate = _peer_rate(peer, settings, rows)
            if rate > self._rates.get(peer.name, 0):
                self._rates[peer.name], self.settings[peer.name] = rate, settings
            return {"rate": rate}

        return run

    def _drain(self) -> Measurement:
        scale = self.scale
        variants = [
            Variant(POSTGRESQL, lambda: _figures(drain("postgresql", scale.rows, {}))),
            *(Variant(peer.name, self._best_of(peer)) for peer in peers.PEERS),
            *(Variant(f"SQL alone, workers: {n}", _rate(partial(drain_in_sql, scale.rows, n))) for n in (1, 2)),
            Variant(SQLITE, lambda: _figures(drain("sqlite", scale.sqlite_rows, {}))),
        ]
        return Measurement("drain", variants, scale.rounds)

    def _best_of(self, peer: peers.Peer) -> Callable[[], Figures]:
        settings = self.settings.get(peer.name, peer.settings[0])
        return lambda: {"rate": _peer_rate(peer, settings, self.scale.peer_rows)}

    def _batch_size(self) -> Measurement:
        sizes = self.scale.batch_sizes.items()
        variants = [Variant(str(size), _drained({"notify_batch_size": str(size)}, rows)) for size, rows in sizes]
        return Measurement("batch size", variants, rounds=1)

    def _processes(self) -> Measurement:
        variants = [
            Variant(
                f"order servers: {servers}, schedulers: {schedulers}",
                _drained({"server_processes": str(servers)}, self.scale.rows, schedulers),
            )
            for servers, schedulers in self.scale.processes
        ]
        return Measurement("processes", variants, rounds=1)

    def _reports(self) -> Measurement:
        variants = [
            Variant(name, _reported(partial(measure, "postgresql", self.scale.reports, {})))
            for name, measure in report.VARIANTS.items()
        ]
        return Measurement("reports", variants, self.scale.rounds)

    def _latency(self) -> Measurement:
        scale = self.scale

        def run(engine: str, backlog: int) -> Callable[[], Figures]:
            return lambda: _quantiles(latencies(engine, scale.light_reports, 0.02, backlog, {}))

        variants = [
            Variant("PostgreSQL, light load", run("postgresql", 0)),
            Variant("PostgreSQL, during a drain", run("postgresql", scale.latency_backlog)),
            Variant("SQLite, light load", run("sqlite", 0)),
        ]
        return Measurement("latency", variants, min(scale.rounds, 2))

    def _ceilings(self) -> Measurement:
        commits = self.scale.commits
        runs: Mapping[str, Callable[[], float]] = {
            "bare call, 32 callers": lambda: ceilings.echo_notifications(2 * commits, 1, ceilings.CALLERS),
            "bare call, 100 items, 8 callers": lambda: ceilings.echo_notifications(commits, ceilings.ITEMS, 8),
            "durable commit, PostgreSQL, 1 client": lambda: ceilings.commits_on_postgresql(commits, 1),
            "durable commit, PostgreSQL, 8 clients": lambda: ceilings.commits_on_postgresql(4 * commits, 8),
            "durable commit, SQLite": lambda: ceilings.commits_on_sqlite(commits),
        }
        variants = [Variant(name, _rate(run)) for name, run in runs.items()]
        return Measurement("ceilings", variants, self.scale.rounds)

    def _start(self) -> Measurement:
        variants = [Variant(engine, partial(start_times, engine)) for engine in ("sqlite", "postgresql")]
        return Measurement("start", variants, self.scale.rounds)

    def _memory(self) -> Measurement:
        return Measurement("memory", [Variant(POSTGRESQL, _drained({}, self.scale.memory_rows))], rounds=1)

    def _growth(self) -> Measurement:
        grown: dict[int, Urls] = {}
        numbers = count(max(self.scale.finished) + 1, self.scale.rows)

        def run(finished: int) -> Callable[[], Figures]:
            def measure() -> Figures:
                start = next(numbers)
                if finished == 0:
                    return _figures(drain("postgresql", self.scale.rows, {}))
                return _figures(drain_in(grown[finished], "postgresql", range(start, start + self.scale.rows), {}))

            return measure

        variants = [Variant(f"{finished:,}", run(finished)) for finished in self.scale.finished]
        return Measurement("growth", variants, min(self.scale.rounds, 2), _grown(grown, self.scale.finished))


@contextmanager
def _grown(grown: dict[int, Urls], levels: Sequence[int]) -> Iterator[None]:
    with ExitStack() as stack:
        for finished in filter(None, levels):
            urls = stack.enter_context(fresh_databases("postgresql"))
            migrated(urls)
            write_finished(urls, finished)
            grown[finished] = urls
        yield


def _peer_rate(peer: peers.Peer, settings: Mapping[str, Any], rows: int) -> float:
    contents = [base64.b64encode(each.SerializeToString()).decode() for each in backlog_requests(range(1, rows + 1))]
    with fresh_database("peer") as url:
        return peers.drain(peer, url, contents, settings)


def _drained(overrides: Mapping[str, str], rows: int, schedulers: int = 1) -> Callable[[], Figures]:
    return lambda: _figures(drain("postgresql", rows, overrides, schedulers))


def _figures(drained: Drained) -> Figures:
    memory = {f"MiB of {name}": taken for name, taken in drained.memory.items()}
    return {
        "rate": drained.rate,
        **_cpu(drained.cpu),
        **memory,
        "memory over time": [round(each, 1) for each in drained.memory_over_time],
    }


def _quantiles(taken: Sequence[Latency]) -> Figures:
    paid = [each.paid for each in taken]
    cuts = quantiles(paid, n=100, method="inclusive")
    answered = median(each.answered for each in taken)
    return {
        "p50": cuts[49],
        "p90": cuts[89],
        "p99": cuts[98],
        "worst": max(paid),
        "answered, p50": answered,
        "count": len(taken),
    }


def _reported(run: Callable[[], report.Reported]) -> Callable[[], Figures]:
    def measure() -> Figures:
        reported = run()
        return {"rate": reported.rate, **_cpu(reported.cpu)}

    return measure


def _cpu(taken: Mapping[str, float]) -> Mapping[str, float]:
    return {f"cpu of {name}": each for name, each in taken.items()}


def _rate(run: Callable[[], float]) -> Callable[[], Figures]:
    return lambda: {"rate": run()}


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
