"""One open database transaction. Whoever holds a `Transaction` is inside one; nobody else can touch a table.

Owns the statements every store is written in: plain reads, set-based reads and writes, and the compare-and-set that
makes a life cycle's move true. Never begins or ends the transaction (core/store/database.py does), and never makes a
remote call.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from peewee import Field, Model
from playhouse.pool import PooledDatabase

from core.clock import Clock
from core.rules.life_cycles import Move
from core.store.dialect import Dialect
from core.store.rows import Rows

T = TypeVar("T")

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
        self._failure: Exception | None = None
        self._savepoints = 0

    def end(self) -> None:
        """From here on every statement is refused: it would run outside the transaction."""
        self._open_database = None

    def require_whole(self) -> None:
        """Refuse to go on, or to commit, after a statement that failed: the engine may have undone everything."""
        if self._failure is not None:
            raise self._failure

    @property
    def now(self) -> datetime:
        """The transaction's instant, read when first asked for: one for all that is written in it."""
        if self._now is None:
            self._now = self._clock.shared(lambda: self._run(self._dialect.now))
        return self._now

    def rows(self, query: Any, *, lock: bool = False, skip_locked: bool = False) -> list[Row]:
        """The rows of a peewee SELECT. With `lock`, nobody else changes them until this transaction ends.

        skip_locked: leave out rows that somebody else holds, instead of waiting for them.
        """
        query = self._dialect.locked(query, skip_locked=skip_locked) if lock else query
        columns = query.selected_columns
        if all(isinstance(column, Field) for column in columns):
            return self._run(lambda database: _rows(columns, database.execute(query)))
        return self._run(lambda database: list(query.namedtuples().execute(database)))

    def row(self, query: Any, *, lock: bool = False) -> Row | None:
        """The first row of a peewee SELECT, or None."""
        rows = self.rows(query.limit(1), lock=lock)
        return rows[0] if rows else None

    def count(self, query: Any) -> int:
        """How many rows a peewee SELECT has."""
        return int(self._run(query.count))

    def by_keys(
        self,
        model: type[Model],
        keys: Sequence[Field[Any]],
        wanted: Iterable[Sequence[Any]],
        *,
        columns: Sequence[Field[Any]] = (),
        lock: bool = False,
    ) -> list[Row]:
        """The `columns`, or all, of the rows whose `keys` equal any of the `wanted` ones, in no promised order.

        With `lock`, nobody else changes them until this transaction ends. Locks are taken in the order of the keys, so
        that two transactions never wait for each other in a circle.
        """
        values = sorted({tuple(value) for value in wanted})
        if not values:
            return []
        columns = columns or _fields(model)
        own = [
            (key, [key.db_value(value) for value in column])
            for key, column in zip(keys, zip(*values, strict=True), strict=True)
        ]
        return self._run(
            lambda database: _rows(
                columns, self._dialect.select(database, _table(model), columns, Rows(own), lock=lock)
            )
        )

    def insert(self, model: type[Model], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert all `rows`, which have the same columns. A taken key is a race: the transaction is run again."""
        if rows:
            values = Rows.of([_field(model, name) for name in rows[0]], rows)
            self._run(lambda database: self._dialect.insert(database, _table(model), values))

    def insert_new(self, model: type[Model], rows: Sequence[Mapping[str, Any]], *, key: Sequence[Field[Any]]) -> int:
        """Insert those of `rows` whose `key`, which is unique, is free; how many."""
        by_key = {tuple(row[field.name] for field in key): row for row in rows}
        taken = {tuple(getattr(row, field.name) for field in key) for row in self.by_keys(model, key, by_key)}
        new = [row for values, row in by_key.items() if values not in taken]
        self.insert(model, new)
        return len(new)

    def change(self, query: Any) -> int:
        """Run a peewee UPDATE or DELETE; how many rows it found. Never for a status: see `compare_and_set`."""
        return int(self._run(query.execute))

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
        model = status.model
        others = [_field(model, name) for name in rows[0] if name != key.name]
        changes = Rows.of([key, *others], rows).with_common(status, int(move.to))
        guards = [(status, int(move.from_))]
        guards += [(field, field.db_value(value)) for field, value in _by_field(model, guard or {})]
        if self._run(lambda database: self._dialect.update(database, _table(model), changes, guards)) != len(rows):
            raise LostRace(f"{move.life_cycle}: {move.event}")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done inside is undone alone when it raises; the error goes on."""
        self._savepoints += 1
        savepoint = f"s{self._savepoints}"
        self._statement(f"SAVEPOINT {savepoint}")
        try:
            yield
        except BaseException:
            self._undo_to(savepoint)
            raise
        self._statement(f"RELEASE SAVEPOINT {savepoint}")

    def _undo_to(self, savepoint: str) -> None:
        failure, self._failure = self._failure, None
        try:
            self._statement(f"ROLLBACK TO SAVEPOINT {savepoint}")
            self._statement(f"RELEASE SAVEPOINT {savepoint}")
        except Exception as error:  # noqa: BLE001 - the error that led here goes on, and the transaction does not
            self._failure = failure or error

    def _statement(self, statement: str) -> None:
        self._run(lambda database: database.execute_sql(statement))

    def _run(self, statement: Callable[[PooledDatabase], T]) -> T:
        """Run one statement. After one that failed only a savepoint from before it helps."""
        self.require_whole()
        if self._open_database is None:
            raise TransactionEnded
        try:
            return statement(self._open_database)
        except Exception as error:
            self._failure = error
            raise


def _table(model: type[Model]) -> str:
    return str(model._meta.table_name)


def _fields(model: type[Model]) -> Sequence[Field[Any]]:
    return list(model._meta.sorted_fields)


def _field(model: type[Model], name: str) -> Field[Any]:
    field: Field[Any] = model._meta.fields[name]
    return field


def _by_field(model: type[Model], values: Mapping[str, Any]) -> list[tuple[Field[Any], Any]]:
    return [(_field(model, name), value) for name, value in values.items()]


def _rows(columns: Sequence[Field[Any]], found: Iterable[Sequence[Any]]) -> list[Row]:
    """What a driver found, decoded column by column: most columns are as the driver gives them."""
    row = _row_type(tuple(column.name for column in columns))
    by_column = zip(columns, zip(*found, strict=True), strict=False)  # where no row is, no column is
    return list(map(row._make, zip(*(_decoded(column, values) for column, values in by_column), strict=True)))


def _decoded(column: Field[Any], values: Iterable[Any]) -> Iterable[Any]:
    is_plain = type(column).python_value is Field.python_value
    return values if is_plain else map(column.python_value, values)


@cache
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)
