"""Do the tables stay healthy? A long drain of the payment database on PostgreSQL, purged all the while.

    python -m benchmarks.endurance --rows 1000000 --retention 30s --out build

One worker claims and acknowledges with the product's own transactions; the order side is a memory that applies
everything, so that the database is what is measured. New notifications come in bulk and never more than a few batches
ahead; a purger walks beside. Samples: dead rows, sizes, claim latency, memory. Prints a table; writes JSON and a
plot. PAYLATCH_BENCHMARK_POSTGRES_URL names the server.
"""

import argparse
import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg

from benchmarks.plot import plot
from benchmarks.system import fresh_databases
from core.clock import SystemClock
from core.logs import make_logger
from core.outbox.claim import claim
from core.outbox.lease import Claim, Lease
from core.outbox.policy import OutboxPolicy
from core.outbox.record import Recorded, record
from core.rules.codes import Disposition
from core.rules.outcome import Delivered
from core.settings import load_settings, parse_duration
from core.store.database import Database
from core.store.migrate import Schema, migrate
from scheduler.purge import PurgePass

TARGET = "grpc://127.0.0.1:50052"
WAVE = 10_000
"""Notifications that come in at once; the next wave comes when one is left."""

SAMPLES = 50
APPLIED = Delivered(Disposition.APPLIED)
_PAGE = 4_096
_MIB = 1 << 20
_PAYMENTS = """
INSERT INTO payment (id, platform_id, payment_code, order_no, amount_minor, currency_code, notify_url, status, trade_no,
                     failure_reason, create_time, settle_time)
SELECT n, 'alipay', 'P' || n, 'O' || n, 19900, 'CNY', %(target)s, 1, '', '', now() AT TIME ZONE 'UTC',
       now() AT TIME ZONE 'UTC'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n"""
_RESULTS = """
INSERT INTO payment_result (payment_id, notify_status, create_time, update_time)
SELECT id, 1, create_time, create_time FROM payment WHERE id BETWEEN %(first)s AND %(last)s ORDER BY id"""
_SCHEDULES = """
INSERT INTO notify_schedule (payment_id, platform_id, payment_code, order_no, notify_url, notify_content, notify_status,
                             next_notify_time, give_up_time, notify_count, attempt_count, reopened_attempt, lapse_count,
                             create_time, update_time)
SELECT id, platform_id, payment_code, order_no, notify_url, decode(repeat('ab', 80), 'hex'), 1, create_time,
       create_time + interval '3 days', 0, 0, 0, 0, create_time, create_time
FROM payment WHERE id BETWEEN %(first)s AND %(last)s ORDER BY id"""
_HEALTH = """
SELECT n_dead_tup, n_live_tup, pg_table_size(relid), pg_indexes_size(relid), autovacuum_count, n_tup_upd, n_tup_hot_upd
FROM pg_stat_user_tables WHERE relname = %s"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen after `done` notifications. Sizes and memory in MiB, latencies of claims in milliseconds."""

    done: int
    seconds: float
    rate: float
    claim_p50: float
    claim_p99: float
    dead_schedules: int
    live_schedules: int
    schedules_mib: float
    schedule_indexes_mib: float
    dead_results: int
    hot_results: float
    vacuums: int
    memory_mib: float


