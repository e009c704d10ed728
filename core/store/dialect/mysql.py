"""MySQL and MariaDB, by PyMySQL. Batches go as one statement with many rows of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pymysql
from peewee import Field, MySQLDatabase
from playhouse.pool import PooledDatabase, PooledMySQLDatabase
from pymysql.constants import CLIENT

from core.rules.errors import Unavailable
from core.store.dialect import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    LOCK_SECONDS,
    PATIENT_SECONDS,
    SILENCE_SECONDS,
    WAIT_SECONDS,
    Failure,
    driver_error,
    matching,
    name,
    names,
)
from core.store.dialect.mysql_url import parameters_of
from core.store.dialect.pool import ConnectsAside
from core.store.rows import Rows

_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"  # compared byte by byte
_SCHEMA: Mapping[str, str] = {
    "DATETIME": "DATETIME(6)",
    "STRING": f"VARCHAR({{size}}) {_TEXT}",
    "TEXT": f"TEXT {_TEXT}",
    "PARTIAL_INDEX": "({of}, {columns})",
    "STORAGE": "",
}
_SESSION: Mapping[str, str] = {
    # Names in double quotes, and no value is ever bent to fit its column.
    "sql_mode": "'ANSI_QUOTES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION'",
    "time_zone": "'+00:00'",
    "default_storage_engine": "InnoDB",
}
# Said differently by the two: each reads the comment that is meant for it, and no other.
_MARIADB = "/*M!, SESSION tx_isolation = 'READ-COMMITTED' */"
_MYSQL = "/*!80000, SESSION transaction_isolation = 'READ-COMMITTED' */"
# A worker that is stopped in the midst of a transaction gives its locks up.
_MARIADB_BOUND = f"/*M!, SESSION max_statement_time = {{}}, SESSION idle_transaction_timeout = {IDLE_SECONDS} */"

_RACES = frozenset(
    {
        1020,  # the record has changed since it was read
        1062,  # duplicate key
        1205,  # lock wait timeout
        1213,  # deadlock
    }
)
_UNAVAILABLE = frozenset(
    {
        *(1021, 1030, 1037, 1038, 1114),  # disk or table full, storage engine, memory
        *(1040, 1044, 1045, 1049, 1129, 1130, 1142, 1143, 1203, 1226),  # not let in, a right missing, no such database
        *(1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927),  # shutdown, connection aborted
        *(1290, 1792, 1836),  # read only: a replica
        *(1317, 1969, 3024),  # the statement took too long
        *(2002, 2003, 2006, 2013, 2014, 2055),  # no connection
    }
)


class _Server(ConnectsAside, MySQLDatabase):
    """A connection is made aside."""


class _Pool(PooledMySQLDatabase, _Server):  # type: ignore[misc]  # playhouse has no types
    """A connection that its server has dropped is found by BEGIN, not by a question before each transaction."""

    def _is_closed(self, conn: Any) -> bool:
        return not conn.open

    def _can_reuse(self, conn: Any) -> bool:
        return bool(conn.open)

    @property
    def safe_create_index(self) -> bool:  # type: ignore[override]  # a constant of the engine there
        """MariaDB has CREATE INDEX IF NOT EXISTS, MySQL has not."""
        return bool(self.server_version >= (10,))


class MySql:
    """READ COMMITTED for what writes, one snapshot for what only reads. InnoDB only."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters

    @classmethod
    def of(cls, url: str) -> MySql:
        """The database of a URL: see `core.store.dialect.mysql_url`."""
        return cls(parameters_of(url))

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        """A pool of connections to the server."""
        parameters = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": WAIT_SECONDS + SILENCE_SECONDS,
            "write_timeout": WAIT_SECONDS,
            **self._parameters,
        }
        session = {
            **_SESSION,
            "innodb_lock_wait_timeout": parameters.pop("innodb_lock_wait_timeout", LOCK_SECONDS),
            "lock_wait_timeout": PATIENT_SECONDS if patient else LOCK_SECONDS,  # for a table that is being altered
        }
        bound = _MARIADB_BOUND.format(parameters.pop("max_statement_time", WAIT_SECONDS))
        if patient:
            parameters["read_timeout"] = None
        settings = ", ".join(f"SESSION {setting} = {value}" for setting, value in session.items())
        own = [_MARIADB, _MYSQL, *([] if patient else [bound])]
        return _Pool(
            parameters.pop("database"),
            max_connections=pool_size,
            timeout=WAIT_SECONDS,
            autoconnect=False,
            field_types=_SCHEMA,
            collation="utf8mb4_bin",
            # Count the rows that were found, not only those whose values differ from what they were.
            client_flag=CLIENT.FOUND_ROWS,
            init_command=f"SET {settings} {' '.join(own)}",
            **parameters,
        )

    def turn_to_write(self) -> AbstractContextManager[Any]:
        """Everybody's at once."""
        return nullcontext()

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """READ COMMITTED sees what others committed while it waited for their locks, and locks no gaps."""
        if write:
            database.execute_sql("START TRANSACTION")
        else:
            database.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            database.execute_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def now(self, database: PooledDatabase) -> datetime | None:
        """The server's time at this statement, not at BEGIN."""
        (now,) = database.execute_sql("SELECT UTC_TIMESTAMP(6)").fetchone()
        instant: datetime = now.replace(tzinfo=UTC)
        return instant

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """`FOR UPDATE`, and `SKIP LOCKED`."""
        return query.for_update(skip_locked=skip_locked)

    def select(
        self, database: PooledDatabase, table: str, columns: Sequence[Field[Any]], wanted: Rows, *, lock: bool
    ) -> Iterable[Sequence[Any]]:
        """A join entered from the keys, in their order: so are the locks taken."""
        source, parameters = self._own(wanted)
        condition = matching(wanted.own_fields, "t", "own")
        statement = f'SELECT {names(columns, "t.")} FROM {source} STRAIGHT_JOIN "{table}" AS t ON {condition}'
        found: Iterable[Sequence[Any]] = database.execute_sql(statement + (" FOR UPDATE" if lock else ""), parameters)
        return found

    def insert(self, database: PooledDatabase, table: str, rows: Rows) -> None:
        """INSERT … VALUES with a row of marks for each row: the server then knows how many ids it gives out."""
        marks = f"({', '.join(['%s'] * len(rows.fields))})"
        values = [(*own, *rows.common_values) for own in rows.one_by_one()]
        statement = f'INSERT INTO "{table}" ({names(rows.fields)}) VALUES {", ".join([marks] * len(values))}'
        database.execute_sql(statement, [value for row in values for value in row])

    def update(self, database: PooledDatabase, table: str, rows: Rows, guards: Sequence[tuple[Field[Any], Any]]) -> int:
        """UPDATE of a join with the values."""
        source, parameters = self._own(rows)
        key, *own = rows.own_fields
        settings = [f"t.{name(field)} = own.{name(field)}" for field in own]
        settings += [f"t.{name(field)} = %s" for field, _ in rows.common]
        conditions = [f"t.{name(field)} = %s" for field, _ in guards]
        statement = (
            f'UPDATE {source} STRAIGHT_JOIN "{table}" AS t ON {matching([key], "t", "own")} '
            f"SET {', '.join(settings)} WHERE {' AND '.join(conditions)}"
        )
        fixed = [value for _, value in guards]
        return int(database.execute_sql(statement, [*parameters, *rows.common_values, *fixed]).rowcount)

    def unsafe_settings(self, database: PooledDatabase) -> Mapping[str, str]:
        """The log must be synced at each commit, and so must the binary log where one is kept: a crash cuts both."""
        query = (
            "SHOW GLOBAL VARIABLES WHERE variable_name IN ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin')"
        )
        values = dict(database.execute_sql(query))
        wanted = ["innodb_flush_log_at_trx_commit", *(["sync_binlog"] if values["log_bin"] == "ON" else [])]
        return {setting: values[setting] for setting in wanted if values[setting] != "1"}

    @contextmanager
    def migration_lock(self, database: PooledDatabase) -> Iterator[None]:
        """A named lock of the session; names are the server's. DDL commits by itself here: see `core.store.migrate`."""
        lock = "CONCAT('paylatch.', SHA1(DATABASE()))"
        (is_taken,) = database.execute_sql(f"SELECT GET_LOCK({lock}, %s)", [PATIENT_SECONDS]).fetchone()
        if not is_taken:
            raise Unavailable("another migration held the database for too long", reason="DATABASE_BUSY")
        try:
            yield
        finally:
            database.execute_sql(f"SELECT RELEASE_LOCK({lock})")

    def failure(self, error: Exception) -> Failure:
        """Told by the server's error number."""
        original = driver_error(error)
        if isinstance(original, pymysql.InterfaceError):
            return Failure.UNAVAILABLE
        number = original.args[0] if isinstance(original, pymysql.MySQLError) and original.args else None
        if number in _RACES:
            return Failure.RACE
        return Failure.UNAVAILABLE if number in _UNAVAILABLE else Failure.BUG

    def _own(self, rows: Rows) -> tuple[str, list[Any]]:
        """The own values of the rows as a table of a statement, and its parameters."""
        values = rows.one_by_one()
        named = ", ".join(f"%s AS {name(field)}" for field in rows.own_fields)
        others = f" UNION ALL SELECT {', '.join(['%s'] * len(rows.own))}" * (len(values) - 1)
        return f"(SELECT {named}{others}) AS own", [value for row in values for value in row]
