"""How fast a backlog is drained: scheduler → BatchOrderNotify → order database → acknowledge, with real processes.

    python -m benchmarks.drain --engine postgresql --rows 100000 --rounds 3

The rate is that of the attempts in the ledger, from the first batch's end to the last one's: starting is not in it. The
CPU time is that of each process, and of its PostgreSQL sessions, from when the scheduler serves to the end.
"""

import argparse
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.backlog import settle_statistics, write_backlog
from benchmarks.system import System, fresh_databases, query
from core.rules.codes import ScheduleStatus

_LOOK_SECONDS = 0.5
_FIRST = "(SELECT min(finish_time) FROM notify_attempt)"
_SECONDS = {
    "postgresql": f"extract(epoch FROM max(finish_time) - {_FIRST})",
    "sqlite": f"((julianday(max(finish_time)) - julianday({_FIRST})) * 86400)",
}


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain. rate: notifications a second. cpu: microseconds a notification, by process. memory: its peak, MiB."""

    rate: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]


def drain(engine: str, rows: int, overrides: Mapping[str, str]) -> Drained:
    """Drain `rows` notifications from fresh databases."""
    with fresh_databases(engine) as urls, System(urls, **overrides) as system:
        write_backlog(urls, system.settings.notify_targets[0], range(1, rows + 1))
        settle_statistics(urls)
        system.start("order-server", "scheduler")
        before, peak = system.cpu(), dict(system.memory())
        while _is_left(system):
            threading.Event().wait(_LOOK_SECONDS)
            peak = {name: max(peak[name], now) for name, now in system.memory().items()}
        after = system.cpu()
        rate = f"SELECT count(*) / {_SECONDS[engine]} FROM notify_attempt WHERE finish_time > {_FIRST}"
        cpu = {name: (after[name] - before.get(name, 0.0)) / rows * 1e6 for name in after}
        return Drained(float(query(urls.payment, rate)[0]), cpu, peak)


def _is_left(system: System) -> bool:
    left = f"SELECT EXISTS (SELECT 1 FROM notify_schedule WHERE notify_status = {int(ScheduleStatus.NOTIFYING)})"
    return bool(query(system.urls.payment, left)[0])


def main() -> None:
    """Measure, and print a line for each round and one of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the processes")
    options = parser.parse_args()
    overrides = dict(setting.split("=", 1) for setting in options.set)
    rounds = []
    for _ in range(options.rounds):
        rounds.append(drain(options.engine, options.rows, overrides))
        print(_line(rounds[-1]))
    print("median rate", round(median(each.rate for each in rounds)), "| cpu µs", _medians([r.cpu for r in rounds]))


def _line(drained: Drained) -> str:
    cpu = ", ".join(f"{name} {taken:.1f}" for name, taken in drained.cpu.items())
    memory = ", ".join(f"{name} {taken:.0f}" for name, taken in drained.memory.items())
    return f"{drained.rate:8.0f} /s | cpu µs each: {cpu}; all {sum(drained.cpu.values()):.1f} | MiB: {memory}"


def _medians(rounds: list[Mapping[str, float]]) -> Mapping[str, float]:
    return {name: round(median(each[name] for each in rounds), 1) for name in rounds[0]}


if __name__ == "__main__":
    main()
