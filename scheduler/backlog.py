"""What waits in the outbox, as the scheduler's metrics tell it. Reads by the indexes of what is unfinished."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from core.outbox.targets import Target, targets
from core.rules.codes import BreakerState
from core.store.database import Database
from core.store.transaction import Transaction
from core.telemetry.catalogue import BREAKER, DUE, OLDEST, OTHER, PAUSED, SCHEDULES
from core.telemetry.metrics import Metrics, Reading

REST = timedelta(seconds=5)
"""However often the scheduler is scraped, the tables are read no more often."""

_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def tell_backlog(metrics: Metrics, database: Database, allowed: frozenset[str]) -> None:
    """Have the backlog read at scrapes."""

    def work(tx: Transaction) -> tuple[Sequence[Target], datetime]:
        return targets(tx, allowed), tx.now

    metrics.read(lambda: _readings(*database.read(work)), (SCHEDULES, DUE, OLDEST, BREAKER, PAUSED), REST)


def _readings(found: Iterable[Target], now: datetime) -> Iterator[Reading]:
    others = []
    for target in found:
        if target.is_allowed:
            yield from _of_backlog([target], now, target.notify_url)
            yield Reading(BREAKER, _STATES[target.breaker_state], (target.notify_url,))
            is_paused = target.row is not None and target.row.paused_time is not None
            yield Reading(PAUSED, int(is_paused), (target.notify_url,))
        else:
            others.append(target)
    yield from _of_backlog(others, now, OTHER)


def _of_backlog(group: Sequence[Target], now: datetime, label: str) -> Iterator[Reading]:
    yield Reading(SCHEDULES, sum(target.backlog for target in group), (label, "notifying"))
    yield Reading(SCHEDULES, sum(target.given_up for target in group), (label, "given_up"))
    yield Reading(DUE, sum(target.due for target in group), (label,))
    oldest = min((target.oldest for target in group if target.oldest is not None), default=now)
    yield Reading(OLDEST, max(0.0, (now - oldest).total_seconds()), (label,))
