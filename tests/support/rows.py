"""Rows of the payment database as they are when nothing is wrong with them, with a test's own columns on top."""

from datetime import timedelta
from typing import Any

from core.rules.codes import BreakerState, PaymentStatus, ResultStatus, ScheduleStatus
from tests.support.clock import START

TARGET = "grpc://127.0.0.1:50052"
OTHER_TARGET = "grpc://127.0.0.1:50062"

SETTLED: dict[str, Any] = {"status": PaymentStatus.SUCCESS, "settle_time": START}
CLAIMED: dict[str, Any] = {"claim_token": "t" * 32, "claimed_by": "worker", "claim_time": START}
HANDLED: dict[str, Any] = {"handled_time": START, "handled_by": "anna", "handled_reason": "looked at it"}
CONFLICT: dict[str, Any] = {"conflict_status": PaymentStatus.FAILED, "conflict_trade_no": "T-2", "conflict_time": START}


def key(number: int) -> dict[str, Any]:
    return {"platform_id": "alipay", "payment_code": f"P-{number}"}


def payment(number: int = 1, **columns: Any) -> dict[str, Any]:
    """A payment that waits."""
    return {
        **key(number),
        "order_no": f"O-{number}",
        "amount_minor": 1_234,
        "currency_code": "USD",
        "notify_url": TARGET,
        "status": PaymentStatus.WAITING,
        "trade_no": "",
        "failure_reason": "",
        "create_time": START,
        **columns,
    }


def payment_result(payment_id: int = 1, **columns: Any) -> dict[str, Any]:
    """A result the order side does not know of."""
    return {
        "payment_id": payment_id,
        "notify_status": ResultStatus.UNNOTIFIED,
        "create_time": START,
        "update_time": START,
        **columns,
    }


def schedule(payment_id: int = 1, **columns: Any) -> dict[str, Any]:
    """A schedule that is due and was never claimed."""
    return {
        "payment_id": payment_id,
        **key(payment_id),
        "order_no": f"O-{payment_id}",
        "notify_url": TARGET,
        "notify_content": b"content",
        "notify_status": ScheduleStatus.NOTIFYING,
        "next_notify_time": START,
        "give_up_time": START + timedelta(days=3),
        "notify_count": 0,
        "attempt_count": 0,
        "reopened_attempt": 0,
        "lapse_count": 0,
        "create_time": START,
        "update_time": START,
        **columns,
    }


def attempt(schedule_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "schedule_id": schedule_id,
        "number": 1,
        "start_time": START,
        "finish_time": START,
        "code": 0,
        "message": "",
        "made_by": "worker",
        **columns,
    }


def target(notify_url: str = TARGET, **columns: Any) -> dict[str, Any]:
    """A target in good health."""
    return {"notify_url": notify_url, "breaker_state": BreakerState.CLOSED, "consecutive_failures": 0, **columns}


def operator_action(number: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        **key(number),
        "action_id": "a" * 32,
        "action": "requeue",
        "operator": "anna",
        "reason": "it is back",
        "detail": "",
        "create_time": START,
        **columns,
    }
