"""Settled payments that fit no order: listing them, and closing them by a person's decision (SPEC 5)."""

from dataclasses import dataclass

from peewee import ValueLiterals

from core.logs import Logger
from core.rules.codes import Disposition, ExceptionResolution
from core.rules.errors import IllegalEvent, NotAllowed, NotFound, Precondition
from core.rules.limits import MAX_TEXT
from core.store.database import Database
from core.store.paging import Page, PageRequest, narrowed, newest_first
from core.store.rehearsal import carry_out
from core.store.transaction import LostRace, Row, Transaction
from order_server.notifies import NotifyView, beside_orders, rows_by_key
from order_server.order_changes import OrderChanges
from order_server.order_rows import order_row, state_of
from order_server.rules import OrderChange, PaymentKey, moves_when_paid
from order_server.tables import OrderPaymentNotify

EXCEPTIONS = (Disposition.DUPLICATE_PAYMENT, Disposition.ORDER_CANCELLED, Disposition.AMOUNT_MISMATCH)
"""The dispositions that wait for a person."""


@dataclass(frozen=True, slots=True)
class ExceptionFilter:
    """Which payment exceptions; None does not filter."""

    disposition: Disposition | None = None
    order_no: str | None = None
    include_resolved: bool = False


@dataclass(frozen=True, slots=True)
class Resolve:
    """Close the payment exception `key`: how, by whom and why. validate_only: a dry run."""

    key: PaymentKey
    resolution: ExceptionResolution
    operator: str
    reason: str
    validate_only: bool = False


class PaymentExceptions:
    """The use cases on payment exceptions."""

    def __init__(self, database: Database, changes: OrderChanges, log: Logger) -> None:
        self._database = database
        self._changes = changes
        self._log = log

    def find(self, wanted: ExceptionFilter, page: PageRequest) -> Page[NotifyView]:
        """A page of exceptions beside their orders, newest first."""
        return self._database.read(lambda tx: _list(tx, wanted, page))

    def resolve(self, act: Resolve) -> NotifyView:
        """Close an exception; ACCEPTED pays its order in the same transaction. Resolving alike again changes nothing.

        Raises:
            NotFound: the key was never notified, or is no exception.
            NotAllowed: it was resolved otherwise, or can not be accepted.
        """
        view = self._database.transact(
            lambda tx: carry_out(tx, lambda: self._resolve(tx, act), validate_only=act.validate_only)
        )
        self._log.info(
            "payment_exception.resolved",
            **act.key.fields(),
            resolution=act.resolution.name,
            operator=act.operator,
            validate_only=act.validate_only,
        )
        return view

    def _resolve(self, tx: Transaction, act: Resolve) -> NotifyView:
        notify = _held_exception(tx, act.key)
        if notify.resolution is None:
            if act.resolution is ExceptionResolution.ACCEPTED:
                self._pay(tx, act, notify)
            _close(tx, act, notify)
        elif notify.resolution is not act.resolution:
            raise _already_resolved(act.key, notify.resolution)
        return beside_orders(tx, rows_by_key(tx, [act.key]))[0]

    def _pay(self, tx: Transaction, act: Resolve, notify: Row) -> None:
        order = state_of(order_row(tx, notify.order_no, lock=True))
        if notify.disposition is not Disposition.AMOUNT_MISMATCH:
            raise _not_acceptable(act.key, f"it is {notify.disposition.name}, only AMOUNT_MISMATCH can be accepted")
        try:
            moves = moves_when_paid(order)
        except IllegalEvent as error:
            raise _not_acceptable(act.key, f"order {notify.order_no} is not payable: {error.message}", error) from error
        # The reason as a whole is kept with the exception.
        why = f"payment {act.key} accepted: {act.reason}"[:MAX_TEXT]
        self._changes.write(tx, [OrderChange(notify.order_no, moves, act.operator, why, act.key)])


def _list(tx: Transaction, wanted: ExceptionFilter, page: PageRequest) -> Page[NotifyView]:
    query = narrowed(
        OrderPaymentNotify.select(),
        # As it stands in the index of exceptions: SQLite must see the values to know that it serves.
        (EXCEPTIONS, ValueLiterals(OrderPaymentNotify.disposition.in_(EXCEPTIONS))),
        (wanted.disposition, OrderPaymentNotify.disposition == wanted.disposition),
        (wanted.order_no, OrderPaymentNotify.order_no == wanted.order_no),
        (None if wanted.include_resolved else True, OrderPaymentNotify.resolution.is_null()),
    )
    found = newest_first(tx, OrderPaymentNotify, query, page)
    return Page(beside_orders(tx, found.rows), found.last)


def _held_exception(tx: Transaction, key: PaymentKey) -> Row:
    notifies = [row for row in rows_by_key(tx, [key], lock=True) if row.disposition in EXCEPTIONS]
    if not notifies:
        message = f"there is no payment exception {key}"
        raise NotFound(message, reason="PAYMENT_EXCEPTION_NOT_FOUND", metadata=key.fields())
    return notifies[0]


def _close(tx: Transaction, act: Resolve, notify: Row) -> None:
    closing = OrderPaymentNotify.update(
        resolution=act.resolution, resolved_by=act.operator, resolved_time=tx.now, resolved_reason=act.reason
    )
    still_open = (OrderPaymentNotify.id == notify.id) & OrderPaymentNotify.resolution.is_null()
    if tx.change(closing.where(still_open)) != 1:
        raise LostRace("resolve")


def _already_resolved(key: PaymentKey, resolution: ExceptionResolution) -> NotAllowed:
    message = f"payment exception {key} was resolved as {resolution.name}"
    return NotAllowed(
        message,
        reason="ALREADY_RESOLVED",
        violations=[Precondition("PAYMENT_EXCEPTION", str(key), message)],
        metadata={"resolution": resolution.name},
    )


def _not_acceptable(key: PaymentKey, why: str, cause: NotAllowed | None = None) -> NotAllowed:
    message = f"payment exception {key} can not be accepted: {why}"
    return NotAllowed(
        message,
        reason="NOT_ACCEPTABLE",
        violations=[Precondition("PAYMENT_EXCEPTION", str(key), message)],
        metadata=cause.metadata if cause else {},
    )
