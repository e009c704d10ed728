"""What telemetry costs a delivery: CPU time a notification, in batches of 200, without database and network.

python -m benchmarks.telemetry
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from prometheus_client import CollectorRegistry

from core.clock import SystemClock
from core.delivery import traces
from core.delivery.measure import DeliveryMetrics
from core.outbox.lease import Claim, ClaimedRow, Lease
from core.outbox.record import Recorded
from core.rules.codes import Disposition
from core.rules.outcome import Delivered
from core.telemetry.catalogue import PROCESSES
from core.telemetry.metrics import NO_METRICS, Metrics, RegistryMetrics
from core.telemetry.tracing import NO_TRACING

ROWS = 200
BATCHES = 200
ROUNDS = 7

_TARGET = "grpc://127.0.0.1:50052"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCK = SystemClock()
_LEASE = Lease.take("benchmark", timedelta(seconds=30), _CLOCK)
_CLAIM = Claim(
    _TARGET, tuple(ClaimedRow(_LEASE, n, n, "card", f"P-{n}", b"", 1, _NOW, _NOW) for n in range(1, ROWS + 1))
)
_OUTCOMES = {row.schedule_id: Delivered(Disposition.APPLIED) for row in _CLAIM.rows}


def main() -> None:
    """Measure both, and print a line for each."""
    on = RegistryMetrics(CollectorRegistry(), PROCESSES["scheduler"], _CLOCK, lambda error: None)
    for name, metrics in (("off", NO_METRICS), ("metrics on", on)):
        print(f"{name}: {_microseconds(_delivery(metrics)):.3f} µs a notification")


def _delivery(metrics: Metrics) -> Callable[[], None]:
    measure, recorded = DeliveryMetrics(metrics, [_TARGET]), Recorded(acknowledged=ROWS)

    def deliver() -> None:
        with (
            traces.attempts(NO_TRACING, _CLAIM) as attempts,
            traces.call(NO_TRACING, "BatchOrderNotify", attempts.claim.rows),
            attempts.recording(_OUTCOMES),
        ):
            measure.called(_TARGET, _CLAIM.rows, _OUTCOMES, _NOW)
        measure.recorded(_TARGET, recorded)

    return deliver


def _microseconds(deliver: Callable[[], None]) -> float:
    """The median of rounds, of this process's own CPU time."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(BATCHES):
            deliver()
        rounds.append((time.process_time() - began) / (BATCHES * ROWS) * 1e6)
    return median(rounds)


if __name__ == "__main__":
    main()
