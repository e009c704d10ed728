"""Every metric there is: its name, what it means, and which process tells it. Alerts and dashboards are built on these.

A name never changes its meaning. Units are base units. No label ever holds an id: values are targets of the allow-list
(or `other`), codes, and names that stand in the code. docs/telemetry.md is generated from this page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a metric moves: only up, up and down, or as a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. buckets: upper bounds of a histogram's buckets, the infinite one left out."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"paylatch_{name}_total", Kind.COUNTER, help_, labels)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"paylatch_{name}", Kind.GAUGE, help_, labels)


def _histogram(name: str, help_: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(f"paylatch_{name}", Kind.HISTOGRAM, help_, labels, buckets)


OTHER = "other"
"""The label of every target that is not on the allow-list."""

BUILD_INFO = _gauge("build_info", "Always 1; the version that runs.", "version")
SERVING = _gauge("health_serving", "1 while the process says SERVING to health checks, else 0.")
DATABASE_UP = _gauge("database_up", "1 if the database answered the last look, else 0.")
CLOCK_SKEW = _gauge(
    "database_clock_skew_seconds", "The database's clock minus this process's, at the last look that was answered."
)
CONNECTIONS = _gauge("database_connections", "Connections to the database by state: in_use, idle.", "state")
CALLS_IN_FLIGHT = _gauge("rpc_calls_in_flight", "Calls that are served or wait for a thread, health checks left out.")
WORKERS = _gauge("rpc_workers", "Threads that serve calls: more calls in flight than these wait.")
CALLS = _counter(
    "rpc_calls", "Calls answered, by method and gRPC code. Health and reflection left out.", "method", "code"
)
CALL_SECONDS = _histogram(
    "rpc_call_seconds",
    "From the call's handler to its answer, by method; of a stream, to its end.",
    "method",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

ATTEMPTS = _counter(
    "notify_attempts",
    "Attempts that ended, by outcome: delivered, failed (tried again or given up), refused (given up); and gRPC code.",
    "target",
    "outcome",
    "code",
)
DELIVERY_SECONDS = _histogram(
    "notify_delivery_seconds",
    "From a payment's settlement to the order side's acknowledgement, by the database's clock.",
    "target",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0),
)
GIVEN_BACK = _counter(
    "notify_given_back", "Claims undone because their call never began; no attempt was counted.", "target"
)
LAPSED = _counter("notify_leases_lapsed", "Leases found lapsed: their holder recorded no result.", "target")
STALE = _counter("notify_stale", "Results that came after somebody else had taken over, and changed nothing.", "target")
GIVEN_UP = _counter("notify_given_up", "Schedules given up: each waits for a person.", "target")
BREAKER_OPENED = _counter("breaker_opened", "Times this process saw a target's breaker open.", "target")

CONFLICTS_OPEN = _gauge(
    "payment_conflicts", "Payments of which the opposite outcome was reported after they were settled."
)

SCHEDULES = _gauge(
    "notify_schedules",
    "Schedules that are not finished, by status: notifying, given_up (and handled by nobody yet).",
    "target",
    "status",
)
DUE = _gauge("notify_due", "Schedules being delivered whose time has come.", "target")
OLDEST = _gauge(
    "notify_oldest_pending_seconds", "Age of the oldest schedule being delivered; 0 if there is none.", "target"
)
BREAKER = _gauge("breaker_state", "The target's breaker: 0 closed, 1 half open, 2 open.", "target")
PAUSED = _gauge("target_paused", "1 while an operator keeps the target paused, else 0.", "target")
PASS_AGE = _gauge(
    "loop_last_pass_age_seconds",
    "Since the last pass of a loop that ended without an error; since its start before.",
    "loop",
)
PURGED = _counter("notify_purged", "Finished schedules purged after the retention.")

ANSWERS = _counter(
    "order_notify_answers",
    "Notifications answered: applied, duplicate_payment, order_cancelled, amount_mismatch, ignored; repeated (any of "
    "them again); content_conflict (the same key with other content), order_not_found, failed.",
    "answer",
)
EXCEPTIONS_OPEN = _gauge("payment_exceptions_open", "Payment exceptions that nobody has resolved.", "disposition")
FOLLOW_UPS_OPEN = _gauge("order_follow_ups_open", "What paid orders still need, by follow-up.", "name")

EVERY_PROCESS = (
    BUILD_INFO,
    SERVING,
    DATABASE_UP,
    CLOCK_SKEW,
    CONNECTIONS,
    CALLS_IN_FLIGHT,
    WORKERS,
    CALLS,
    CALL_SECONDS,
)
SENDERS = (ATTEMPTS, DELIVERY_SECONDS, GIVEN_BACK, LAPSED, STALE, GIVEN_UP, BREAKER_OPENED)
PROCESSES: Mapping[str, Sequence[Metric]] = {
    "payment-server": (*EVERY_PROCESS, *SENDERS, CONFLICTS_OPEN),
    "scheduler": (*EVERY_PROCESS, *SENDERS, SCHEDULES, DUE, OLDEST, BREAKER, PAUSED, PASS_AGE, PURGED),
    "order-server": (*EVERY_PROCESS, ANSWERS, EXCEPTIONS_OPEN, FOLLOW_UPS_OPEN),
}
"""What each process tells. Counters begin at 0 for every target and answer, so that the first one is seen as a step."""
