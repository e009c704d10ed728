"""What engines spell differently in a schema, and changes to tables that are there: for models and migrations alike.

Owns partial indexes, storage parameters, and that every change finds done what was done: MySQL and MariaDB commit each
statement that defines something, so a migration that was killed is run again from its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import Field, Index
from playhouse.migrate import SchemaMigrator, migrate
from playhouse.pool import PooledDatabase

OFTEN_VACUUMED: Mapping[str, float] = {
    "autovacuum_vacuum_threshold": 5_000,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_cost_limit": 2_000,
    "autovacuum_analyze_scale_factor": 0.02,
}
"""For `set_storage`: a table whose every row is soon replaced by its next version.

By its defaults PostgreSQL cleans up when a fifth of a table is dead: of ten million rows, two million.
"""

WITH_ROOM: Mapping[str, float] = {"fillfactor": 50, **OFTEN_VACUUMED}
"""The same, and the next version of every row of a page fits on that page, as when a batch changes all of them at once.

It is then written as what differs; and if no indexed column changes, no index is written to.
"""


class NamedIndex(Index):
    """An index of all rows of a table."""

    def __init__(self, name: str, table: str, columns: Sequence[str]) -> None:
        super().__init__(name, table, columns)
        self.name = name
        self.table = table
        self._columns = ", ".join(f'"{column}"' for column in columns)

    def __sql__(self, ctx: Any) -> Any:
        """The statement that creates it."""
        safely = "IF NOT EXISTS " if self._safe else ""  # type: ignore[attr-defined]  # not in peewee's stubs
        return ctx.literal(f'CREATE INDEX {safely}"{self.name}" ON "{self.table}" {self._what(ctx)}')

    def _what(self, ctx: Any) -> str:
        return f"({self._columns})"


class PartialIndex(NamedIndex):
    """An index of the rows whose column `of` fulfils `condition`, such as `= 1`; the others cost it nothing.

    An engine without partial indexes has all rows in it, those of one value of `of` side by side.
    """

    def __init__(self, name: str, table: str, columns: Sequence[str], *, of: str, condition: str) -> None:
        super().__init__(name, table, columns)
        self._of = f'"{of}"'
        self._condition = condition

    def _what(self, ctx: Any) -> str:
        template: str = ctx.state.field_types["PARTIAL_INDEX"]
        return template.format(of=self._of, columns=self._columns, condition=self._condition)


def create_index(database: PooledDatabase, index: NamedIndex) -> None:
    """Create an index, unless it is there."""
    if index.name not in _indexes(database, index.table):
        database.execute(database.get_sql_context().sql(index))


def drop_index(database: PooledDatabase, table: str, name: str) -> None:
    """Drop an index, unless it is gone."""
    if name in _indexes(database, table):
        migrator = SchemaMigrator.from_database(database)
        migrate(migrator.drop_index(table, name))


def add_column(database: PooledDatabase, table: str, column: str, field: Field[Any]) -> None:
    """Add a column at the end of a table, unless it is there. It is NULL in every row."""
    if column not in {existing.name for existing in database.get_columns(table)}:
        migrator = SchemaMigrator.from_database(database)
        migrate(migrator.add_column(table, column, field))


def set_storage(database: PooledDatabase, table: str, parameters: Mapping[str, object]) -> None:
    """How an engine stores a table and cleans up after its rows, where it can be told."""
    template: str = database.get_sql_context().state.field_types["STORAGE"]
    if template and parameters:
        settings = ", ".join(f"{name} = {value}" for name, value in parameters.items())
        database.execute_sql(template.format(table=table, settings=settings))


def _indexes(database: PooledDatabase, table: str) -> set[str]:
    return {index.name for index in database.get_indexes(table)}
