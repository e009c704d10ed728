"""Each scenario with each fault at each of its boundaries: every invariant holds, and everything is settled in time."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.boundaries import Case, Told, cases_of, longest_with_a_fault, tell
from tests.simulation.faults import POSSIBLE, Boundary, fired
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.templates import FastDirectory
from tests.simulation.watch import Violation

EVERY = 16
"""The quick test takes one case of so many, from another one on in each scenario."""

SHARES = 2
"""The slow one is cut into so many for each scenario: the longest alone would keep one core busy to the end."""


@pytest.fixture
def directory() -> Iterator[Path]:
    with FastDirectory() as directory:
        yield directory


@cache
def _told_well(scenario: str) -> Told:
    with FastDirectory() as directory:
        return tell(Case(scenario), directory)


def _cases(scenario: str) -> list[Case]:
    return list(cases_of(scenario, _told_well(scenario)))


def _broken(scenario: str, cases: list[Case], directory: Path) -> list[str]:
    broken = []
    for case in cases:
        try:
            tell(case, directory, longest_with_a_fault(_told_well(scenario)))
        except Violation as violation:
            broken.append(f"{case}: {violation}"[:500])
    return broken


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_a_boundary_breaks_nothing(scenario: str, directory: Path) -> None:
    first = list(SCENARIOS).index(scenario) % EVERY

    assert not _broken(scenario, _cases(scenario)[first::EVERY], directory)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_fault_at_any_boundary_breaks_anything(scenario: str, share: int, directory: Path) -> None:
    assert not _broken(scenario, _cases(scenario)[share::SHARES], directory)


def test_the_scenarios_come_to_every_boundary_with_every_fault() -> None:
    met = {
        fired(_told_well(scenario).passed[case.number].boundary, case.fault)
        for scenario in SCENARIOS
        for case in _cases(scenario)
        if case.fault
    }

    assert met == {fired(boundary, fault) for boundary in Boundary for fault in POSSIBLE[boundary]}
