"""The circuit breaker of each target, kept in `notify_target` and so shared by all workers (SPEC 7).

Owns when rows of a target may be claimed and how many. Never looks at a row of `notify_schedule`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from core.outbox.policy import BreakerPolicy, OutboxPolicy
from core.outbox.tables import NotifyTarget
from core.rules.codes import BreakerState
from core.store.transaction import Row, Transaction

RAMP_START = 8
"""Rows of the first claim after a target came back; each success doubles it up to the batch size."""


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A breaker that opened or closed, for the log."""

    target: str
    state: BreakerState
    failures: int
    open_until: datetime | None


def ensure_targets(tx: Transaction, targets: Iterable[str]) -> None:
    """Give every target its row, with a closed breaker."""
    tx.insert_new(
        NotifyTarget,
        [
            {"notify_url": target, "breaker_state": BreakerState.CLOSED, "consecutive_failures": 0}
            for target in sorted(set(targets))
        ],
        key=[NotifyTarget.notify_url],
    )


def unhindered_targets(tx: Transaction, targets: Collection[str]) -> set[str]:
    """Those of `targets` that are neither paused nor in trouble. One that has no row yet is given it."""
    rows = _rows(tx, targets)
    if len(rows) < len(targets):
        ensure_targets(tx, targets)
        rows = _rows(tx, targets)
    return {
        row.notify_url
        for row in rows
        if row.breaker_state == BreakerState.CLOSED and row.ramp_limit is None and row.paused_time is None
    }


def admit(tx: Transaction, target: str, policy: OutboxPolicy, wanted: int) -> int:
    """How many of the `wanted` rows may be claimed now. 0: the target is paused, or its breaker is open.

    An open breaker whose wait is over lets one row through, to one worker: the probe.
    """
    row = _target(tx, target, lock=False)
    if row.paused_time is not None:
        return 0
    if row.breaker_state == BreakerState.CLOSED:
        return min(wanted, row.ramp_limit or wanted)
    return 1 if _become_prober(tx, row, policy) else 0


def _become_prober(tx: Transaction, row: Row, policy: OutboxPolicy) -> bool:
    # A time that is further ahead than any wait leads is of a clock that was set back since: it says nothing.
    longest = max(policy.breaker.longest_wait, policy.lease)
    if tx.now < row.open_until <= tx.now + longest:
        return False
    probe = NotifyTarget.update(breaker_state=BreakerState.HALF_OPEN, open_until=tx.now + policy.lease)
    unchanged = (
        (NotifyTarget.notify_url == row.notify_url)
        & (NotifyTarget.breaker_state == row.breaker_state)
        & (NotifyTarget.open_until == row.open_until)
    )
    return tx.change(probe.where(unchanged)) == 1


def failed(tx: Transaction, target: str, policy: BreakerPolicy) -> BreakerChange | None:
    """Count a failure that speaks of the target; the breaker opens at the threshold, and again after a failed probe."""
    row = _target(tx, target, lock=True)
    failures = row.consecutive_failures + 1
    if row.breaker_state == BreakerState.CLOSED and failures < policy.threshold:
        _write(tx, target, consecutive_failures=failures)
        return None
    failures = max(failures, policy.threshold)
    open_until = tx.now + policy.wait(failures)
    _write(tx, target, consecutive_failures=failures, breaker_state=BreakerState.OPEN, open_until=open_until)
    return BreakerChange(target, BreakerState.OPEN, failures, open_until)


def answered(tx: Transaction, target: str, batch_size: int) -> BreakerChange | None:
    """The target answered, whatever it said: its breaker closes, and its claims may grow."""
    row = _target(tx, target, lock=False)
    if _is_unhindered(row):
        return None
    row = _target(tx, target, lock=True)
    if row.breaker_state != BreakerState.CLOSED:
        _write(
            tx,
            target,
            breaker_state=BreakerState.CLOSED,
            consecutive_failures=0,
            open_until=None,
            ramp_limit=RAMP_START if batch_size > RAMP_START else None,
        )
        return BreakerChange(target, BreakerState.CLOSED, 0, None)
    _write(tx, target, consecutive_failures=0, ramp_limit=_grown(row.ramp_limit, batch_size))
    return None


def _is_unhindered(row: Row) -> bool:
    closed: bool = row.breaker_state == BreakerState.CLOSED
    return closed and row.consecutive_failures == 0 and row.ramp_limit is None


def _grown(ramp_limit: int | None, batch_size: int) -> int | None:
    if ramp_limit is None or ramp_limit * 2 >= batch_size:
        return None
    return ramp_limit * 2


def _target(tx: Transaction, target: str, *, lock: bool) -> Row:
    if rows := _rows(tx, [target], lock=lock):
        return rows[0]
    ensure_targets(tx, [target])
    return _rows(tx, [target], lock=lock)[0]


def _rows(tx: Transaction, targets: Iterable[str], *, lock: bool = False) -> list[Row]:
    # Asked for twice a batch: not worth building a query each time.
    return tx.by_keys(NotifyTarget, [NotifyTarget.notify_url], [[target] for target in targets], lock=lock)


def _write(tx: Transaction, target: str, **columns: object) -> None:
    tx.change(NotifyTarget.update(**columns).where(NotifyTarget.notify_url == target))
