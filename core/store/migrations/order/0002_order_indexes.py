"""An index of payment exceptions that other notifications leave alone, and storage for orders: they change often."""

from typing import Any

from core.store.schema import PartialIndex, create_index, drop_index, set_storage

EXCEPTIONS = PartialIndex(
    "order_payment_notify_exceptions",
    "order_payment_notify",
    ("resolution", "id"),
    of="disposition",
    condition="IN (2, 3, 4)",
)
STORAGE = {
    "fillfactor": 50,
    "autovacuum_vacuum_threshold": 5_000,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_cost_limit": 2_000,
    "autovacuum_analyze_scale_factor": 0.02,
}


def up(migrator: Any, db: Any) -> None:
    """Build the new index before the old one goes: there is never none."""
    create_index(db, EXCEPTIONS)
    drop_index(db, "order_payment_notify", "orderpaymentnotify_disposition_resolution_id")
    set_storage(db, "order", STORAGE)
