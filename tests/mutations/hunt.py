"""Looks for a broken invariant in the tree it runs in: scenarios that go well, seeds, then scenarios with faults.

Tells the first one, or nothing. Run by tests.mutations in a copy of the sources that was broken on purpose.
"""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.simulation.boundaries import Case, cases_of, longest_with_a_fault, tell
from tests.simulation.faults import Boundary
from tests.simulation.random_run import run_seed
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.templates import FastDirectory
from tests.simulation.watch import Violation

SEEDS = range(1, 61)
EVERY = 16
"""After the seeds: each scenario with every fault of its calls, and one in so many of its other cases."""

CAUGHT = "caught by "


def _told(seen: str, error: BaseException) -> str:
    what = str(error) if isinstance(error, Violation) else traceback.format_exception_only(error)[-1]
    return f"{CAUGHT}{seen}: {what.strip().splitlines()[0]}"


def _by_scenarios_that_go_well(directory: Path) -> Iterator[str]:
    for case in map(Case, SCENARIOS):
        try:
            tell(case, directory)
        except (Violation, Exception) as error:  # noqa: BLE001 - whatever a broken product does is a catch
            yield _told(str(case), error)


def _by_seeds(directory: Path) -> Iterator[str]:
    for seed in SEEDS:
        try:
            run_seed(seed, directory)
        except (Violation, Exception) as error:  # noqa: BLE001 - the same
            yield _told(f"seed {seed}", error)


def _by_scenarios(directory: Path) -> Iterator[str]:
    for scenario in SCENARIOS:
        case = Case(scenario)
        try:
            well = tell(case, directory)
            cases = list(cases_of(scenario, well))
            calls = [case for case in cases if well.passed[case.number].boundary is Boundary.CALL]
            for case in [*calls, *cases[::EVERY]]:
                tell(case, directory, longest_with_a_fault(well))
        except (Violation, Exception) as error:  # noqa: BLE001 - the same
            yield _told(str(case), error)


def main() -> int:
    """Tell the first catch; the exit code is 0 whether there is one or not."""
    with FastDirectory() as directory:
        for hunt in (_by_scenarios_that_go_well, _by_seeds, _by_scenarios):
            for caught in hunt(directory):
                sys.stdout.write(f"{caught}\n")
                return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
