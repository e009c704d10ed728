"""How fast a backlog is drained: scheduler → BatchOrderNotify → order database → acknowledge, with real processes.

    python -m benchmarks.drain --engine postgresql --rows 100000 --rounds 3

The rate is that of the attempts in the ledger, from the first batch's end to the last one's: starting is not in it. The
CPU time is that of each process, and of its PostgreSQL sessions, from when the scheduler serves to the end.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.backlog import settle_statistics, write_backlog
from benchmarks.options import new_parser, overrides_of
from benchmarks.system import System, Urls, fresh_databases, migrated, query
from core.rules.codes import ScheduleStatus

_LOOK_SECONDS = 0.5
_ELAPSED = {
    "postgresql": "extract(epoch FROM max(finish_time) - min(finish_time))",
    "sqlite": "(julianday(max(finish_time)) - julianday(min(finish_time))) * 86400",
}


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain.

    rate: notifications a second. cpu: microseconds a notification, by process. memory: the peak in MiB, by process;
    memory_over_time: in MiB of the process that had most of it, looked at all the while.
    """

    rate: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    memory_over_time: Sequence[float]


def drain(engine: str, rows: int, overrides: Mapping[str, str], schedulers: int = 1) -> Drained:
    """Drain `rows` notifications from fresh databases."""
    with fresh_databases(engine) as urls:
        migrated(urls)
        return drain_in(urls, engine, range(1, rows + 1), overrides, schedulers)


def drain_in(urls: Urls, engine: str, numbers: range, overrides: Mapping[str, str], schedulers: int = 1) -> Drained:
    """Drain a notification of each of `numbers` from these databases, which stay.

    Raises:
        RuntimeError: not every one was delivered.
    """
    with System(urls, **overrides) as system:
        write_backlog(urls, system.settings.notify_targets[0], numbers)
        settle_statistics(urls)
        last_attempt = int(query(urls.payment, "SELECT coalesce(max(id), 0) FROM notify_attempt")[0])
        system.start("order-server")
        system.start_schedulers(schedulers)
        before, memory = system.cpu(), [dict(system.memory())]
        while is_left(urls):
            threading.Event().wait(_LOOK_SECONDS)
            memory.append(dict(system.memory()))
        after = system.cpu()
        delivered = query(urls.payment, f"SELECT count(*) FROM notify_attempt WHERE id > {last_attempt} AND code = 0")
        if delivered[0] < len(numbers):
            raise RuntimeError(f"{delivered[0]} of {len(numbers)} notifications were delivered")
        cpu = {name: (after[name] - before.get(name, 0.0)) / len(numbers) * 1e6 for name in after}
        peak = {name: max(sample[name] for sample in memory) for name in memory[0]}
        return Drained(rate_since(urls, engine, last_attempt), cpu, peak, [max(each.values()) for each in memory])


def rate_since(urls: Urls, engine: str, last_attempt: int) -> float:
    """Notifications a second after the attempt of this id: those behind the first batch, from its end to the last."""
    since = f"FROM notify_attempt WHERE id > {last_attempt}"
    behind = f"{since} AND finish_time > (SELECT min(finish_time) {since})"
    seconds = query(urls.payment, f"SELECT {_ELAPSED[engine]} {since}")[0]
    return float(query(urls.payment, f"SELECT count(*) {behind}")[0]) / float(seconds or "inf")


def is_left(urls: Urls) -> bool:
    """Whether a notification waits, or is under way."""
    left = f"SELECT EXISTS (SELECT 1 FROM notify_schedule WHERE notify_status = {int(ScheduleStatus.NOTIFYING)})"
    return bool(query(urls.payment, left)[0])


def main() -> None:
    """Measure, and print a line for each round and one of medians."""
    parser = new_parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    overrides = overrides_of(options)
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
