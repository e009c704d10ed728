"""The context of the report's trace stands in the outbox row: one trace has every attempt, whoever makes it."""

from typing import Any

from core.store.fields import ShortTextField
from core.store.schema import add_column


def up(migrator: Any, db: Any) -> None:
    """Without a value in any row: what was reported before belongs to no trace."""
    add_column(db, "notify_schedule", "trace_context", ShortTextField(max_length=55, null=True))
