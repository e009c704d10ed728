"""Why a schedule is not sent now, and when its next attempts are planned (SPEC 9). Never writes, and claims nothing.

Says what `claim` and `expire` would do, in words an operator can act on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from core.outbox.policy import OutboxPolicy
from core.outbox.targets import target_row
from core.rules.codes import BreakerState, ScheduleStatus
from core.rules.retry_policy import RetryPolicy
from core.store.transaction import Row, Transaction


class HindranceKind(IntEnum):
    """What keeps a schedule from being sent now; the one that weighs most first."""

    DELIVERED = 1
    GIVEN_UP = 2
    HANDLED = 3
    TARGET_NOT_ALLOWED = 4
    TARGET_PAUSED = 5
    BREAKER_OPEN = 6
    BREAKER_HALF_OPEN = 7
    CLAIMED = 8
    NOT_DUE = 9
    WINDOW_OVER = 10
    ATTEMPTS_USED_UP = 11


@dataclass(frozen=True, slots=True)
class Hindrance:
    """One of them. until: when it ends by itself; None if it does not, or nobody can know."""

    kind: HindranceKind
    description: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    """An attempt that is left, if each before it fails at once: by the timetable, and at both ends of the jitter."""

    number: int
    planned: datetime
    earliest: datetime
    latest: datetime


def hindrances(tx: Transaction, row: Row, policy: OutboxPolicy) -> list[Hindrance]:
    """All that keeps this row from being sent now; none: it is due, and goes with one of the next polls."""
    if row.notify_status != ScheduleStatus.NOTIFYING:
        return [_end(row)]
    return [*_of_target(tx, row, policy), *_of_row(tx, row, policy)]


def planned_attempts(row: Row, now: datetime, retry: RetryPolicy) -> list[PlannedAttempt]:
    """The attempts that are left to a row that is being delivered, as far as they come before it is given up."""
    if row.notify_status != ScheduleStatus.NOTIFYING:
        return []
    planned = earliest = latest = max(row.next_notify_time, now)
    attempts: list[PlannedAttempt] = []
    for number in range(row.notify_count + 1, retry.max_attempts + 1):
        if attempts or row.claim_token is not None:
            wait = retry.base_wait(number - 1) or timedelta(0)
            planned, earliest = planned + wait, earliest + wait * (1 - retry.jitter)
            latest = latest + wait * (1 + retry.jitter)
        if earliest >= row.give_up_time:
            break
        attempts.append(PlannedAttempt(number, planned, earliest, latest))
    return attempts


def _end(row: Row) -> Hindrance:
    if row.notify_status == ScheduleStatus.SUCCESS:
        return Hindrance(HindranceKind.DELIVERED, "the order side has it")
    if row.handled_time is not None:
        told = f"closed by {row.handled_by} at {row.handled_time.isoformat()}: {row.handled_reason}"
        return Hindrance(HindranceKind.HANDLED, told)
    told = f"given up after {row.attempt_count} attempts: {row.last_message}; requeue or abandon it"
    return Hindrance(HindranceKind.GIVEN_UP, told)


def _of_target(tx: Transaction, row: Row, policy: OutboxPolicy) -> Iterator[Hindrance]:
    if row.notify_url not in policy.targets:
        told = f"{row.notify_url} is not on the allow-list; put it there, or give the schedule another notify_url"
        yield Hindrance(HindranceKind.TARGET_NOT_ALLOWED, told)
    target = target_row(tx, row.notify_url)
    if target is None:
        return
    if target.paused_time is not None:
        told = f"{target.notify_url} was paused by {target.paused_by} at {target.paused_time.isoformat()}"
        yield Hindrance(HindranceKind.TARGET_PAUSED, f"{told}: {target.paused_reason}")
    if target.breaker_state == BreakerState.OPEN:
        told = (
            f"{target.notify_url} failed {target.consecutive_failures} times in a row; its breaker lets nothing through"
        )
        yield Hindrance(HindranceKind.BREAKER_OPEN, told, target.open_until)
    if target.breaker_state == BreakerState.HALF_OPEN:
        told = f"{target.notify_url} failed {target.consecutive_failures} times in a row and is tried with one schedule"
        yield Hindrance(HindranceKind.BREAKER_HALF_OPEN, told, target.open_until)


def _of_row(tx: Transaction, row: Row, policy: OutboxPolicy) -> Iterator[Hindrance]:
    is_held = row.claim_token is not None and row.next_notify_time > tx.now
    if is_held:
        yield Hindrance(HindranceKind.CLAIMED, f"held by {row.claimed_by}", row.next_notify_time)
    elif row.give_up_time <= tx.now:
        told = "its window is over: the next pass gives it up"
        yield Hindrance(HindranceKind.WINDOW_OVER, told, None)
    elif row.next_notify_time > tx.now:
        told = f"waits for attempt {row.notify_count + 1} of {policy.retry.max_attempts}"
        yield Hindrance(HindranceKind.NOT_DUE, told, row.next_notify_time)
    elif row.notify_count >= policy.retry.max_attempts:
        told = f"had all its {policy.retry.max_attempts} attempts: whoever claims it next gives it up"
        yield Hindrance(HindranceKind.ATTEMPTS_USED_UP, told, None)
