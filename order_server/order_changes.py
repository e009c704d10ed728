"""The one way an order's statuses change in the database: compare-and-set, a log row for each change, the follow-ups.

Works inside the caller's transaction and decides nothing: the moves come from the life cycles.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.rules.life_cycles import Move
from core.store.transaction import Transaction
from order_server.follow_ups import FollowUps
from order_server.rules import OrderChange, OrderMoves, StatusName
from order_server.tables import Order, OrderStatusLog


class OrderChanges:
    """Writes changes of orders, and runs the follow-ups of those that became paid."""

    def __init__(self, follow_ups: FollowUps) -> None:
        self._follow_ups = follow_ups

    def write(self, tx: Transaction, changes: Sequence[OrderChange]) -> None:
        """Make `changes` true, all of them, those of one order in their order.

        Raises:
            LostRace: an order was not as its change found it any more.
        """
        for moves, group in _writable_together(changes):
            _compare_and_set(tx, moves, group)
        tx.insert(OrderStatusLog, [row for change in changes for row in _log_rows(tx, change)])
        self._follow_ups.run(tx, [change.order_no for change in changes if change.paid_by])


def is_written(tx: Transaction, order_no: str, change_id: str) -> bool:
    """Whether the change of this id is there already: an earlier run of the same call was committed after all."""
    of_it = (OrderStatusLog.order_no == order_no) & (OrderStatusLog.change_id == change_id)
    return tx.row(OrderStatusLog.select(OrderStatusLog.id).where(of_it)) is not None


def _writable_together(changes: Sequence[OrderChange]) -> Iterable[tuple[OrderMoves, Sequence[OrderChange]]]:
    """Groups of the same moves of different orders; an order's second change comes after every first one."""
    made: Counter[str] = Counter()
    groups: dict[tuple[int, OrderMoves], list[OrderChange]] = {}
    for change in changes:
        groups.setdefault((made[change.order_no], change.moves), []).append(change)
        made[change.order_no] += 1
    in_turn = sorted(groups.items(), key=lambda group: group[0][0])
    return [(moves, group) for (_, moves), group in in_turn]


def _compare_and_set(tx: Transaction, moves: OrderMoves, changes: Sequence[OrderChange]) -> None:
    (field, move), *others = [
        (field, move)
        for field, move in ((Order.payment_status, moves.payment), (Order.order_status, moves.order))
        if move is not None
    ]
    with_it: dict[str, Any] = {other.name: beside.to for other, beside in others}
    guard = {other.name: beside.from_ for other, beside in others}
    rows = [_row(tx, change) | with_it for change in changes]
    tx.compare_and_set(field, move, rows, key=Order.order_no, guard=guard)


def _row(tx: Transaction, change: OrderChange) -> dict[str, Any]:
    row: dict[str, Any] = {"order_no": change.order_no, "update_time": tx.now}
    if change.paid_by:
        row["paid_platform_id"], row["paid_payment_code"] = change.paid_by
    return row


def _log_rows(tx: Transaction, change: OrderChange) -> Iterable[Mapping[str, Any]]:
    if change.moves.order:
        yield _log_row(tx, change, StatusName.ORDER_STATUS, change.moves.order)
    if change.moves.payment:
        yield _log_row(tx, change, StatusName.PAYMENT_STATUS, change.moves.payment)


def _log_row(tx: Transaction, change: OrderChange, name: StatusName, move: Move) -> Mapping[str, Any]:
    return {
        "order_no": change.order_no,
        "status_name": name,
        "from_status": move.from_,
        "to_status": move.to,
        "operator": change.operator,
        "description": change.description,
        "change_id": change.change_id,
        "create_time": tx.now,
    }
