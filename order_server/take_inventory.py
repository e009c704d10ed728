"""The follow-up that takes the goods of paid orders from the inventory (SPEC 6)."""

from collections import Counter
from collections.abc import Mapping, Sequence

from peewee import Case

from core.rules.codes import ItemKind
from core.store.transaction import Transaction
from order_server.follow_ups import Need, Unmet
from order_server.tables import Inventory


class TakeInventory:
    """Takes what is wanted of a sku, or nothing of it if there is less. A sku without a row is not stocked."""

    name = "take_inventory"
    kind = ItemKind.GOODS

    def carry_out(self, tx: Transaction, needs: Sequence[Need]) -> Sequence[Unmet]:
        """Take the quantities of `needs` from what is on hand, first come, first served."""
        on_hand = _locked(tx, {need.sku for need in needs})
        taken: Counter[str] = Counter()
        short = []
        for need in needs:
            if need.sku not in on_hand:
                continue
            left = on_hand[need.sku] - taken[need.sku]
            if need.quantity <= left:
                taken[need.sku] += need.quantity
            else:
                short.append(Unmet(need, f"short of {need.sku}: {need.quantity} wanted, {left} on hand"))
        _take(tx, taken)
        return short


def _locked(tx: Transaction, skus: set[str]) -> Mapping[str, int]:
    """What is on hand of each stocked sku, held in sorted order so that two transactions never wait in a circle."""
    query = Inventory.select(Inventory.sku, Inventory.on_hand).where(Inventory.sku.in_(sorted(skus)))
    return {row.sku: row.on_hand for row in tx.rows(query.order_by(Inventory.sku), lock=True)}


def _take(tx: Transaction, taken: Mapping[str, int]) -> None:
    if not taken:
        return
    quantity = Case(Inventory.sku, list(taken.items()))
    tx.change(Inventory.update(on_hand=Inventory.on_hand - quantity).where(Inventory.sku.in_(sorted(taken))))
