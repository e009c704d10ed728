"""The stock of each sku, as a person sets and reads it (SPEC 6). Paid orders take from it in `take_inventory`."""

from dataclasses import dataclass
from datetime import datetime

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
        change = _Change(act)
        row = self._database.transact(change.write)
        self._log.info(
            "inventory.set",
            sku=act.sku,
            before=change.before,
            on_hand=act.on_hand,
            operator=act.operator,
            reason=act.reason,
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


class _Change:
    """The change of one call, written once: a COMMIT that raised may be durable, and orders may have taken since.

    before: the figure it replaced; None if the sku was not stocked.
    """

    def __init__(self, act: SetStock) -> None:
        self.before: int | None = None
        self._act = act
        self._times: list[datetime] = []

    def write(self, tx: Transaction) -> Row:
        """Write it, unless an earlier run of the same call has; the row as it is then."""
        existing = _rows(tx, self._act.sku, lock=True)
        if not (tx.is_rerun and existing and self._is_own(existing[0])):
            self.before = existing[0].on_hand if existing else None
            self._times.append(tx.now)
            self._replace(tx, is_stocked=bool(existing))
        return _rows(tx, self._act.sku)[0]

    def _is_own(self, row: Row) -> bool:
        """Whether the last figure is this call's. What orders take leaves who set it, when and why as it is."""
        is_alike = (row.updated_by, row.reason) == (self._act.operator, self._act.reason)
        return is_alike and row.update_time in self._times

    def _replace(self, tx: Transaction, *, is_stocked: bool) -> None:
        act = self._act
        columns = {"on_hand": act.on_hand, "updated_by": act.operator, "update_time": tx.now, "reason": act.reason}
        if is_stocked:
            tx.change(Inventory.update(columns).where(Inventory.sku == act.sku))
        else:
            tx.insert(Inventory, [{"sku": act.sku, **columns}])


def _rows(tx: Transaction, sku: str, *, lock: bool = False) -> list[Row]:
    return tx.by_keys(Inventory, (Inventory.sku,), [(sku,)], lock=lock)
