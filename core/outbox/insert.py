"""Putting notifications into the outbox, in the transaction that settles their payments (SPEC 4, step 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.outbox.breaker import unhindered_targets
from core.outbox.lease import Claim, ClaimedRow, Lease
from core.outbox.policy import OutboxPolicy
from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import ResultStatus, ScheduleStatus
from core.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to reach the order side. content: the serialized OrderNotifyRequest. notify_url: on the allow-list.

    trace_context: of the trace that its attempts belong to.
    """

    payment_id: int
    platform_id: str
    payment_code: str
    order_no: str
    notify_url: str
    content: bytes
    trace_context: str | None = None


def insert_results(tx: Transaction, payment_ids: Sequence[int]) -> None:
    """Write that these payments are settled and that the order side does not know it yet."""
    tx.insert(
        PaymentResult,
        [
            {
                "payment_id": payment_id,
                "notify_status": ResultStatus.UNNOTIFIED,
                "create_time": tx.now,
                "update_time": tx.now,
            }
            for payment_id in payment_ids
        ],
    )


def insert_schedules(
    tx: Transaction, notifications: Sequence[Notification], policy: OutboxPolicy, lease: Lease | None
) -> list[Claim]:
    """Schedule `notifications` and, with a `lease`, claim them for the caller at once: one claim for each target.

    Without a lease, and for a target that is paused, in trouble or no longer on the allow-list, rows are due at once
    and left to the scheduler.
    """
    unhindered = unhindered_targets(tx, {notification.notify_url for notification in notifications})
    claimable = unhindered & policy.targets if lease else set()
    born_claimed = {n.payment_id: n for n in notifications if n.notify_url in claimable}
    due, claimed = _common(tx, policy, None), _common(tx, policy, lease)
    rows = [{**_own(n), **(claimed if n.payment_id in born_claimed else due)} for n in notifications]
    tx.insert(NotifySchedule, rows)
    return _claims(tx, born_claimed, lease) if lease else []


def _own(notification: Notification) -> dict[str, object]:
    return {
        "payment_id": notification.payment_id,
        "platform_id": notification.platform_id,
        "payment_code": notification.payment_code,
        "order_no": notification.order_no,
        "notify_url": notification.notify_url,
        "notify_content": notification.content,
        "trace_context": notification.trace_context,
    }


def _common(tx: Transaction, policy: OutboxPolicy, lease: Lease | None) -> dict[str, object]:
    """The columns that are the same for all rows that are born claimed under `lease`, or not claimed."""
    attempts = 1 if lease else 0
    return {
        "notify_status": ScheduleStatus.NOTIFYING,
        "next_notify_time": tx.now + lease.length if lease else tx.now,
        "give_up_time": tx.now + policy.retry.window,
        "notify_count": attempts,
        "attempt_count": attempts,
        "reopened_attempt": 0,
        "lapse_count": 0,
        "claim_token": lease.token if lease else None,
        "claimed_by": lease.holder if lease else None,
        "claim_time": tx.now if lease else None,
        "create_time": tx.now,
        "update_time": tx.now,
    }


def _claims(tx: Transaction, notifications: Mapping[int, Notification], lease: Lease) -> list[Claim]:
    """The claims of rows that were just inserted: all that is not known of them yet are their ids."""
    columns = [NotifySchedule.id, NotifySchedule.payment_id]
    rows = tx.by_keys(NotifySchedule, [NotifySchedule.payment_id], [[id_] for id_ in notifications], columns=columns)
    by_target: dict[str, list[ClaimedRow]] = {}
    for row in sorted(rows):
        notification = notifications[row.payment_id]
        claimed = ClaimedRow(
            lease=lease,
            schedule_id=row.id,
            payment_id=row.payment_id,
            platform_id=notification.platform_id,
            payment_code=notification.payment_code,
            content=notification.content,
            attempt=1,
            claim_time=tx.now,
            create_time=tx.now,
            trace_context=notification.trace_context,
        )
        by_target.setdefault(notification.notify_url, []).append(claimed)
    return [Claim(target, tuple(claimed)) for target, claimed in by_target.items()]
