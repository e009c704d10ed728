"""One pass of the scheduler over a target, and one over what has expired. Owns no loop: each runs once and counts."""

from core.clock import Clock
from core.delivery.deliver import Delivery, alarm
from core.delivery.measure import NO_DELIVERY_METRICS, DeliveryMetrics
from core.logs import Logger
from core.outbox.claim import claim
from core.outbox.clock_guard import ClockGuard
from core.outbox.expire import expire
from core.outbox.lease import Claim, Lease
from core.outbox.policy import OutboxPolicy
from core.outbox.record import GivenUp, Recorded
from core.store.database import Database
from core.store.transaction import Transaction

EXPIRY_BATCH = 500
"""Rows given up in one transaction at most."""


class RetryPass:
    """Claims the due rows of a target and delivers them."""

    def __init__(
        self, database: Database, delivery: Delivery, policy: OutboxPolicy, clock: Clock, log: Logger, holder: str
    ) -> None:
        self._database = database
        self._delivery = delivery
        self._policy = policy
        self._clock = clock
        self._log = log
        self._holder = holder

    def run_once(self, target: str) -> int:
        """Deliver one batch; how many rows were brought on. 0: nothing is due, or the target must be left alone.

        Rows that were not claimed count too if they were given up or their lapse was noted: a page full of them hides
        what is due behind it.
        """
        claimed, recorded = self._claim(target)
        if claimed is None:
            return max(recorded.lapsed, len(recorded.given_up))
        self._delivery.deliver(claimed)
        return len(claimed.rows)

    def _claim(self, target: str) -> tuple[Claim | None, Recorded]:
        lease = Lease.take(self._holder, self._policy.lease, self._clock)

        def work(tx: Transaction) -> tuple[Claim | None, Recorded]:
            recorded = Recorded()
            claimed = claim(tx, target, lease, self._policy, recorded)
            alarm(self._log, recorded.given_up)
            return claimed, recorded

        claimed, recorded = self._database.transact(work)
        self._delivery.metrics.recorded(target, recorded)
        return claimed, recorded


class ExpiryPass:
    """Gives up what is past its window, whatever its target (SPEC 7)."""

    def __init__(
        self, database: Database, guard: ClockGuard, log: Logger, metrics: DeliveryMetrics = NO_DELIVERY_METRICS
    ) -> None:
        self._database = database
        self._guard = guard
        self._log = log
        self._metrics = metrics

    def run_once(self) -> int:
        """Give up one batch; how many rows. None while the clock is not to be trusted."""

        def work(tx: Transaction) -> list[GivenUp]:
            if not self._guard.allows(tx.now):
                return []
            given_up = expire(tx, EXPIRY_BATCH).given_up
            alarm(self._log, given_up)
            return given_up

        given_up = self._database.transact(work)
        self._metrics.given_up(given_up)
        return len(given_up)
