"""Many seeds on every core, and what they came to in all."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.faults import Counts, every_fault
from tests.simulation.random_run import Result, run_seed
from tests.simulation.templates import FastDirectory
from tests.simulation.watch import Violation

ENOUGH = 400
"""So many seeds fire every fault."""

_SHARE = 25


@dataclass(frozen=True)
class Failure:
    """A seed that broke an invariant."""

    seed: int
    what: str


@dataclass
class Campaign:
    """What seeds came to in all. worst: the longest healing, as a share of what was promised; its seconds."""

    seeds: int = 0
    payments: int = 0
    delivered: int = 0
    given_up: int = 0
    purged: int = 0
    notified: int = 0
    commits: int = 0
    worst: tuple[float, float, float] = (0.0, 0.0, 0.0)
    counts: Counts = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, outcome: Result | Failure) -> None:
        """Count one seed."""
        self.seeds += 1
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
            return
        self.payments += outcome.payments
        self.delivered += outcome.delivered
        self.given_up += outcome.given_up
        self.purged += outcome.purged
        self.notified += outcome.notified
        self.commits += outcome.commits
        self.counts.update(outcome.counts)
        self.worst = max(self.worst, (outcome.healed / outcome.promised, outcome.healed, outcome.promised))

    @property
    def never_fired(self) -> list[str]:
        """Faults that no seed met, if there were enough seeds for each."""
        return [fault for fault in every_fault() if not self.counts[fault]] if self.seeds >= ENOUGH else []

    @property
    def is_good(self) -> bool:
        """Nothing broken, and not trivially so."""
        return not self.failures and not self.never_fired and self.delivered > 0


def run_seeds(seeds: Iterable[int]) -> list[Result | Failure]:
    """Run these one after the other."""
    with FastDirectory() as directory:
        outcomes: list[Result | Failure] = []
        for seed in seeds:
            try:
                outcomes.append(run_seed(seed, directory))
            except Violation as violation:
                outcomes.append(Failure(seed, str(violation)))
        return outcomes


def on_every_core(seeds: Sequence[int]) -> Iterator[Result | Failure]:
    """Run these on all cores; outcomes as they come."""
    shares = [seeds[start : start + _SHARE] for start in range(0, len(seeds), _SHARE)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run_seeds, share) for share in shares]):
            yield from done.result()
