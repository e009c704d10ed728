"""Indexes that finished rows leave, storage for rows that change often, and a note of what a purged schedule said.

No list or pass is left without an index it enters by; no index holds what nobody looks for in it.
"""

from typing import Any

from core.store.fields import ShortTextField
from core.store.schema import NamedIndex, PartialIndex, add_column, create_index, drop_index, set_storage

REPLACED = {
    "payment": ("payment_status_settle_time", "payment_create_time", "payment_conflict_time"),
    "notify_schedule": (
        "notifyschedule_notify_status_notify_url_next_notify_time_id",
        "notifyschedule_notify_status_give_up_time",
    ),
}
INDEXES = (
    NamedIndex("payment_settled", "payment", ("settle_time", "id")),
    NamedIndex("payment_created", "payment", ("create_time", "id")),
    PartialIndex("payment_waiting", "payment", ("id",), of="status", condition="= 0"),
    PartialIndex("payment_conflicted", "payment", ("id",), of="conflict_time", condition="IS NOT NULL"),
    PartialIndex(
        "notify_schedule_due",
        "notify_schedule",
        ("notify_url", "next_notify_time", "id"),
        of="notify_status",
        condition="= 1",
    ),
    PartialIndex("notify_schedule_expiring", "notify_schedule", ("give_up_time",), of="notify_status", condition="= 1"),
    PartialIndex("notify_schedule_failed", "notify_schedule", ("id",), of="notify_status", condition="= 2"),
)
OFTEN_VACUUMED = {
    "autovacuum_vacuum_threshold": 5_000,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_cost_limit": 2_000,
    "autovacuum_analyze_scale_factor": 0.02,
}
WITH_ROOM = {"fillfactor": 50, **OFTEN_VACUUMED}
STORAGE = {
    "payment": OFTEN_VACUUMED,
    "payment_result": WITH_ROOM,
    "notify_schedule": WITH_ROOM,
    "notify_attempt": OFTEN_VACUUMED,
}


def up(migrator: Any, db: Any) -> None:
    """Build the new indexes before the old ones go: there is never none."""
    for index in INDEXES:
        create_index(db, index)
    for table, names in REPLACED.items():
        for name in names:
            drop_index(db, table, name)
    for table, parameters in STORAGE.items():
        set_storage(db, table, parameters)
    add_column(db, "payment_result", "handled_note", ShortTextField(max_length=640, null=True))
