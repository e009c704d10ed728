"""An operator acts on schedules (SPEC 7, 9): requeue, due now, reopen, restore, another target, abandon.

Owns the one transaction of a call: every change, and the record of who asked for it. A dry run is the same transaction,
undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from core.logs import Logger
from core.outbox import operate, read
from core.outbox.insert import insert_results, insert_schedules
from core.outbox.operate import Act, Operation
from core.outbox.policy import OutboxPolicy
from core.outbox.read import ScheduleFilter
from core.rules.codes import PaymentStatus, ResultStatus
from core.rules.errors import AlreadyExists, NotAllowed, NotFound, PaylatchError, Precondition
from core.store.database import Database
from core.store.rehearsal import carry_out
from core.store.transaction import Row, Transaction
from payment_server.notification import notification_of
from payment_server.views import Key, PaymentView, payment_not_found, payments_by_key


@dataclass(frozen=True, slots=True)
class Selection:
    """Which schedules: these `keys`, or else the oldest `limit` that the filter finds."""

    keys: Sequence[Key] = ()
    wanted: ScheduleFilter | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Operated:
    """What became of one schedule: its row after the change (None while it is being made), or why it did not change."""

    key: Key
    result: Row | PaylatchError | None


def schedule_not_found(key: Key) -> NotFound:
    """The error that names a key without a schedule."""
    return NotFound(
        f"there is no notify schedule of payment {key[1]!r} on platform {key[0]!r}; finished ones are purged after "
        "PAYLATCH_NOTIFY_RETENTION",
        reason="NOTIFY_SCHEDULE_NOT_FOUND",
    )


class OperateSchedules:
    """Applies an operation to a selection of schedules, each on its own: one that cannot be changed stops no other."""

    def __init__(self, database: Database, policy: OutboxPolicy, log: Logger) -> None:
        self._database = database
        self._policy = policy
        self._log = log

    def __call__(self, operation: Operation, selection: Selection, *, validate_only: bool) -> list[Operated]:
        """What became of each schedule; with `validate_only`, what would."""
        results = self._database.transact(
            lambda tx: carry_out(tx, lambda: self._run(tx, operation, selection), validate_only=validate_only)
        )
        if not validate_only:
            changed = sum(not isinstance(operated.result, PaylatchError) for operated in results)
            self._log.info(
                "operator.acted", action=operation.act.name.lower(), operator=operation.operator, count=changed
            )
        return results

    def _run(self, tx: Transaction, operation: Operation, selection: Selection) -> list[Operated]:
        restoring = operation.act is Act.RESTORE
        results = (self._restore if restoring else self._change)(tx, operation, selection)
        after = {_key(row): row for row in read.schedules(tx, [operated.key for operated in results])}
        return [
            replace(operated, result=after[operated.key]) if operated.result is None else operated
            for operated in results
        ]

    def _change(self, tx: Transaction, operation: Operation, selection: Selection) -> list[Operated]:
        """Move the schedules that are there."""
        done = operate.already_done(tx, operation)
        rows = _selected(tx, operation, selection, done)
        # One after the other, the first now, the last when the time given is over.
        step = operation.spread_over / max(len(rows) - 1, 1)
        return [
            Operated(key, None if key in done else self._change_one(tx, operation, key, row, place * step))
            for place, (key, row) in enumerate(rows.items())
        ]

    def _change_one(
        self, tx: Transaction, operation: Operation, key: Key, row: Row | None, delay: timedelta
    ) -> PaylatchError | None:
        if row is None:
            return schedule_not_found(key)
        try:
            operate.apply(tx, row, operation, self._policy, delay)
        except PaylatchError as error:
            return error
        return None

    def _restore(self, tx: Transaction, operation: Operation, selection: Selection) -> list[Operated]:
        """Give settled payments whose schedule is missing a new one."""
        done = operate.already_done(tx, operation)
        payments = payments_by_key(tx, selection.keys, lock=True)
        existing = {_key(row) for row in read.schedules(tx, selection.keys)} - done
        results = {key: _why_not_restored(key, payments.get(key), existing) for key in selection.keys}
        missing = [key for key, error in results.items() if error is None and key not in done]
        self._insert_anew(tx, operation, [payments[key] for key in missing])
        return [Operated(key, error) for key, error in results.items()]

    def _insert_anew(self, tx: Transaction, operation: Operation, views: Sequence[PaymentView]) -> None:
        if not views:
            return
        insert_results(tx, [view.payment.id for view in views if view.notify_status is None])
        operate.reopen_results(tx, [view.payment.id for view in views if view.notify_status == ResultStatus.NOTIFIED])
        operate.drop_notes(tx, [view.payment.id for view in views if view.handled_note is not None])
        notifications = [notification_of(view.payment, operation.notify_url) for view in views]
        insert_schedules(tx, notifications, self._policy, lease=None)
        operate.audit(tx, operation, [_key(view.payment) for view in views])


def _selected(tx: Transaction, operation: Operation, selection: Selection, done: set[Key]) -> dict[Key, Row | None]:
    """The rows by key, in the order asked for; None for a key without one."""
    if selection.wanted is None:
        found = {_key(row): row for row in read.schedules(tx, selection.keys, lock=True)}
        return {key: found.get(key) for key in selection.keys}
    wanted = operate.meant_by(operation.act, selection.wanted)
    rows = read.schedules(tx, sorted(done)) or read.oldest_schedules(tx, wanted, selection.limit)
    return {_key(row): row for row in rows}


def _why_not_restored(key: Key, view: PaymentView | None, existing: set[Key]) -> PaylatchError | None:
    if view is None:
        return payment_not_found(key)
    name = f"payment {key[1]!r} on platform {key[0]!r}"
    if view.payment.status == PaymentStatus.WAITING:
        told = f"{name} is not settled: there is nothing to notify yet"
        return NotAllowed(told, reason="PAYMENT_PENDING", violations=[Precondition("LIFE_CYCLE", name, told)])
    if key in existing:
        return AlreadyExists(f"{name} has its notify schedule", reason="NOTIFY_SCHEDULE_EXISTS")
    return None


def _key(row: Row) -> Key:
    return row.platform_id, row.payment_code
