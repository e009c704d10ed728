"""The stock of each sku, as a person sets and reads it (SPEC 6). Paid orders take from it in `take_inventory`."""

from dataclasses import dataclass

from core.logs import Logger
from core.rules.errors import NotFound
from core.store.database import Database
from core.store.transaction import Row, Transaction
from order_server.tables import Inventory


@dataclass(frozen=True, slots=True)
class SetStock:
    """Set the units on hand of a sku: who and why."""

    sku: str
    on_hand: int
    operator: str
    reason: str


class Stock:
    """The use cases on the inventory."""

    def __init__(self, database: Database, log: Logger) -> None:
        self._database = database
        self._log = log

    def set(self, act: SetStock) -> Row:
        """Replace the figure of a sku, which is stocked from now on."""
        before, row = self._database.transact(lambda tx: _set(tx, act))
        self._log.info(
            "inventory.set", sku=act.sku, before=before, on_hand=act.on_hand, operator=act.operator, reason=act.reason
        )
        return row

    def get(self, sku: str) -> Row:
        """The row of a sku.

        Raises:
            NotFound: it is not stocked.
        """
        rows = self._database.read(lambda tx: _rows(tx, sku))
        if not rows:
            raise NotFound(f"sku {sku} is not stocked", reason="INVENTORY_NOT_FOUND", metadata={"sku": sku})
        return rows[0]


def _set(tx: Transaction, act: SetStock) -> tuple[int | None, Row]:
    existing = _rows(tx, act.sku, lock=True)
    columns = {"on_hand": act.on_hand, "updated_by": act.operator, "update_time": tx.now, "reason": act.reason}
    if existing:
        tx.change(Inventory.update(columns).where(Inventory.sku == act.sku))
    else:
        tx.insert(Inventory, [{"sku": act.sku, **columns}])
    return existing[0].on_hand if existing else None, _rows(tx, act.sku)[0]


def _rows(tx: Transaction, sku: str, *, lock: bool = False) -> list[Row]:
    return tx.by_keys(Inventory, (Inventory.sku,), [(sku,)], lock=lock)
