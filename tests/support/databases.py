"""Databases for tests, each empty and a test's own, on every backend.

A backend is one entry of BACKENDS: the fixtures of tests/conftest.py run every test over each of them.
"""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from core.clock import Clock, SystemClock
from core.store.database import Database
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.dialect.sqlite import Sqlite
from core.store.migrate import HISTORY, Schema, migrate
from tests.support.servers import ALL_REQUIRED, MYSQL_URL, MySqlServer, PostgreSqlServer, Server

REFUSED = r"(?i)constraint|value too long|data too long|cannot be null|incorrect integer|invalid input syntax"
"""What the engines say of a row that the schema forbids."""


_SMALL_BYTES = 2 * 1024 * 1024
_IN_PUBLIC = "relnamespace = 'public'::regnamespace"
_POSTGRESQL_SCHEMA = (
    f"SELECT relname, relkind::text, reloptions::text FROM pg_class WHERE {_IN_PUBLIC}",
    "SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length, datetime_precision, "
    "is_nullable, column_default, collation_name FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    f"SELECT relname, conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class r ON conrelid = r.oid "
    f"WHERE {_IN_PUBLIC}",
)


class Backend(Protocol):
    """Gives the URLs of databases to tests, and lives as long as their run."""

    def fresh(self) -> str:
        """The URL of a database without tables."""
        ...

    def ready(self, schema: Schema) -> str:
        """The URL of a migrated database without rows."""
        ...

    def take_back(self, url: str) -> None:
        """A test has ended and closed this one."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class SqliteBackend:
    """Files in a directory. One of each schema is migrated, and copied for every test."""

    def __init__(self, directory: Path) -> None:
        self._paths = (directory / f"{number}.db" for number in itertools.count())
        self._migrated: dict[Schema, Path] = {}

    def fresh(self) -> str:
        """A file that is not there yet."""
        return _url(next(self._paths))

    def ready(self, schema: Schema) -> str:
        """A copy of a migrated file."""
        if schema not in self._migrated:
            self._migrated[schema] = next(self._paths)
            _migrated(_url(self._migrated[schema]), schema)
        return _url(shutil.copyfile(self._migrated[schema], next(self._paths)))

    def take_back(self, url: str) -> None:
        """The directory goes with the run."""

    def close(self) -> None:
        """The same."""


class ServerBackend:
    """Databases of a server. A few are migrated, and emptied for the next test: DDL takes its time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: dict[Schema, list[str]] = {schema: [] for schema in Schema}
        self._migrated: dict[str, Schema] = {}

    def fresh(self) -> str:
        """A new database."""
        return self._server.create()

    def ready(self, schema: Schema) -> str:
        """One that another test had, if there is one."""
        free = self._free[schema]
        url = free.pop() if free else _migrated(self.fresh(), schema)
        self._migrated[url] = schema
        return url

    def take_back(self, url: str) -> None:
        """Empty it if it was migrated here, else drop it."""
        if url not in self._migrated:
            self._server.drop(url)
            return
        _delete_all_rows(url)
        self._free[self._migrated[url]].append(url)

    def close(self) -> None:
        """Drop them all."""
        for url in self._migrated:
            self._server.drop(url)


BACKENDS: dict[str, Callable[[Path, str], Backend]] = {
    "sqlite": lambda directory, _: SqliteBackend(directory),
    "postgresql": lambda _, run: ServerBackend(PostgreSqlServer.of_run(run)),
    "mysql": lambda *_: ServerBackend(MySqlServer()),
}
"""By name. Made with a directory of its own, and with the id of the run that all workers share."""

ASKED_FOR = [name for name in BACKENDS if name != "mysql" or ALL_REQUIRED or MYSQL_URL]
"""Those a run of the tests uses: MariaDB if all are asked for or one was named."""

SERVERS = [name for name in ASKED_FOR if name != "sqlite"]
"""Those of them that are servers: for `@pytest.mark.parametrize("backend", SERVERS, indirect=True)`."""


@contextmanager
def opened(url: str, clock: Clock) -> Iterator[Database]:
    """The database of this URL, closed in the end."""
    database = Database.open(url, clock)
    try:
        yield database
    finally:
        database.close()


