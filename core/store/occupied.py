"""Whether a database holds anything. Reads only, and knows no table by name but the history of migrations."""

from core.store.database import Database
from core.store.migrate import HISTORY


def table_with_rows(database: Database) -> str | None:
    """A table of the database that has rows, whoever made it; None if there is none. How far it is migrated counts not.

    Raises:
        Unavailable: the database is away.
    """
    with database.connected() as pool:
        tables = [table for table in pool.get_tables() if table != HISTORY and not table.startswith("sqlite_")]
        return next(
            (table for table in tables if pool.execute_sql(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()), None
        )
