"""The scheduler's purge pass: finished schedules go after the retention (SPEC 7, 8). Runs one batch and counts."""

from datetime import datetime, timedelta

from core.clock import Clock
from core.logs import Logger
from core.outbox.clock_guard import ClockGuard
from core.outbox.purge import Stretch, newest_write, purge
from core.store.database import Database
from core.store.transaction import Transaction
from core.telemetry.catalogue import PURGED
from core.telemetry.metrics import NO_METRICS, Metrics

PURGE_BATCH = 500
"""Rows a transaction goes past at most."""

PURGE_INTERVAL = timedelta(minutes=1)
"""How long a walk rests at its end."""


class PurgePass:
    """Walks along the schedules, and begins again at its end. Any number of them may walk.

    It stops with an alarm when the clock jumped by more than an hour since its last pass, until the clock is back; and
    when the first pass of a process finds that nothing was written for the whole retention: all would go at once, by a
    clock that may be ahead. Both end with a restart by somebody who has looked.
    """

    def __init__(
        self, database: Database, retention: timedelta, clock: Clock, log: Logger, metrics: Metrics = NO_METRICS
    ) -> None:
        self._database = database
        self._retention = retention
        self._guard = ClockGuard(clock, log)
        self._log = log
        self._metrics = metrics
        self._after_id = 0
        self._is_believed: bool | None = None

    def run_once(self) -> int:
        """Walk on by one batch; how many rows it went past. 0: the walk is over, or the clock is not to be trusted."""
        stretch = self._database.transact(self._walk_on)
        self._after_id = stretch.last or 0
        if stretch.purged:
            self._log.info("notify.purged", count=stretch.purged)
            self._metrics.count(PURGED, by=stretch.purged)
        return stretch.looked_at if stretch.last else 0

    def _walk_on(self, tx: Transaction) -> Stretch:
        before = tx.now - self._retention
        # In this order: the jump is told even by a pass that does nothing.
        if not self._guard.allows(tx.now) or not self._believes(tx, before):
            return Stretch()
        return purge(tx, before, self._after_id, PURGE_BATCH)

    def _believes(self, tx: Transaction, before: datetime) -> bool:
        if self._is_believed is None:
            newest = newest_write(tx)
            self._is_believed = newest is None or newest >= before
            if not self._is_believed:
                self._log.error("purge.clock_not_believed", now=tx.now.isoformat(), newest=str(newest))
        return self._is_believed
