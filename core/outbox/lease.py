"""What a worker holds: a lease on rows of one target. Owns the token and the arithmetic of the time that is left."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from core.clock import Clock
from core.store.transaction import Row


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to deliver rows for a while. Taken before the claiming transaction, so that it never overstates.

    token: unguessable, new for each claim; a failure is recorded only under it. started: monotonic seconds.
    """

    holder: str
    token: str
    length: timedelta
    started: float

    @classmethod
    def take(cls, holder: str, length: timedelta, clock: Clock) -> "Lease":
        """A new lease that begins now."""
        return cls(holder, secrets.token_hex(16), length, clock.monotonic())

    def left(self, clock: Clock) -> timedelta:
        """How much of it is left; negative when it has lapsed."""
        return self.length - timedelta(seconds=clock.monotonic() - self.started)


class ClaimedRow(NamedTuple):
    """One row under a lease. content: the serialized OrderNotifyRequest. attempt: its number in the ledger.

    create_time: of the settlement that inserted it. trace_context: of the trace its attempts belong to, or None.
    """

    lease: Lease
    schedule_id: int
    payment_id: int
    platform_id: str
    payment_code: str
    content: bytes
    attempt: int
    claim_time: datetime
    create_time: datetime
    trace_context: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The payment's key."""
        return self.platform_id, self.payment_code


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows to deliver to one target, each under its lease."""

    target: str
    rows: tuple[ClaimedRow, ...]


def claimed_row(row: Row, lease: Lease, attempt: int, claim_time: datetime) -> ClaimedRow:
    """The claimed form of a `notify_schedule` row."""
    return ClaimedRow(
        lease=lease,
        schedule_id=row.id,
        payment_id=row.payment_id,
        platform_id=row.platform_id,
        payment_code=row.payment_code,
        content=bytes(row.notify_content),
        attempt=attempt,
        claim_time=claim_time,
        create_time=row.create_time,
        trace_context=row.trace_context,
    )
