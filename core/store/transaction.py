"""One open database transaction. Whoever holds a `Transaction` is inside one; nobody else can touch a table.

Owns the statements every store is written in: plain reads, set-based reads and writes, and the compare-and-set that
makes a life cycle's move true. Never begins or ends the transaction (core/store/database.py does), and never makes a
remote call.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from peewee import Field, Model
from playhouse.pool import PooledDatabase

from core.clock import Clock
from core.rules.life_cycles import Move
from core.store.dialect import Dialect

Row = Any
"""A named tuple with one attribute per selected column."""


class LostRace(Exception):
    """A compare-and-set changed fewer rows than it was given: another transaction was faster."""


class TransactionEnded(Exception):
    """A statement was asked for after its transaction had ended."""


class Transaction:
    """See the module. Made by `Database.transact` and `Database.read` only.

    is_rerun: an earlier run of the same work may have been committed after all.
    """

    def __init__(self, database: PooledDatabase, dialect: Dialect, clock: Clock, *, is_rerun: bool = False) -> None:
        self.is_rerun = is_rerun
        self._open_database: PooledDatabase | None = database
        self._dialect = dialect
        self._clock = clock
        self._now: datetime | None = None

    @property
    def _database(self) -> PooledDatabase:
        if self._open_database is None:
            raise TransactionEnded
        return self._open_database

    def end(self) -> None:
        """From here on every statement is refused: it would run outside the transaction."""
        self._open_database = None

    @property
    def now(self) -> datetime:
        """The transaction's instant, read from the clock when first asked for."""
        if self._now is None:
            self._now = self._clock.now()
        return self._now

    def rows(self, query: Any, *, lock: bool = False, skip_locked: bool = False) -> list[Row]:
        """The rows of a peewee SELECT. With `lock`, nobody else changes them until this transaction ends.

        skip_locked: leave out rows that somebody else holds, instead of waiting for them.
        """
        query = self._dialect.locked(query, skip_locked=skip_locked) if lock else query
        return list(query.namedtuples().execute(self._database))

    def row(self, query: Any, *, lock: bool = False) -> Row | None:
        """The first row of a peewee SELECT, or None."""
        rows = self.rows(query.limit(1), lock=lock)
        return rows[0] if rows else None

    def count(self, query: Any) -> int:
        """How many rows a peewee SELECT has."""
        return int(query.count(self._database))

    def by_keys(
        self, model: type[Model], keys: Sequence[Field[Any]], wanted: Sequence[Sequence[Any]], *, lock: bool = False
    ) -> list[Row]:
        """All columns of the rows whose `keys` equal any of the `wanted` ones, in no promised order.

        With `lock`, nobody else changes them until this transaction ends.
        """
        distinct = list(dict.fromkeys(tuple(values) for values in wanted))
        if not distinct:
            return []
        fields = _fields(model)
        names = [field.column_name for field in fields]
        statement = self._dialect.select_by_keys(
            _table(model), names, [key.column_name for key in keys], len(distinct), lock=lock
        )
        parameters = [key.db_value(value) for values in distinct for key, value in zip(keys, values, strict=True)]
        found = self._database.execute_sql(statement, parameters).fetchall()
        row, decode = _row_type(model), [_decoder(field) for field in fields]
        return [row(*(read(value) for read, value in zip(decode, values, strict=True))) for values in found]

    def insert(self, model: type[Model], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert all `rows`, which have the same columns. A taken key is a race: the transaction is run again."""
        self._insert(model, rows, "")

    def insert_new(self, model: type[Model], rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert those of `rows` whose unique keys are free; how many."""
        return self._insert(model, rows, " ON CONFLICT DO NOTHING")

    def _insert(self, model: type[Model], rows: Sequence[Mapping[str, Any]], suffix: str) -> int:
        if not rows:
            return 0
        fields = [_field(model, name) for name in rows[0]]
        columns = ", ".join(f'"{field.column_name}"' for field in fields)
        marks = ", ".join("?" * len(fields))
        statement = f'INSERT INTO "{_table(model)}" ({columns}) VALUES ({marks}){suffix}'
        parameters = [[field.db_value(row[field.name]) for field in fields] for row in rows]
        return self._dialect.change_many(self._database, statement, parameters)

    def change(self, query: Any) -> int:
        """Run a peewee UPDATE or DELETE; how many rows it changed. Never for a status: see `compare_and_set`."""
        return int(query.execute(self._database))

    def compare_and_set(
        self,
        status: Field[Any],
        move: Move,
        rows: Sequence[Mapping[str, Any]],
        *,
        key: Field[Any],
        guard: Mapping[str, Any] | None = None,
    ) -> None:
        """Make `move` true for every row, and set the row's other columns with it (SPEC 3).

        rows: each has the `key` and the same further columns to set. guard: columns that must also have these values.

        Raises:
            LostRace: a row was not in `move.from_` (or not as guarded) any more; nothing of this transaction will stay.
        """
        if not rows:
            return
        model, guards = status.model, dict(guard or {})
        fields = [_field(model, name) for name in rows[0] if name != key.name]
        conditions = [key, status, *(_field(model, name) for name in guards)]
        settings = ", ".join(f'"{field.column_name}" = ?' for field in (status, *fields))
        matches = " AND ".join(f'"{field.column_name}" = ?' for field in conditions)
        statement = f'UPDATE "{_table(model)}" SET {settings} WHERE {matches}'
        fixed = [int(move.from_), *(_field(model, name).db_value(value) for name, value in guards.items())]
        parameters = [
            [int(move.to), *(field.db_value(row[field.name]) for field in fields), key.db_value(row[key.name]), *fixed]
            for row in rows
        ]
        if self._dialect.change_many(self._database, statement, parameters) != len(rows):
            raise LostRace(f"{move.life_cycle}: {move.event}")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done inside is undone alone when it raises; the error goes on."""
        with self._database.savepoint():
            yield


def _table(model: type[Model]) -> str:
    return str(model._meta.table_name)


def _fields(model: type[Model]) -> Sequence[Field[Any]]:
    return list(model._meta.sorted_fields)


def _field(model: type[Model], name: str) -> Field[Any]:
    field: Field[Any] = model._meta.fields[name]
    return field


def _decoder(field: Field[Any]) -> Callable[[Any], Any]:
    decoder: Callable[[Any], Any] = field.python_value
    return decoder


@cache
def _row_type(model: type[Model]) -> Any:
    return namedtuple(f"{model.__name__}Row", [field.name for field in _fields(model)])
