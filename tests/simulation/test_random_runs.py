"""Seeds of the simulation: whatever goes wrong, in whatever order, no invariant breaks, and everything converges."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.campaign import ENOUGH, Campaign, Failure, run_seeds

SHARES = 8
SEEDS_OF_A_SHARE = 20
ROOT = Path(__file__).parents[2]


def _campaign(seeds: range) -> Campaign:
    campaign = Campaign()
    for outcome in run_seeds(seeds):
        campaign.add(outcome)
    return campaign


def _told(failures: list[Failure]) -> str:
    return "\n".join(f"make simulate SEED={failure.seed}   # {failure.what[:500]}" for failure in failures)


@pytest.mark.parametrize("share", range(SHARES))
def test_no_seed_breaks_an_invariant(share: int) -> None:
    campaign = _campaign(range(1 + share * SEEDS_OF_A_SHARE, 1 + (share + 1) * SEEDS_OF_A_SHARE))

    assert not campaign.failures, _told(campaign.failures)
    assert campaign.delivered > SEEDS_OF_A_SHARE


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_seed_of_a_great_many_breaks_an_invariant_and_every_fault_fires() -> None:
    campaign = _campaign(range(1_001, 1_001 + ENOUGH))

    assert not campaign.failures, _told(campaign.failures)
    assert not campaign.never_fired


def test_a_seed_is_the_same_run_again_in_any_process() -> None:
    """Else a seed that failed could not be looked at."""
    runs = []
    for hash_seed in ("1", "2"):
        shown = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "11"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(shown.stdout.splitlines())

    assert runs[0] == runs[1]
    assert len(runs[0]) > 100
