"""Databases for tests, each migrated, empty and a test's own.

A backend is one entry of BACKENDS: the fixtures of tests/conftest.py run every test over each of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.clock import Clock
from core.store.database import Database
from core.store.migrate import Schema, migrate


def sqlite_url(directory: Path, schema: Schema) -> str:
    """A file of its own in the test's directory."""
    return f"sqlite:///{directory / schema.value}.db"


BACKENDS: dict[str, Callable[[Path, Schema], str]] = {"sqlite": sqlite_url}
"""By name: how to get the URL of a fresh database."""


@contextmanager
def opened(url: str, clock: Clock) -> Iterator[Database]:
    """The database of this URL, closed in the end."""
    database = Database.open(url, clock)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def migrated(url: str, clock: Clock, schema: Schema) -> Iterator[Database]:
    """The database of this URL at the current schema, closed in the end."""
    with opened(url, clock) as database:
        migrate(database, schema)
        yield database
