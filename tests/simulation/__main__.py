"""`make simulate`: many seeds and a table, or one seed line by line. `make boundaries`: every fault at every boundary.

python -m tests.simulation --seeds 10000
python -m tests.simulation --seed 42
python -m tests.simulation --boundaries
"""

import argparse
import sys
import traceback
from collections import Counter

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.simulation import every_boundary
from tests.simulation.campaign import Campaign, on_every_core
from tests.simulation.faults import every_fault
from tests.simulation.random_run import run_seed
from tests.simulation.templates import FastDirectory
from tests.simulation.watch import Violation

_SHOWN_FAILURES = 20


def main() -> int:
    """Run what the command line says; answers the exit code: 0 if every invariant held and every fault fired."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this one only, and show what happens")
    parser.add_argument("--boundaries", action="store_true", help="every fault at every boundary, instead of seeds")
    arguments = parser.parse_args()
    if arguments.boundaries:
        return _cross()
    if arguments.seed is not None:
        return _show(arguments.seed)
    return _run(range(arguments.first, arguments.first + arguments.seeds))


def _show(seed: int) -> int:
    trace: list[str] = []
    with FastDirectory() as directory:
        try:
            result = run_seed(seed, directory, trace)
        except Violation:
            sys.stdout.write("\n".join(trace) + "\n")
            traceback.print_exc()
            return 1
    sys.stdout.write("\n".join(trace) + f"\n{result}\n")
    return 0


def _cross() -> int:
    console, runs, broken = Console(), Counter[str](), list[str]()
    with console.status("Crossing every boundary …"):
        for crossed in every_boundary.on_every_core():
            runs.update(crossed.runs)
            broken += crossed.broken
    table = Table(title=f"{runs.total():,} runs, each with one fault", title_justify="left")
    table.add_column("at")
    table.add_column("runs", justify="right")
    for boundary, number in runs.most_common():
        table.add_row(boundary, f"{number:,}")
    console.print(table)
    for what in broken[:_SHOWN_FAILURES]:
        console.print(what, style="red", markup=False)
    console.print(f"broken: {len(broken)}")
    return 1 if broken else 0


def _run(seeds: range) -> int:
    console = Console()
    campaign = Campaign()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Simulating …", total=len(seeds))
        for outcome in on_every_core(seeds):
            campaign.add(outcome)
            progress.advance(task)
    console.print(_table(campaign))
    console.print(_faults(campaign))
    for failure in sorted(campaign.failures, key=lambda each: each.seed)[:_SHOWN_FAILURES]:
        console.print(f"seed {failure.seed}: {failure.what[:500]}", style="red", markup=False)
        console.print(f"  again: make simulate SEED={failure.seed}")
    for fault in campaign.never_fired:
        console.print(f"never fired: {fault}", style="red")
    return 0 if campaign.is_good else 1


def _table(campaign: Campaign) -> Table:
    share, healed, promised = campaign.worst
    table = Table(title=f"{campaign.seeds:,} seeds", title_justify="left")
    table.add_column("what")
    table.add_column("how much", justify="right")
    for what, value in (
        ("payments settled", f"{campaign.payments:,}"),
        ("taken down by the order side, each once", f"{campaign.delivered:,}"),
        ("calls that reached the order side", f"{campaign.notified:,}"),
        ("given up on the way, with reason and alarm", f"{campaign.given_up:,}"),
        ("finished schedules purged after their retention", f"{campaign.purged:,}"),
        ("commits checked against the invariants", f"{campaign.commits:,}"),
        ("longest healing, beside the promised", f"{healed:.2f} s of {promised:.2f} s ({share:.0%})"),
        ("lost, or with two effects, or another invariant broken", f"{len(campaign.failures):,} seeds"),
    ):
        table.add_row(what, value)
    return table


def _faults(campaign: Campaign) -> Table:
    table = Table(title="Faults that fired", title_justify="left")
    table.add_column("fault")
    table.add_column("times", justify="right")
    for fault in every_fault():
        table.add_row(fault, f"{campaign.counts[fault]:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
