"""`paylatch migrate`: brings both databases to the current schema. Owns what is told of it; core.store migrates.

Owns also how a command opens a database that the settings name.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from cli.clients import CannotRun
from core.clock import SystemClock
from core.rules.errors import Unavailable
from core.settings import Settings
from core.store.database import Database
from core.store.dialect.engines import shown
from core.store.migrate import Schema, WrongSchema, migrate


def migrate_both(settings: Settings) -> Iterator[str]:
    """Migrate one database after the other; a line for each. Safe to run twice, and at the same time.

    Raises:
        CannotRun: one of them cannot be opened, or is not what it should be.
    """
    for schema in Schema:
        with opened(schema, settings) as database:
            applied = _migrate(database, schema)
        yield f"{schema.value} database: " + (f"applied {', '.join(applied)}" if applied else "is up to date")


def url_of(schema: Schema, settings: Settings) -> str:
    """Where this database is."""
    return settings.payment_database_url if schema is Schema.PAYMENT else settings.order_database_url


@contextmanager
def opened(schema: Schema, settings: Settings) -> Iterator[Database]:
    """The database of the settings, closed in the end.

    Raises:
        CannotRun: it cannot be reached, or others held it for too long. The line names its setting.
    """
    url = url_of(schema, settings)
    with closing(Database.open(url, SystemClock())) as database:
        try:
            yield database
        except Unavailable as error:
            why = f"{error} ({error.__cause__})"
            raise CannotRun(f"PAYLATCH_{schema.name}_DATABASE_URL is {shown(url)!r}: {why}") from error


def _migrate(database: Database, schema: Schema) -> list[str]:
    try:
        return migrate(database, schema)
    except WrongSchema as error:
        raise CannotRun(str(error)) from error
