"""All faults at all boundaries of all scenarios, in shares that any number of cores can work on."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.boundaries import Case, Told, cases_of, longest_with_a_fault, tell
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.templates import FastDirectory
from tests.simulation.watch import Violation

_SHARES = 8
"""The longest scenario alone would keep one core busy to the end."""


@dataclass
class Crossed:
    """What cases came to. runs: by the boundary their fault was at. broken: what they showed."""

    runs: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


@cache
def told_well(scenario: str) -> Told:
    """The scenario without a fault."""
    with FastDirectory() as directory:
        return tell(Case(scenario), directory)


def cases(scenario: str) -> Sequence[Case]:
    """Every fault at every boundary of a scenario."""
    return list(cases_of(scenario, told_well(scenario)))


def cross(scenario: str, some: Sequence[Case], directory: Path) -> Crossed:
    """Tell the scenario with each of these faults."""
    crossed, well = Crossed(), told_well(scenario)
    for case in some:
        crossed.runs[well.passed[case.number].boundary.value] += 1
        try:
            tell(case, directory, longest_with_a_fault(well))
        except Violation as violation:
            crossed.broken.append(f"{case}: {violation}"[:500])
    return crossed


def on_every_core() -> Iterator[Crossed]:
    """All of them; what each share came to, as it ends."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        shares = [pool.submit(_share, scenario, share) for scenario in SCENARIOS for share in range(_SHARES)]
        for done in as_completed(shares):
            yield done.result()


def _share(scenario: str, share: int) -> Crossed:
    with FastDirectory() as directory:
        return cross(scenario, cases(scenario)[share::_SHARES], directory)
