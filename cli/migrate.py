"""`paylatch migrate`: brings both databases to the current schema. Owns what is told of it; core.store migrates."""

from collections.abc import Iterator
from contextlib import closing

from peewee import PeeweeException

from cli.clients import CannotRun
from core.clock import SystemClock
from core.settings import Settings
from core.store.database import Database
from core.store.migrate import Schema, WrongSchema, migrate


class CannotMigrate(CannotRun):
    """A database cannot be opened or changed. The message is one line that names its setting."""


def migrate_both(settings: Settings) -> Iterator[str]:
    """Migrate one database after the other; a line for each. Safe to run twice, and at the same time.

    Raises:
        CannotMigrate: one of them cannot be opened, or is not of this version.
    """
    urls = {Schema.PAYMENT: settings.payment_database_url, Schema.ORDER: settings.order_database_url}
    for schema, url in urls.items():
        applied = _migrate(schema, url)
        yield f"{schema.value} database: " + (f"applied {', '.join(applied)}" if applied else "is up to date")


def _migrate(schema: Schema, url: str) -> list[str]:
    with closing(Database.open(url, SystemClock())) as database:
        try:
            return migrate(database, schema)
        except PeeweeException as error:
            name = f"PAYLATCH_{schema.name}_DATABASE_URL"
            raise CannotMigrate(
                f"cannot open or change the {schema.value} database ({name} is {url}): {error}"
            ) from error
        except WrongSchema as error:
            raise CannotMigrate(str(error)) from error
