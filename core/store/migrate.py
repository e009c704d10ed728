"""Bringing a database to the current schema, and refusing to work on any other.

Owns the order and the lock of migrations; the scripts under migrations/ are a frozen history that imports no model. No
name occurs in both histories, so that one database is never taken for the other.

SQLite and PostgreSQL undo a migration that fails or is killed. MySQL and MariaDB commit each statement that defines
something by itself, so a migration must do no harm when it is run again from its beginning: `create_table(safe=…)`, and
`core.store.schema` for the rest, which finds done what was done. Only the first can't on MySQL, which has no CREATE
INDEX IF NOT EXISTS: killed there, it is refused at the first table it finds, and the database is made anew.
"""

from contextlib import closing
from enum import Enum
from pathlib import Path

from playhouse.migrations import Runner

from core.store.database import Database

HISTORY = "schema_migration"
"""The table of the migrations that were applied."""


class Schema(Enum):
    """Which of the two databases."""

    PAYMENT = "payment"
    ORDER = "order"


class WrongSchema(Exception):
    """The database's schema is not the one this version works on; the message says what to do."""


def migrate(database: Database, schema: Schema) -> list[str]:
    """Apply what is missing, and return its names. Safe to run again, and by many at once: one does it, others wait.

    Raises:
        WrongSchema: the database is newer than this version, or is the other one; nothing was changed.
        Unavailable: the database is away, or others held it for too long; nothing was changed.
    """
    with closing(database.patient()) as patient, patient.connected() as pool, patient.dialect.migration_lock(pool):
        runner = _runner(patient, schema)
        _refuse_unknown(runner, schema)
        return list(runner.up())


def require_current(database: Database, schema: Schema) -> None:
    """Refuse to go on unless exactly this version's migrations are there.

    Raises:
        WrongSchema: some are missing, or the database is newer than this version, or is the other one.
        Unavailable: the database is away.
    """
    with database.connected():
        runner = _runner(database, schema)
        _refuse_unknown(runner, schema)
        missing = [migration.name for migration in runner.status() if not migration.applied]
    if missing:
        raise WrongSchema(f"the {schema.value} database lacks {', '.join(missing)}: run `paylatch migrate`")


def _refuse_unknown(runner: Runner, schema: Schema) -> None:
    unknown = [migration.name for migration in runner.status() if migration.path is None]
    if unknown:
        raise WrongSchema(
            f"the {schema.value} database has {', '.join(unknown)}, which this version does not know: "
            f"run a newer one, or mend PAYLATCH_{schema.name}_DATABASE_URL"
        )


def _runner(database: Database, schema: Schema) -> Runner:
    return Runner(database.pool, str(Path(__file__).parent / "migrations" / schema.value), table_name=HISTORY)
