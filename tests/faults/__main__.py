"""`python -m tests.faults`: cross every point on every backend, print one table, and fail if one is not green."""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import tests.faults.points  # noqa: F401  # registers every point
from tests.faults.backends import Databases, MySqlServers, PostgreSqlServers, SqliteFiles
from tests.faults.catalogue import EVERY, SERVERS, Point, points
from tests.faults.run import Outcome, cross
from tests.faults.table import Report
from tests.faults.world import NO_ROOM, World

QUICK_SCALE, SCALE = 500, 10_000
LOGS = Path("build/faults")


def main(
    backend: Annotated[list[str] | None, typer.Option(help="Only this backend; may be repeated.")] = None,
    only: Annotated[str, typer.Option(help="Only points whose name contains this.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="The short version: one point of most steps.")] = False,
    rows: Annotated[int, typer.Option(help="Rows that wait in the largest backlog.")] = SCALE,
    logs: Annotated[Path, typer.Option(help="Where the logs of a point that fails are kept.")] = LOGS,
) -> None:
    """Cross the points of the fault catalogue with real processes, and print what became of each."""
    chosen = [each for each in points().values() if only in each.name and (each.is_quick or not quick)]
    began = time.monotonic()
    scale = min(rows, QUICK_SCALE) if quick else rows
    with tempfile.TemporaryDirectory(prefix="paylatch-faults-") as directory:
        runner = Runner(Path(directory), scale, logs)
        for name in backend or (SERVERS if quick else EVERY):
            runner.cross_all(name, [each for each in chosen if name in each.backends])
    report = Report(runner.outcomes, runner.counts, time.monotonic() - began)
    report.show()
    sys.exit(not report.is_green)


class Runner:
    """Crosses points one after the other. A world serves them all, until one of them leaves it in pieces."""

    def __init__(self, directory: Path, scale: int, logs: Path) -> None:
        self._directory = directory
        self._scale = scale
        self._logs = logs
        self._number = 0
        self.outcomes: list[Outcome] = []
        self.counts: Counter[str] = Counter()

    def cross_all(self, backend: str, chosen: Sequence[Point]) -> None:
        """Cross these on one backend."""
        if not chosen:
            return
        databases = _databases(backend)
        try:
            left = list(chosen)
            while left:
                left = self._cross_in_one_world(databases, left)
        finally:
            databases.close()

    def _cross_in_one_world(self, databases: Databases, left: list[Point]) -> list[Point]:
        directory = self._directory / f"{databases.name}-{self._number}"
        with World(databases, directory, payment_servers=2, schedulers=2) as world:
            world.start("order-server", "payment-server", NO_ROOM, "scheduler")
            while left:
                self._number += 1
                outcome = cross(left.pop(0), world, f"p{self._number:03d}-", self._scale, self._logs)
                self.outcomes.append(outcome)
                _tell(outcome)
                if outcome.problem:
                    break
        self.counts.update(world.counts)
        return left


def _databases(backend: str) -> Databases:
    if backend == "sqlite":
        return SqliteFiles()
    if backend == "postgresql":
        return PostgreSqlServers()
    return MySqlServers()


def _tell(outcome: Outcome) -> None:
    verdict = outcome.problem or "ok"
    sys.stderr.write(
        f"{outcome.backend:10} {outcome.point.name:60} fired {outcome.fired:5} "
        f"healed {outcome.healed:4.1f} s of {outcome.promised:4.1f} s, took {outcome.seconds:5.1f} s: {verdict}\n"
    )


if __name__ == "__main__":
    typer.run(main)
