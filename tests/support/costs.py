"""What statements cost a database, as its engine counts it: rows read and rows sorted, not what a plan promises.

PostgreSQL: EXPLAIN ANALYZE of each statement, undone and then run. MariaDB, MySQL: the session's counters around it.
SQLite has no such counts: its virtual machine's steps, and its plan's sorts.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.sqlite import Sqlite
from core.store.transaction import Transaction

STEPS_OF_A_ROW = 10
"""SQLite's steps for a row that is read or written, roughly; one that a scan looks at and leaves takes half as many."""

_COUNTERS = "SHOW SESSION STATUS WHERE Variable_name REGEXP '^(Handler_read_.*|Sort_rows)$'"


@dataclass
class Costs:
    """Of some work. read: rows. sorted: rows. scanned: tables that were read from end to end, whatever their size."""

    read: int = 0
    sorted: int = 0
    scanned: set[str] = field(default_factory=set)
    statements: list[str] = field(default_factory=list)


class _Undo(Exception):
    pass


def costs_of(database: Database, work: Callable[[Transaction], object]) -> Costs:
    """What `work` costs in one writing transaction, which is undone."""
    meter = {Sqlite: _of_sqlite, MySql: _of_mysql}.get(type(database.dialect), _of_postgresql)
    costs = Costs()

    def measured(tx: Transaction) -> None:
        tx.now  # noqa: B018 - the clock's own statement is not the work's
        with meter(database.pool, costs):
            work(tx)
        raise _Undo

    with pytest.raises(_Undo):
        database.transact(measured)
    return costs


@contextmanager
def _around_each(pool: Any, run: Callable[[Callable[..., Any], str, Any], Any]) -> Iterator[None]:
    execute = pool.execute_sql
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "execute_sql", lambda sql, params=None: run(execute, sql, params))
        yield


@contextmanager
def _of_postgresql(pool: Any, costs: Costs) -> Iterator[None]:
    def run(execute: Callable[..., Any], sql: str, params: Any) -> Any:
        if sql.startswith(("SELECT", "UPDATE", "DELETE")):
            execute("SAVEPOINT before")
            ((plan,),) = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params).fetchall()
            execute("ROLLBACK TO SAVEPOINT before")
            _add_node((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], costs)
            costs.statements.append(sql)
        return execute(sql, params)

    with _around_each(pool, run):
        yield


def _add_node(node: Any, costs: Costs) -> None:
    rows = node["Actual Rows"] * node["Actual Loops"]
    removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        costs.read += round(rows + removed * node["Actual Loops"])
    if node["Node Type"] == "Seq Scan":
        costs.scanned.add(node["Relation Name"])
    if node["Node Type"] in {"Sort", "Incremental Sort"} and not _is_of_keys(node):
        costs.sorted += round(rows)
    for child in node.get("Plans", ()):
        _add_node(child, costs)


def _is_of_keys(node: Any) -> bool:
    """Whether only the keys that came with the statement are sorted, before any row is looked for or held."""
    return any(child["Node Type"] == "Function Scan" for child in _below(node))


def _below(node: Any) -> Iterator[Any]:
    for child in node.get("Plans", ()):
        yield child
        yield from _below(child)


@contextmanager
def _of_mysql(pool: Any, costs: Costs) -> Iterator[None]:
    def counters(execute: Callable[..., Any]) -> dict[str, int]:
        return {name: int(value) for name, value in execute(_COUNTERS).fetchall()}

    def run(execute: Callable[..., Any], sql: str, params: Any) -> Any:
        asked = counters(execute)
        before = counters(execute)
        cursor = execute(sql, params)
        after = counters(execute)
        # Asking reads a few rows of the server's own, each time as many.
        delta = {name: after[name] - before[name] - (before[name] - asked[name]) for name in after}
        costs.sorted += delta.pop("Sort_rows")
        costs.read += sum(delta.values())
        costs.statements.append(sql)
        return cursor

    with _around_each(pool, run):
        yield


@contextmanager
def _of_sqlite(pool: Any, costs: Costs) -> Iterator[None]:
    def run(execute: Callable[..., Any], sql: str, params: Any) -> Any:
        if sql.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            plan = [row[-1] for row in execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()]
            costs.sorted += sum("TEMP B-TREE" in step for step in plan)
            costs.statements.append(sql)
        return execute(sql, params)

    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = pool.connection()
    connection.set_progress_handler(count, 1)
    try:
        with _around_each(pool, run):
            yield
    finally:
        connection.set_progress_handler(None, 1)
        costs.read += steps // STEPS_OF_A_ROW
