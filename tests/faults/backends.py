"""Where a world's databases come from: files, a PostgreSQL of our own that may be crashed, the MariaDB there is."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg

from tests.support.servers import MySqlServer, OwnPostgreSql


class Databases(Protocol):
    """Where a world's two databases come from."""

    name: str

    def create(self, directory: Path, which: str) -> str:
        """The URL of a new one."""
        ...

    def close(self) -> None:
        """Leave nothing running."""
        ...


class SqliteFiles:
    """Two files."""

    name = "sqlite"

    def create(self, directory: Path, which: str) -> str:
        """A file of the directory."""
        return f"sqlite:///{directory / which}.db"

    def create_on(self, disk: Path) -> str:
        """A file there."""
        return self.create(disk, "payment")

    def backup(self, url: str) -> str:
        """A second file beside it."""
        copy = url.removesuffix(".db") + "-backup.db"
        _copy_file(url, copy)
        return copy

    def restore(self, copy: str, url: str) -> None:
        """All pages of the copy."""
        _copy_file(copy, url)

    def close(self) -> None:
        """The directory goes with the run."""


class PostgreSqlServers:
    """Databases of a PostgreSQL of our own, which may be crashed."""

    name = "postgresql"

    def __init__(self) -> None:
        self.server = OwnPostgreSql()
        self._url = self.server.databases.create()

    def create(self, directory: Path, which: str) -> str:
        """One more."""
        return self.server.databases.create()

    def create_on(self, disk: Path) -> str:
        """One whose tables are in a tablespace there."""
        owner = self.server.data_directory.stat()
        place = disk / "tablespace"
        place.mkdir()
        os.chown(place, owner.st_uid, owner.st_gid)
        self.run(f"CREATE TABLESPACE small LOCATION '{place}'")
        self.run("CREATE DATABASE paylatch_small TEMPLATE template0 TABLESPACE small")
        return urlsplit(self._url)._replace(path="/paylatch_small").geturl()

    def backup(self, url: str) -> str:
        """A second database of the server."""
        copy = f"{url}_backup"
        self._create(copy, url)
        return copy

    def restore(self, copy: str, url: str) -> None:
        """Made anew from the copy."""
        self.server.databases.drop(url)
        self._create(url, copy)

    def run(self, statement: str) -> None:
        """Run SQL on the server."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _create(self, url: str, template: str) -> None:
        name, like = (urlsplit(each).path.removeprefix("/") for each in (url, template))
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{like}'")
        self.run(f"CREATE DATABASE {name} TEMPLATE {like}")

    def close(self) -> None:
        """End the server."""
        self.server.remove()


class MySqlServers:
    """Databases of the MariaDB that is there."""

    name = "mysql"

    def __init__(self) -> None:
        self._server = MySqlServer()
        self._made: list[str] = []

    def create(self, directory: Path, which: str) -> str:
        """One more."""
        self._made.append(self._server.create())
        return self._made[-1]

    def close(self) -> None:
        """Drop them."""
        for url in self._made:
            self._server.drop(url)


def _copy_file(source: str, target: str) -> None:
    one, other = (url.removeprefix("sqlite:///") for url in (source, target))
    with closing(sqlite3.connect(one)) as reading, closing(sqlite3.connect(other)) as writing:
        reading.backup(writing)
