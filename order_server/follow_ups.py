"""What happens because an order was paid (SPEC 6): the interface of a follow-up, and the running of all of them.

Runs inside the transaction that pays the orders. Owns the rule that no follow-up ever undoes a payment: each runs in a
savepoint, and what it could not do is written to `order_follow_up`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.logs import Logger
from core.rules.codes import ItemKind
from core.rules.errors import PaylatchError
from core.rules.limits import clean_text
from core.store.dialect import Failure
from core.store.transaction import LostRace, Row, Transaction
from order_server.order_rows import item_rows
from order_server.tables import OrderFollowUp


@dataclass(frozen=True, slots=True)
class Need:
    """So many units of one sku, for one paid order."""

    order_no: str
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Unmet:
    """A need of which nothing was done, and why."""

    need: Need
    error: str


class FollowUp(Protocol):
    """One thing that a paid order needs. Implement it, and add it to FOLLOW_UPS in `order_server.compose`."""

    @property
    def name(self) -> str:
        """The name in `order_follow_up`: stored, so never changed. 1 to 64 printable ASCII characters."""
        ...

    @property
    def kind(self) -> ItemKind:
        """The items it is for."""
        ...

    def carry_out(self, tx: Transaction, needs: Sequence[Need]) -> Sequence[Unmet]:
        """Do what `needs` ask, in their order, each one wholly or not at all; answer those that can not be met.

        An order and sku stand in `needs` once. Writes through `tx` only: whatever it raises undoes all it did.
        """
        ...


class FollowUpFailed(Exception):
    """A follow-up raised. The text is fit for the people who work the list."""


class FollowUps:
    """All follow-ups. failure: what a database error means, from the database's dialect."""

    def __init__(self, follow_ups: Sequence[FollowUp], failure: Callable[[Exception], Failure], log: Logger) -> None:
        self._follow_ups = {follow_up.name: follow_up for follow_up in follow_ups}
        self._failure = failure
        self._log = log

    def run(self, tx: Transaction, order_nos: Sequence[str]) -> None:
        """Carry out what the newly paid orders need, first come, first served; list what could not be done."""
        items = item_rows(tx, order_nos)
        if not items:
            return
        for follow_up in self._follow_ups.values():
            unmet = self._carry_out(tx, follow_up, _needs(items, follow_up.kind))
            tx.insert(OrderFollowUp, [self._open(tx, follow_up.name, each) for each in unmet])

    def try_again(self, tx: Transaction, name: str, need: Need) -> str | None:
        """Try one need of the follow-up `name` again: None when it is met now, else why it is not."""
        follow_up = self._follow_ups.get(name)
        if follow_up is None:
            return f"this order server has no follow-up {name}"
        unmet = self._for_one_order(tx, follow_up, [need])
        return unmet[0].error if unmet else None

    def _open(self, tx: Transaction, name: str, unmet: Unmet) -> Mapping[str, Any]:
        need = unmet.need
        self._log.warning("order_follow_up.open", name=name, order_no=need.order_no, sku=need.sku, wanted=need.quantity)
        return {
            "order_no": need.order_no,
            "name": name,
            "sku": need.sku,
            "wanted": need.quantity,
            "done": 0,
            "error": unmet.error,
            "create_time": tx.now,
            "update_time": tx.now,
        }

    def _carry_out(self, tx: Transaction, follow_up: FollowUp, needs: Sequence[Need]) -> Sequence[Unmet]:
        """All orders at once, as one alone would see it: if that fails, each order in a savepoint of its own."""
        by_order: dict[str, list[Need]] = {}
        for need in needs:
            by_order.setdefault(need.order_no, []).append(need)
        if len(by_order) > 1:
            try:
                return self._in_savepoint(tx, follow_up, needs)
            except FollowUpFailed:
                self._log.warning("order_follow_up.split", name=follow_up.name, orders=len(by_order), exc_info=True)
        return [unmet for own in by_order.values() for unmet in self._for_one_order(tx, follow_up, own)]

    def _for_one_order(self, tx: Transaction, follow_up: FollowUp, needs: Sequence[Need]) -> Sequence[Unmet]:
        try:
            return self._in_savepoint(tx, follow_up, needs)
        except FollowUpFailed as error:
            order_no = needs[0].order_no
            self._log.error("order_follow_up.error", name=follow_up.name, order_no=order_no, exc_info=True)
            return [Unmet(need, str(error)) for need in needs]

    def _in_savepoint(self, tx: Transaction, follow_up: FollowUp, needs: Sequence[Need]) -> Sequence[Unmet]:
        try:
            with tx.savepoint():
                return follow_up.carry_out(tx, needs)
        except Exception as error:
            if self._ends_the_transaction(error):
                raise
            raise FollowUpFailed(_described(error)) from error

    def _ends_the_transaction(self, error: Exception) -> bool:
        """Whether the database, and not the follow-up, is at fault. A violated constraint is the follow-up's fault."""
        if isinstance(error, LostRace):
            return True
        if _is_database_error(error, "IntegrityError"):
            return False
        return self._failure(error) is not Failure.BUG


def _is_database_error(error: Exception, name: str) -> bool:
    """Whether it is the exception that PEP 249 calls `name`, of whichever driver."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _described(error: Exception) -> str:
    """Words for the list: never SQL or a driver's own."""
    if isinstance(error, PaylatchError):
        return clean_text(error.message)
    if _is_database_error(error, "DatabaseError"):
        return "the database refused it"
    return clean_text(str(error)) or "it failed without a word"


def _needs(items: Mapping[str, Iterable[Row]], kind: ItemKind) -> Sequence[Need]:
    """What the lines of one kind add up to, by order and sku."""
    quantities: Counter[tuple[str, str]] = Counter()
    for order_no, rows in items.items():
        for row in rows:
            if row.kind is kind:
                quantities[order_no, row.sku] += row.quantity
    return [Need(order_no, sku, quantity) for (order_no, sku), quantity in quantities.items()]
