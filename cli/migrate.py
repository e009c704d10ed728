"""`paylatch migrate`: brings both databases to the current schema. Owns what is told of it; core.store migrates."""

from collections.abc import Iterator
from contextlib import closing

from cli.clients import CannotRun
from core.clock import SystemClock
from core.rules.errors import Unavailable
from core.settings import Settings
from core.store.database import Database
from core.store.dialect.engines import shown
from core.store.migrate import Schema, WrongSchema, migrate


class CannotMigrate(CannotRun):
    """A database cannot be opened, or is not what it should be. The message is one line that names its setting."""


def migrate_both(settings: Settings) -> Iterator[str]:
    """Migrate one database after the other; a line for each. Safe to run twice, and at the same time.

    Raises:
        CannotMigrate: one of them cannot be migrated.
    """
    urls = {Schema.PAYMENT: settings.payment_database_url, Schema.ORDER: settings.order_database_url}
    for schema, url in urls.items():
        applied = _migrate(schema, url)
        yield f"{schema.value} database: " + (f"applied {', '.join(applied)}" if applied else "is up to date")


def _migrate(schema: Schema, url: str) -> list[str]:
    with closing(Database.open(url, SystemClock())) as database:
        try:
            return migrate(database, schema)
        except WrongSchema as error:
            raise CannotMigrate(str(error)) from error
        except Unavailable as error:
            why = f"{error} ({error.__cause__})"
            raise CannotMigrate(f"PAYLATCH_{schema.name}_DATABASE_URL is {shown(url)!r}: {why}") from error