class Endurance:
    """One run on one fresh payment database."""

    def __init__(self, url: str, rows: int, retention: timedelta) -> None:
        self._rows = rows
        self._clock = SystemClock()
        self._database = Database.open(url, self._clock)
        migrate(self._database, Schema.PAYMENT)
        self._policy = OutboxPolicy.of(load_settings(notify_batch_size=500), random.random)
        self._statistics = psycopg.connect(url, autocommit=True)
        if self._statistics.execute("SHOW autovacuum").fetchone() != ("on",):
            raise SystemExit("autovacuum is off on this server: nothing would ever be cleaned up")
        log = make_logger("benchmark", level="error")
        self._purge = PurgePass(self._database, retention, self._clock, log)
        self._stopping = threading.Event()
        self._written = 0

    def run(self, tell: Callable[[Sample], None]) -> list[Sample]:
        """Deliver all rows; each sample is told as it is taken."""
        purger = threading.Thread(target=self._purge_all_the_while)
        purger.start()
        try:
            return self._deliver_all(tell)
        finally:
            self._stopping.set()
            purger.join()
            self._statistics.close()
            self._database.close()

    def _deliver_all(self, tell: Callable[[Sample], None]) -> list[Sample]:
        samples: list[Sample] = []
        latencies: list[float] = []
        done, start = 0, self._clock.monotonic()
        while done < self._rows:
            if self._written - done < WAVE:
                self._write_wave()
            began = self._clock.monotonic()
            claimed = self._claim()
            latencies.append((self._clock.monotonic() - began) * 1_000)
            done += self._acknowledge(claimed)
            if done >= (len(samples) + 1) * self._rows // SAMPLES:
                samples.append(self._sample(done, self._clock.monotonic() - start, latencies, samples))
                tell(samples[-1])
                latencies = []
        return samples

    def _write_wave(self) -> None:
        span = {"first": self._written + 1, "last": self._written + WAVE, "target": TARGET}
        with self._statistics.transaction():
            for statement in (_PAYMENTS, _RESULTS, _SCHEDULES):
                self._statistics.execute(statement.encode(), span)
        self._written += WAVE

    def _claim(self) -> Claim:
        lease = Lease.take("benchmark", self._policy.lease, self._clock)
        claimed = self._database.transact(lambda tx: claim(tx, TARGET, lease, self._policy, Recorded()))
        if claimed is None:
            raise RuntimeError("nothing is due, though rows were written")
        return claimed

    def _acknowledge(self, claimed: Claim) -> int:
        outcomes = {row.schedule_id: APPLIED for row in claimed.rows}
        return self._database.transact(lambda tx: record(tx, claimed.rows, outcomes, self._policy)).acknowledged

    def _purge_all_the_while(self) -> None:
        while not self._stopping.is_set():
            if self._purge.run_once() == 0:
                self._stopping.wait(1)

    def _sample(self, done: int, seconds: float, latencies: Sequence[float], before: Sequence[Sample]) -> Sample:
        dead, live, size, indexes, vacuums, _, _ = self._health("notify_schedule")
        dead_results, _, _, _, _, updates, hot = self._health("payment_result")
        last = before[-1] if before else None
        cuts = quantiles(latencies, n=100)
        return Sample(
            done=done,
            seconds=round(seconds, 1),
            rate=round((done - (last.done if last else 0)) / (seconds - (last.seconds if last else 0))),
            claim_p50=round(cuts[49], 1),
            claim_p99=round(cuts[98], 1),
            dead_schedules=dead,
            live_schedules=live,
            schedules_mib=round(size / _MIB, 1),
            schedule_indexes_mib=round(indexes / _MIB, 1),
            dead_results=dead_results,
            hot_results=round(hot / max(updates, 1), 3),
            vacuums=vacuums,
            memory_mib=round(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / _MIB, 1),
        )

    def _health(self, table: str) -> Any:
        return self._statistics.execute(_HEALTH.encode(), [table]).fetchone()


def _line(sample: Sample) -> str:
    return " | ".join(f"{value:>12,}" for value in asdict(sample).values())


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="notifications; a multiple of 10,000")
    parser.add_argument("--retention", type=parse_duration, default="30s", help="how old finished schedules get")
    parser.add_argument("--out", type=Path, default=Path("build"), help="directory of endurance.json and endurance.svg")
    options = parser.parse_args()
    print(" | ".join(f"{name:>12.12}" for name in Sample.__slots__))
    with fresh_databases("postgresql") as urls:
        endurance = Endurance(urls.payment, options.rows, options.retention)
        samples = endurance.run(lambda sample: print(_line(sample), flush=True))
    options.out.mkdir(parents=True, exist_ok=True)
    measured = [asdict(sample) for sample in samples]
    (options.out / "endurance.json").write_text(json.dumps(measured, indent=1) + "\n")
    panels = ("rate", "claim_p50", "claim_p99", "dead_schedules", "live_schedules", "schedules_mib")
    more = ("schedule_indexes_mib", "dead_results", "memory_mib")
    (options.out / "endurance.svg").write_text(plot(measured, "done", [*panels, *more]))


if __name__ == "__main__":
    main()
