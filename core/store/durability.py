"""Whether a database server keeps what it confirmed. Owns the warning; changes no setting.

What a connection can see to itself, its dialect does. What only the server's owner can set is named here, at start.
"""

from core.logs import Logger
from core.store.database import Database


def warn_if_not_durable(database: Database, log: Logger) -> None:
    """Log each setting by which the server may lose a commit when its machine fails. Event: `database.not_durable`.

    Raises:
        Unavailable: it cannot be reached.
    """
    with database.connected() as pool:
        unsafe = database.dialect.unsafe_settings(pool)
    for setting, value in unsafe.items():
        log.warning(
            "database.not_durable",
            setting=setting,
            value=value,
            meaning="a payment that was answered OK can be lost when the database's machine fails",
        )