def run_sql(database: Database, statement: str) -> list[Any]:
    """What SQL tells of the database, or does to it, past the store."""
    with database.connected() as pool:
        cursor = pool.execute_sql(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def refusing(database: Database, table: str, column: str, value: str) -> Iterator[None]:
    """Inside, the database fails on any row of `table` with this value, with words that nobody outside may read."""
    wrong = f"{column} = '{value}'"
    if isinstance(database.dialect, Sqlite):
        fail = "SELECT RAISE(ABORT, 'secret of the schema')"
        run_sql(database, f"CREATE TRIGGER secret BEFORE INSERT ON {table} WHEN NEW.{wrong} BEGIN {fail}; END")
        end = "DROP TRIGGER secret"
    else:
        run_sql(database, f"ALTER TABLE {table} ADD CONSTRAINT secret CHECK (NOT {wrong})")
        end = f"ALTER TABLE {table} DROP CONSTRAINT secret"
    try:
        yield
    finally:
        run_sql(database, end)


def schema_of(database: Database) -> list[Any]:
    """Everything that is defined in a database, but for the history of migrations: empty if there is nothing."""
    if isinstance(database.dialect, Sqlite):
        # A migration may be run again after a crash, and says so in its statements.
        defined = "REPLACE(sql, ' IF NOT EXISTS', '')"
        query = f"SELECT tbl_name, {defined} FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite_%'"
        return sorted(row for row in run_sql(database, query) if row[0] != HISTORY)
    if isinstance(database.dialect, MySql):
        tables = [table for (table,) in run_sql(database, "SHOW TABLES")]
        return sorted(run_sql(database, f"SHOW CREATE TABLE `{table}`")[0] for table in tables if table != HISTORY)
    return [row for query in _POSTGRESQL_SCHEMA for row in sorted(run_sql(database, query)) if HISTORY not in row[0]]


def analyzed(database: Database) -> None:
    """Statistics as a database in use has them. SQLite collects none by itself."""
    if isinstance(database.dialect, PostgreSql):
        run_sql(database, "ANALYZE")
    elif isinstance(database.dialect, MySql):
        with database.connected() as pool:
            tables = ", ".join(f'"{table}"' for table in pool.get_tables())
        run_sql(database, f"ANALYZE TABLE {tables}")


def with_default_plans(url: str) -> str | None:
    """The same database, planning as if the store's sessions told it nothing; None if they tell it nothing anyway."""
    if not url.startswith("postgresql://"):
        return None
    settings = "".join(f" -c {setting}=on" for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"))
    return f"{url}{'&' if '?' in url else '?'}options={quote(settings)}"


def _migrated(url: str, schema: Schema) -> str:
    with opened(url, SystemClock()) as database:
        migrate(database, schema)
    return url


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _delete_all_rows(url: str) -> None:
    """Ids begin with 1 again."""
    with opened(url, SystemClock()) as database, database.connected() as pool:
        if isinstance(database.dialect, PostgreSql):
            _empty_postgresql(pool)
        else:
            _empty_mysql(pool)


def _empty_postgresql(pool: Any) -> None:
    """A few rows are deleted sooner than tables are made anew."""
    tables = [f'"{table}"' for table in pool.get_tables() if table != HISTORY]
    (size,) = pool.execute_sql(
        f"SELECT sum(pg_table_size(name::regclass)) FROM unnest(ARRAY[{', '.join(map(repr, tables))}]) AS name"
    ).fetchone()
    if size > _SMALL_BYTES:
        pool.execute_sql(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        return
    # In one statement, whichever table refers to which.
    deleted = ", ".join(f"deleted_{number} AS (DELETE FROM {table})" for number, table in enumerate(tables))
    pool.execute_sql(
        f"WITH {deleted} SELECT setval(sequencename::regclass, 1, false) FROM pg_sequences "
        f"WHERE schemaname = 'public' AND last_value IS NOT NULL AND sequencename NOT LIKE '{HISTORY}%%'"
    )


def _empty_mysql(pool: Any) -> None:
    """Those tables that had a row."""
    used = pool.execute_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND table_name <> %s AND (auto_increment IS NULL OR auto_increment > 1)",
        (HISTORY,),
    ).fetchall()
    pool.execute_sql("SET SESSION foreign_key_checks = 0")
    for (table,) in used:
        pool.execute_sql(f'TRUNCATE TABLE "{table}"')
