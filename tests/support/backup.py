"""A database set back to what it was: what restoring an older backup does, on every engine alike."""

from typing import Any

from core.clock import SystemClock
from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.migrate import HISTORY
from tests.support.databases import opened

_UNCHECKED = {MySql: "SET SESSION foreign_key_checks = 0", PostgreSql: "SET session_replication_role = replica"}
_UNCHECKED_SQLITE = "PRAGMA foreign_keys = OFF"


class Backup:
    """All rows of a database as they were when this was made. Nobody may write in the meantime."""

    def __init__(self, url: str) -> None:
        self._url = url
        with opened(url, SystemClock()) as database, database.connected() as pool:
            tables = [table for table in pool.get_tables() if table != HISTORY and not table.startswith("sqlite_")]
            self._rows = {table: _all_rows(pool, table) for table in tables}

    def restore(self) -> None:
        """Set the database back. Nobody may be connected."""
        with opened(self._url, SystemClock()) as database, database.connected() as pool:
            pool.execute_sql(_UNCHECKED.get(type(database.dialect), _UNCHECKED_SQLITE))
            with pool.atomic():
                for table, (columns, rows) in self._rows.items():
                    _replace(database, pool, table, columns, rows)


def _all_rows(pool: Any, table: str) -> tuple[list[str], list[Any]]:
    cursor = pool.execute_sql(f'SELECT * FROM "{table}"')
    return [column[0] for column in cursor.description], list(cursor.fetchall())


def _replace(database: Database, pool: Any, table: str, columns: list[str], rows: list[Any]) -> None:
    pool.execute_sql(f'DELETE FROM "{table}"')
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join([pool.param] * len(columns))
    for row in rows:
        pool.execute_sql(f'INSERT INTO "{table}" ({names}) VALUES ({values})', row)
    if isinstance(database.dialect, PostgreSql) and "id" in columns:
        last = f'(SELECT COALESCE(MAX(id), 0) + 1 FROM "{table}")'
        pool.execute_sql(f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), {last}, false)")
