"""Each scenario with each fault at each of its boundaries: every invariant holds, and everything is settled in time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.every_boundary import cases, cross, told_well
from tests.simulation.faults import POSSIBLE, Boundary, fired
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.templates import FastDirectory

EVERY = 16
"""The quick test takes one case of so many, from another one on in each scenario."""

EVERY_SLOW = 4
"""The slow one takes one of so many. All of them: `make boundaries`."""


@pytest.fixture
def directory() -> Iterator[Path]:
    with FastDirectory() as directory:
        yield directory


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_a_boundary_breaks_nothing(scenario: str, directory: Path) -> None:
    first = list(SCENARIOS).index(scenario) % EVERY

    assert not cross(scenario, cases(scenario)[first::EVERY], directory).broken


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_fault_at_many_boundaries_breaks_anything(scenario: str, directory: Path) -> None:
    first = list(SCENARIOS).index(scenario) % EVERY_SLOW

    assert not cross(scenario, cases(scenario)[first::EVERY_SLOW], directory).broken


def test_the_scenarios_come_to_every_boundary_with_every_fault() -> None:
    met = {
        fired(told_well(scenario).passed[case.number].boundary, case.fault)
        for scenario in SCENARIOS
        for case in cases(scenario)
        if case.fault
    }

    assert met == {fired(boundary, fault) for boundary in Boundary for fault in POSSIBLE[boundary]}
