"""PostgreSQL, by psycopg 3. Batches go as arrays, one for each column: one statement and one round trip a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Self

import psycopg
from peewee import Field, PostgresqlDatabase, Psycopg3Adapter
from playhouse.pool import PooledDatabase, PooledPostgresqlDatabase
from psycopg.conninfo import conninfo_to_dict

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
from core.store.dialect.pool import ConnectsAside
from core.store.rows import Rows

MIGRATION_LOCK = 7_237_161_923
"""The advisory lock of migrations, in whichever database: any number that nobody else takes."""


# Text is compared byte by byte; an instant is stored in UTC whatever the session's time zone.
_SCHEMA: Mapping[str, str] = {
    "DATETIME": "TIMESTAMP(6)",
    "STRING": 'VARCHAR({size}) COLLATE "C"',
    "TEXT": 'TEXT COLLATE "C"',
    "PARTIAL_INDEX": "({columns}) WHERE {of} {condition}",
    "STORAGE": 'ALTER TABLE "{table}" SET ({settings})',
}
_ELEMENT_TYPES: Mapping[str, str] = {
    "BIGAUTO": "bigint",
    "BIGINT": "bigint",
    "BLOB": "bytea",
    "DATETIME": "timestamp",
    "INT": "integer",
    "SMALLINT": "smallint",
    "STRING": "text",
    "TEXT": "text",
}
_CONNECTION: Mapping[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": WAIT_SECONDS * 1000,
    "client_encoding": "UTF8",
}
_SESSION: Mapping[str, str] = {
    # Neither a role's defaults nor a schema of its name shall matter.
    "timezone": "UTC",
    "search_path": "public",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    # Every statement is entered by an index. Without statistics, as on a table that was empty a minute ago, the
    # planner would rather scan.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_FORM = (
    "must be postgresql://user:password@host:port/database?sslmode=verify-full&…, with @ as %40 and / as %2F in the "
    "password"
)
_RACES = frozenset(
    {
        "23505",  # unique_violation
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
    }
)
_UNAVAILABLE = (
    "08",  # connection exception
    "25006",  # read only: a standby
    "25P03",  # idle_in_transaction_session_timeout
    "28",  # not let in
    "42501",  # a right is missing
    "40003",  # statement_completion_unknown
    "53",  # disk full, out of memory, too many connections
    "57",  # shutdown, or a statement timed out
    "58",  # I/O error
    "XX001",  # data corrupted
    "XX002",  # index corrupted
)


_OVER_ARRAYS = "unnest("
"""Says of a statement that the rows it is about are told by their keys."""

# A role, a database or a URL may have it off. What is stronger, or concerns standbys, is the operator's choice.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


# As the URL, the role or the database may have set it; in milliseconds, 0 for none.
_STATEMENT_BOUND = "SELECT setting::integer FROM pg_settings WHERE name = 'statement_timeout'"


class _Cursor(psycopg.Cursor[Any]):
    """Keeps the statements over arrays prepared: they are few, and each has the one plan there is, through its keys.

    What seeks rows by what they are, not by their keys, is planned anew each time: a plan that was made for an empty
    table must not outlive it.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run one statement."""
        return super().execute(query, params, **{"prepare": _OVER_ARRAYS in query, **options})


class _Connection(psycopg.Connection[Any]):
    """Is given up when its server says nothing for long after it should have ended the statement itself."""

    longest_wait: float | None = None

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """What the server answers."""
        try:
            return super().wait(*arguments, **{"timeout": self.longest_wait, **options})
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                self.close()
            raise


class _Adapter(Psycopg3Adapter):
    def connect(self, db: Any, **params: Any) -> _Connection:
        return _Connection.connect(dbname=db.database, cursor_factory=_Cursor, **params)


class _Server(PostgresqlDatabase):
    """No connection answers a COMMIT that is not on disk, and none waits for ever for a server that has gone silent."""

    psycopg3_adapter = _Adapter

    def _connect(self) -> _Connection:
        connection: _Connection = super()._connect()  # type: ignore[misc]  # its stubs leave it out
        connection.execute(_DURABLE)
        (bound,) = connection.execute(_STATEMENT_BOUND).fetchone() or (0,)
        connection.longest_wait = bound / 1000 + SILENCE_SECONDS if bound else None
        return connection


class _Pool(PooledPostgresqlDatabase, ConnectsAside, _Server):  # type: ignore[misc]  # playhouse has no types
    """A connection that its server has dropped is found by BEGIN, not by a question before each transaction."""

    def _is_closed(self, conn: psycopg.Connection[Any]) -> bool:
        return bool(conn.closed)


class PostgreSql:
    """READ COMMITTED for what writes, one snapshot for what only reads. Session settings yield to those of the URL."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters

    @classmethod
    def of(cls, url: str) -> PostgreSql:
        """The database of a libpq URL, with every parameter that libpq knows, those of TLS among them."""
        try:
            parameters = conninfo_to_dict(url)
        except (psycopg.ProgrammingError, UnicodeDecodeError):
            parameters = {}
        if not parameters.get("dbname") or _tears_password(url, parameters):
            # Nothing of libpq's own words: they may quote the password.
            raise ValueError(_FORM)
        return cls(parameters)

    def connect(self, pool_size: int, *, patient: bool = False) -> PooledDatabase:
        """A pool of connections to the server."""
        parameters = {**_CONNECTION, **self._parameters}
        bounds = {
            "statement_timeout": "0" if patient else f"{WAIT_SECONDS}s",
            "lock_timeout": f"{PATIENT_SECONDS if patient else LOCK_SECONDS}s",
        }
        options = [f"-c {setting}={value}" for setting, value in {**_SESSION, **bounds}.items()]
        parameters["options"] = " ".join([*options, parameters.get("options") or ""])
        return _Pool(
            parameters.pop("dbname"),
            max_connections=pool_size,
            timeout=WAIT_SECONDS,
            autoconnect=False,
            field_types=_SCHEMA,
            prefer_psycopg3=True,
            **parameters,
        )

    def turn_to_write(self) -> AbstractContextManager[Any]:
        """Everybody's at once."""
        return nullcontext()

    def begin(self, database: PooledDatabase, *, write: bool) -> None:
        """READ COMMITTED sees what others committed while it waited for their locks."""
        kind = "READ COMMITTED READ WRITE" if write else "REPEATABLE READ READ ONLY"
        database.execute_sql(f"BEGIN ISOLATION LEVEL {kind}")

    def now(self, database: PooledDatabase) -> datetime | None:
        """The server's time at this statement, not at BEGIN."""
        (now,) = database.execute_sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()
        instant: datetime = now.replace(tzinfo=UTC)
        return instant

    def locked(self, query: Any, *, skip_locked: bool) -> Any:
        """`FOR UPDATE`, and `SKIP LOCKED`."""
        return query.for_update(skip_locked=skip_locked)

    def select(
        self, database: PooledDatabase, table: str, columns: Sequence[Field[Any]], wanted: Rows, *, lock: bool
    ) -> Iterable[Sequence[Any]]:
        """A join with the keys. The order by is done before the locks are taken."""
        keys = wanted.own_fields
        source, parameters = self._own(wanted)
        locking = f" ORDER BY {names(keys, 't.')} FOR UPDATE OF t" if lock else ""
        statement = f'SELECT {names(columns, "t.")} FROM {source} JOIN "{table}" AS t ON {matching(keys, "t", "own")}'
        found: Iterable[Sequence[Any]] = database.execute_sql(statement + locking, parameters)
        return found

    def insert(self, database: PooledDatabase, table: str, rows: Rows) -> None:
        """INSERT … SELECT from the arrays."""
        source, parameters = self._own(rows)
        common = [f"%s::{self._element_type(field)}" for field, _ in rows.common]
        values = ", ".join([names(rows.own_fields, "own."), *common])
        statement = f'INSERT INTO "{table}" ({names(rows.fields)}) SELECT {values} FROM {source}'
        database.execute_sql(statement, [*rows.common_values, *parameters])

    def update(self, database: PooledDatabase, table: str, rows: Rows, guards: Sequence[tuple[Field[Any], Any]]) -> int:
        """UPDATE … FROM the arrays."""
        source, parameters = self._own(rows)
        key, *own = rows.own_fields
        settings = [f"{name(field)} = own.{name(field)}" for field in own]
        settings += [f"{name(field)} = %s" for field, _ in rows.common]
        conditions = [matching([key], "t", "own"), *(f"t.{name(field)} = %s" for field, _ in guards)]
        statement = f'UPDATE "{table}" AS t SET {", ".join(settings)} FROM {source} WHERE {" AND ".join(conditions)}'
        fixed = [value for _, value in guards]
        return int(database.execute_sql(statement, [*rows.common_values, *parameters, *fixed]).rowcount)

    def unsafe_settings(self, database: PooledDatabase) -> Mapping[str, str]:
        """Pages may be lost or torn without these two. synchronous_commit is seen to at every connection."""
        query = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"
        return dict(database.execute_sql(query))

    @contextmanager
    def migration_lock(self, database: PooledDatabase) -> Iterator[None]:
        """An advisory lock, in one transaction around all migrations: DDL is undone like anything else."""
        with database.atomic():
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
            yield

    def failure(self, error: Exception) -> Failure:
        """Told by the SQLSTATE. Without one, it is the connection that failed."""
        original = driver_error(error)
        if not isinstance(original, psycopg.Error):
            return Failure.BUG
        state = original.sqlstate
        if state is None:
            broken = isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)
            return Failure.UNAVAILABLE if broken else Failure.BUG
        if state in _RACES:
            return Failure.RACE
        return Failure.UNAVAILABLE if state.startswith(_UNAVAILABLE) else Failure.BUG

    def _own(self, rows: Rows) -> tuple[str, list[Any]]:
        """The own values of the rows as a table of a statement, and its parameters."""
        arrays = ", ".join(f"%s::{self._element_type(field)}[]" for field in rows.own_fields)
        return f"{_OVER_ARRAYS}{arrays}) AS own({names(rows.own_fields)})", [_array(values) for _, values in rows.own]

    def _element_type(self, field: Field[Any]) -> str:
        return _ELEMENT_TYPES[field.field_type]


def _tears_password(url: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a part of the password passes for a host, port or database, which every error of a connection names."""
    _, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    ports = str(parameters.get("port") or "").split(",")
    return "@" in f"{parameters.get('host')}{path}" or any(port and not port.isdigit() for port in ports)


def _array(values: Sequence[Any]) -> str:
    """An array as PostgreSQL reads it. psycopg would write it value by value, which took a fifth of a batch's time."""
    return "{" + (_plain_texts(values) or ",".join(map(_element, values))) + "}"


def _plain_texts(values: Sequence[Any]) -> str | None:
    """All at once, if they are texts in which nothing has to be escaped; most keys and codes are."""
    try:
        all_of_them = "".join(values)
    except TypeError:
        return None
    return None if '"' in all_of_them or "\\" in all_of_them else '"' + '","'.join(values) + '"'


def _element(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
    if isinstance(value, bytes | bytearray):
        return rf'"\\x{value.hex()}"'
    return "NULL" if value is None else str(value)
