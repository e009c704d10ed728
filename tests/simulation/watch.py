"""Watches both databases: every commit is held to the invariants, against what was there before it.

Reads the files past the product, with SQL of its own, and says in its own words what SPEC demands: nothing of the
product judges itself here. Raises Violation.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from core.outbox.policy import OutboxPolicy
from tests.simulation.clock import DatabaseTime

Key = tuple[str, str]

NOTIFYING, FAILED, SUCCESS = 1, 2, 3
APPLIED, DUPLICATE, CANCELLED, MISMATCH, IGNORED = 1, 2, 3, 4, 5
PAID = 2

SCHEDULE_MOVES = {(1, 1), (1, 2), (1, 3), (2, 3), (2, 1), (3, 1), (2, 2), (3, 3)}
ORDER_MOVES = {(1, 2), (2, 3), (3, 4), (1, 5)}
ORDER_PAYMENT_MOVES = {(0, 1), (3, 1), (0, 2), (1, 2), (3, 2), (0, 3), (1, 3)}
LONGEST_MESSAGE = 2_048


class Violation(BaseException):
    """An invariant does not hold. No `except Exception` of the code under test may hold it up."""


def require(holds: object, invariant: str, *what: object) -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(f"{invariant}: {' '.join(map(str, what))}")


class PaymentRow(NamedTuple):
    id: int
    platform_id: str
    payment_code: str
    order_no: str
    amount: int
    currency: str
    status: int
    conflict_status: int | None

    @property
    def key(self) -> Key:
        return self.platform_id, self.payment_code


class ScheduleRow(NamedTuple):
    id: int
    payment_id: int
    platform_id: str
    payment_code: str
    status: int
    next_time: str
    give_up_time: str
    tries: int
    attempt_count: int
    token: str | None
    claimed_by: str | None
    last_code: int | None
    last_message: str | None
    handled_time: str | None
    notify_url: str
    update_time: str

    @property
    def key(self) -> Key:
        return self.platform_id, self.payment_code


class NotifyRow(NamedTuple):
    platform_id: str
    payment_code: str
    order_no: str
    status: int
    amount: int
    currency: str
    disposition: int
    resolution: int | None

    @property
    def key(self) -> Key:
        return self.platform_id, self.payment_code


class OrderRow(NamedTuple):
    order_no: str
    amount: int
    currency: str
    order_status: int
    payment_status: int
    paid_platform_id: str | None
    paid_payment_code: str | None

    @property
    def paid_by(self) -> tuple[str | None, str | None]:
        return self.paid_platform_id, self.paid_payment_code


@dataclass
class PaymentSide:
    """What the payment database has."""

    payments: Mapping[int, PaymentRow] = field(default_factory=dict)
    results: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)
    schedules: Mapping[int, ScheduleRow] = field(default_factory=dict)
    attempts: Mapping[tuple[int, int], tuple[int, str, str]] = field(default_factory=dict)
    actions: frozenset[tuple[str, str, str, str]] = frozenset()
    paused: frozenset[str] = frozenset()


@dataclass
class OrderSide:
    """What the order database has."""

    orders: Mapping[str, OrderRow] = field(default_factory=dict)
    notifies: Mapping[Key, NotifyRow] = field(default_factory=dict)
    logs: tuple[tuple[str, int, int, int], ...] = ()
    items: tuple[tuple[str, str, int, int], ...] = ()
    vouchers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    on_hand: Mapping[str, int] = field(default_factory=dict)
    follow_ups: tuple[tuple[str, str, str, int, int], ...] = ()


class Watch:
    """See the module.

    alarms: keys whose giving up was raised as an alarm. stock: the units of each sku at first. purged: schedules that
    went. forgotten: payments that the order side had before its database was restored, until they are reopened.
    """

    def __init__(
        self, files: Mapping[str, Path], time: DatabaseTime, policy: OutboxPolicy, retention: timedelta
    ) -> None:
        self._time = time
        self._max_attempts = policy.retry.max_attempts
        self._lease = policy.lease
        self._retention = retention
        self._connections = {name: sqlite3.connect(path, isolation_level=None) for name, path in files.items()}
        self.payment = PaymentSide()
        self.order = OrderSide()
        self.alarms: Counter[Key] = Counter()
        self.stock: dict[str, int] = {}
        self.commits = 0
        self.purged = 0
        self.forgotten: set[Key] = set()
        self._called: set[tuple[str, Key]] = set()

    def close(self) -> None:
        """Give the files back."""
        for connection in self._connections.values():
            connection.close()

    def order_side_restored(self) -> None:
        """From here on the order side is judged by what its backup had."""
        before, self.order = self.order, self._read_order()
        self.forgotten |= before.notifies.keys() - self.order.notifies.keys()

    def called(self, process_name: str, keys: Iterable[Key]) -> None:
        """A sender begins a call: its attempt counts from now on, whatever comes of it (SPEC 7)."""
        for key in keys:
            self._called.add((process_name, key))

    def committed(self, process_name: str, database: str) -> None:
        """Hold what is there now to the invariants."""
        self.commits += 1
        if database == "payment":
            before, self.payment = self.payment, self._read_payment()
            self.purged += len(before.schedules.keys() - self.payment.schedules.keys())
            self._check_payments(before)
            self._check_schedules(before, process_name)
        else:
            before_order, self.order = self.order, self._read_order()
            self._check_orders(before_order)
            self._check_notifies(before_order)
            self._check_effects()

    # Reading

    def _rows(self, database: str, sql: str) -> list[Any]:
        return self._connections[database].execute(sql).fetchall()

    def _read_payment(self) -> PaymentSide:
        payments = self._rows(
            "payment",
            "SELECT id, platform_id, payment_code, order_no, amount_minor, currency_code, status, conflict_status "
            "FROM payment",
        )
        schedules = self._rows(
            "payment",
            "SELECT id, payment_id, platform_id, payment_code, notify_status, next_notify_time, give_up_time, "
            "notify_count, attempt_count, claim_token, claimed_by, last_code, last_message, handled_time, notify_url, "
            "update_time "
            "FROM notify_schedule",
        )
        results = self._rows("payment", "SELECT payment_id, notify_status, disposition FROM payment_result")
        attempts = self._rows("payment", "SELECT schedule_id, number, code, message, made_by FROM notify_attempt")
        actions = self._rows("payment", "SELECT action_id, action, platform_id, payment_code FROM operator_action")
        paused = self._rows("payment", "SELECT notify_url FROM notify_target WHERE paused_time IS NOT NULL")
        return PaymentSide(
            {row[0]: PaymentRow(*row) for row in payments},
            {row[0]: (row[1], row[2]) for row in results},
            {row[0]: ScheduleRow(*row) for row in schedules},
            {(row[0], row[1]): (row[2], row[3], row[4]) for row in attempts},
            frozenset(actions),
            frozenset(url for (url,) in paused),
        )

    def _read_order(self) -> OrderSide:
        orders = self._rows(
            "order",
            "SELECT order_no, amount_minor, currency_code, order_status, payment_status, paid_platform_id, "
            'paid_payment_code FROM "order"',
        )
        notifies = self._rows(
            "order",
            "SELECT platform_id, payment_code, order_no, status, amount_minor, currency_code, disposition, resolution "
            "FROM order_payment_notify",
        )
        logs = self._rows(
            "order", "SELECT order_no, status_name, from_status, to_status FROM order_status_log ORDER BY id"
        )
        items = self._rows("order", "SELECT order_no, sku, quantity, kind FROM order_item")
        vouchers = Counter(self._rows("order", "SELECT order_no, sku FROM voucher"))
        on_hand = dict(self._rows("order", "SELECT sku, on_hand FROM inventory"))
        follow_ups = self._rows("order", "SELECT order_no, name, sku, wanted, done FROM order_follow_up")
        return OrderSide(
            {row[0]: OrderRow(*row) for row in orders},
            {(row[0], row[1]): NotifyRow(*row) for row in notifies},
            tuple(logs),
            tuple(items),
            vouchers,
            on_hand,
            tuple(follow_ups),
        )

    # The payment side

    def _check_payments(self, before: PaymentSide) -> None:
        now = self.payment
        for id_, old in before.payments.items():
            row = now.payments.get(id_)
            require(row is not None, "no loss", old, "is gone")
            assert row is not None
            require(row[:6] == old[:6], "no loss", old, "has other content", row)
            require(old.status in {row.status, 0}, "no loss", old, "was settled and is", row)
            require(old.conflict_status in (None, row.conflict_status), "no loss", "a conflict changed", old, row)
        settled = {id_ for id_, row in now.payments.items() if row.status}
        scheduled = [row.payment_id for row in now.schedules.values()]
        require(len(scheduled) == len(set(scheduled)), "atomic triple", "two schedules of one payment", scheduled)
        require(set(now.results) == settled, "atomic triple", "settled", settled, "results", set(now.results))
        missing = settled - set(scheduled)
        require(not missing - self._purged(before), "atomic triple", "no schedule of payments", missing)
        require(set(scheduled) <= settled, "atomic triple", "schedules", scheduled, "settled", settled)
        for id_, (status, disposition) in now.results.items():
            notify = self.order.notifies.get(now.payments[id_].key)
            if status == 2 and now.payments[id_].key not in self.forgotten:
                answered = notify.disposition if notify else None
                require(disposition == answered, "no false acknowledgement", now.payments[id_], notify)

    def _purged(self, before: PaymentSide) -> set[int]:
        """Payments whose schedule was gone before, or was finished for longer than the retention."""
        scheduled = {row.payment_id: row for row in before.schedules.values()}
        return {id_ for id_, row in before.payments.items() if row.status and self._may_be_gone(scheduled.get(id_))}

    def _may_be_gone(self, row: ScheduleRow | None) -> bool:
        if row is None:
            return True
        is_finished = row.status == SUCCESS or (row.status == FAILED and row.handled_time is not None)
        return is_finished and row.update_time < self._now(-self._retention)

    def _check_schedules(self, before: PaymentSide, process_name: str) -> None:
        numbers = defaultdict(set)
        for schedule_id, number in self.payment.attempts:
            numbers[schedule_id].add(number)
        for row in self.payment.schedules.values():
            old = before.schedules.get(row.id)
            if row.token is not None and (old is None or old.token != row.token):
                require(row.next_time > self._now(), "claims", row, "has a lease that is over")
                require(row.notify_url not in before.paused, "claims", row, "was claimed while its target was paused")
                self._called.discard((row.claimed_by or "", row.key))  # nothing was called under this claim yet
            self._check_schedule(row, numbers[row.id])
            if old is not None and old != row:
                self._check_change(old, row, process_name, self.payment.actions - before.actions)

    def _check_schedule(self, row: ScheduleRow, numbers: set[int]) -> None:
        """What holds of a row whatever it was before."""
        key = row.key
        status, _ = self.payment.results[row.payment_id]
        require((row.status == SUCCESS) == (status == 2), "atomic triple", "schedule", row, "result", status)
        if row.status == SUCCESS:
            require(key in self.order.notifies or key in self.forgotten, "no false acknowledgement", row)
        if row.status == FAILED:
            require(row.last_message or row.handled_time, "visibly open", row, "has no reason")
            require(self.alarms[key] or row.handled_time, "visibly open", row, "was given up without an alarm")
        require(row.status == NOTIFYING or row.token is None, "fencing", row, "is finished and held")
        require(0 <= row.tries <= min(self._max_attempts, row.attempt_count), "bounds", row, "attempts")
        require(len((row.last_message or "").encode()) <= LONGEST_MESSAGE, "bounds", row, "message")
        known = set(range(1, row.attempt_count + 1)) - ({row.attempt_count} if row.token else set())
        require(known <= numbers <= known | {row.attempt_count}, "ledger", row, "has attempts", sorted(numbers))

    def _check_change(
        self, old: ScheduleRow, row: ScheduleRow, process_name: str, actions: Iterable[tuple[str, str, str, str]]
    ) -> None:
        """What holds of a change of a row."""
        require((old.status, row.status) in SCHEDULE_MOVES, "life cycle", old, "became", row)
        acts = {action for _, action, *key in actions if tuple(key) == old.key}
        if row.status == NOTIFYING:
            self.forgotten.discard(row.key)
        if old.status != NOTIFYING and row.status == NOTIFYING:
            wanted = "requeue" if old.status == FAILED else "reopen"
            require(wanted in acts, "life cycle", old, "became", row, "without an operator's", wanted)
        # A lease that ends later than any can is of a clock that was set back since.
        is_live = old.token is not None and self._now() < old.next_time <= self._now(self._lease)
        if is_live and row.token != old.token:
            self._check_end_of_claim(old, row, process_name)
        if old.token is None and row.token is not None:
            require(row.tries == old.tries + 1, "budget", old, "was claimed as", row)
            require(row.attempt_count == old.attempt_count + 1, "budget", old, "was claimed as", row)
        if row.tries < old.tries and not acts:
            require(row.attempt_count == old.attempt_count - 1, "budget", old, "became", row)
            require(old.claimed_by == process_name, "fencing", old, "was given back by", process_name)
            require((process_name, old.key) not in self._called, "budget", old, "was given back after its call")

    def _check_end_of_claim(self, old: ScheduleRow, row: ScheduleRow, process_name: str) -> None:
        """A lease that is not over ends by its holder's word, or by the fact that the order side has it."""
        if row.status == SUCCESS:
            return
        require(row.token is None, "fencing", old, "was taken over by", process_name, "before its lease was over")
        require(old.claimed_by == process_name, "fencing", old, "was changed by", process_name, "to", row)
        if row.attempt_count == old.attempt_count:
            made_by = self.payment.attempts.get((old.id, old.attempt_count), (0, "", ""))[2]
            require(made_by == old.claimed_by, "fencing", old, "became", row, "by another attempt's word")

    def _now(self, ahead: timedelta = timedelta(0)) -> str:
        return (self._time.now() + ahead).replace(tzinfo=None).isoformat(" ", "microseconds")

    # The order side

    def _check_orders(self, before: OrderSide) -> None:
        for order_no, old in before.orders.items():
            row = self.order.orders.get(order_no)
            require(row is not None, "no loss", old, "is gone")
            assert row is not None
            require(row[:3] == old[:3], "no loss", old, "has other content", row)
            if old.payment_status == PAID:
                require(row.payment_status == PAID, "monotonic", old, "became", row)
                require(row.paid_by == old.paid_by, "monotonic", old, "became", row)
        chains: dict[tuple[str, int], int] = {}
        for order_no, name, from_, to in self.order.logs:
            require(
                (from_, to) in (ORDER_MOVES if name == 1 else ORDER_PAYMENT_MOVES), "life cycle", order_no, from_, to
            )
            require(
                chains.get((order_no, name), 1 if name == 1 else 0) == from_, "one effect", order_no, "log", from_, to
            )
            chains[order_no, name] = to
        for row in self.order.orders.values():
            logged = chains.get((row.order_no, 1), 1), chains.get((row.order_no, 2), 0)
            require(logged == (row.order_status, row.payment_status), "one effect", row, "the log says", logged)
            if row.payment_status == PAID:
                self._check_paid(row)

    def _check_paid(self, row: OrderRow) -> None:
        notify = self.order.notifies.get(row.paid_by)  # type: ignore[arg-type]  # a paid order names its payment
        require(notify is not None, "no phantom", row, "is paid by an unknown payment")
        assert notify is not None
        is_accepted = notify.disposition == MISMATCH and notify.resolution == 2
        require(notify.status == 1 and (notify.disposition == APPLIED or is_accepted), "no phantom", row, notify)
        alike = (notify.amount, notify.currency) == (row.amount, row.currency)
        require(notify.order_no == row.order_no and (alike or is_accepted), "no phantom", row, notify)

    def _check_notifies(self, before: OrderSide) -> None:
        applied = Counter(
            row.order_no for row in self.order.notifies.values() if row.status == 1 and row.disposition == APPLIED
        )
        require(max(applied.values(), default=0) <= 1, "one effect", "two applied successes", applied)
        payments = {row.key: row for row in self.payment.payments.values()}
        for key, row in self.order.notifies.items():
            old = before.notifies.get(key)
            require(old is None or row[:7] == old[:7], "one effect", old, "became", row)
            payment = payments.get(key)
            outcome = {1: 1, 10: 2}[row.status]
            require(payment is not None and payment.status == outcome, "no phantom", row, "but", payment)
            assert payment is not None
            content = payment.order_no, payment.amount, payment.currency
            require(content == (row.order_no, row.amount, row.currency), "no phantom", row, "but", payment)
            if row.status == 1 and row.disposition == APPLIED:
                require(self.order.orders[row.order_no].paid_by == key, "one effect", row, "applied and not paid")
        require(set(before.notifies) <= set(self.order.notifies), "no loss", "notifications are gone")

    def _check_effects(self) -> None:
        """Goods are taken and vouchers issued once for each paid order, or stand listed as a follow-up."""
        taken: Counter[str] = Counter()
        open_units = {
            (order_no, name, sku): wanted - done for order_no, name, sku, wanted, done in self.order.follow_ups
        }
        due: Counter[tuple[str, str, int]] = Counter()
        for order_no, sku, quantity, kind in self.order.items:
            if self.order.orders[order_no].payment_status == PAID:
                due[order_no, sku, kind] += quantity
        for (order_no, sku, kind), units in due.items():
            if kind == 1:
                taken[sku] += units - open_units.get((order_no, "take_inventory", sku), 0)
            else:
                wanted = units - open_units.get((order_no, "issue_vouchers", sku), 0)
                issued = self.order.vouchers.get((order_no, sku), 0)
                require(issued == wanted, "one effect", order_no, sku, "vouchers", issued, "wanted", wanted)
        issued_for = {order_no for order_no, _ in self.order.vouchers}
        paid = {order_no for order_no, _, kind in due if kind == 2}
        require(issued_for <= paid, "one effect", "vouchers of unpaid orders", issued_for - paid)
        for sku, on_hand in self.order.on_hand.items():
            if sku in self.stock:
                require(
                    on_hand == self.stock[sku] - taken[sku],
                    "one effect",
                    sku,
                    on_hand,
                    "of",
                    self.stock[sku],
                    taken[sku],
                )
