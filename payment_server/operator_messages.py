"""What an operator is shown, in the contract's words: hindrances, planned attempts, targets. Decides nothing."""

from core.outbox.explain import Hindrance, HindranceKind, PlannedAttempt
from core.outbox.targets import Target
from core.rpc.translate import EnumMap, to_timestamp
from core.rules.codes import BreakerState
from paylatch.payment.v1 import notify_schedule_pb2, notify_target_pb2
from paylatch.payment.v1 import payment_enums_pb2 as enums
from payment_server.messages import optional_timestamp

BREAKER_STATE = EnumMap(
    enums.BreakerState,
    {
        enums.BREAKER_STATE_CLOSED: BreakerState.CLOSED,
        enums.BREAKER_STATE_OPEN: BreakerState.OPEN,
        enums.BREAKER_STATE_HALF_OPEN: BreakerState.HALF_OPEN,
    },
)
HINDRANCE_KIND = EnumMap(
    enums.HindranceKind,
    {
        enums.HINDRANCE_KIND_DELIVERED: HindranceKind.DELIVERED,
        enums.HINDRANCE_KIND_GIVEN_UP: HindranceKind.GIVEN_UP,
        enums.HINDRANCE_KIND_HANDLED: HindranceKind.HANDLED,
        enums.HINDRANCE_KIND_TARGET_NOT_ALLOWED: HindranceKind.TARGET_NOT_ALLOWED,
        enums.HINDRANCE_KIND_TARGET_PAUSED: HindranceKind.TARGET_PAUSED,
        enums.HINDRANCE_KIND_BREAKER_OPEN: HindranceKind.BREAKER_OPEN,
        enums.HINDRANCE_KIND_BREAKER_HALF_OPEN: HindranceKind.BREAKER_HALF_OPEN,
        enums.HINDRANCE_KIND_CLAIMED: HindranceKind.CLAIMED,
        enums.HINDRANCE_KIND_NOT_DUE: HindranceKind.NOT_DUE,
        enums.HINDRANCE_KIND_WINDOW_OVER: HindranceKind.WINDOW_OVER,
        enums.HINDRANCE_KIND_ATTEMPTS_USED_UP: HindranceKind.ATTEMPTS_USED_UP,
    },
)


def hindrance_message(hindrance: Hindrance) -> notify_schedule_pb2.Hindrance:
    """One thing that keeps a schedule from being sent."""
    return notify_schedule_pb2.Hindrance(
        kind=HINDRANCE_KIND.to_value(hindrance.kind),
        description=hindrance.description,
        until=optional_timestamp(hindrance.until),
    )


def planned_message(attempt: PlannedAttempt) -> notify_schedule_pb2.PlannedAttempt:
    """One attempt that is left."""
    return notify_schedule_pb2.PlannedAttempt(
        number=attempt.number,
        planned_time=to_timestamp(attempt.planned),
        earliest_time=to_timestamp(attempt.earliest),
        latest_time=to_timestamp(attempt.latest),
    )


def target_message(target: Target) -> notify_target_pb2.NotifyTarget:
    """A receiver with its backlog, its breaker and its pause."""
    row = target.row
    message = notify_target_pb2.NotifyTarget(
        notify_url=target.notify_url,
        is_allowed=target.is_allowed,
        backlog=target.backlog,
        due_count=target.due,
        oldest_create_time=optional_timestamp(target.oldest),
        given_up_count=target.given_up,
        breaker_state=BREAKER_STATE.to_value(target.breaker_state),
    )
    if row is not None:
        of_row = notify_target_pb2.NotifyTarget(
            breaker_until=optional_timestamp(row.open_until),
            consecutive_failures=row.consecutive_failures,
            ramp_limit=row.ramp_limit,
            paused_time=optional_timestamp(row.paused_time),
            paused_by=row.paused_by,
            paused_reason=row.paused_reason,
        )
        message.MergeFrom(of_row)
    return message
