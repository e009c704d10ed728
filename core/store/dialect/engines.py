"""From a database URL to its engine. Owns the schemes; each engine reads the rest of its URLs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from core.store.dialect import Dialect
from core.store.dialect.mysql import MySql
from core.store.dialect.postgresql import PostgreSql
from core.store.dialect.sqlite import Sqlite

ENGINES: Mapping[str, Callable[[str], Dialect]] = MappingProxyType(
    {"sqlite": Sqlite.of, "postgresql": PostgreSql.of, "mysql": MySql.of}
)


def dialect_of(url: str) -> Dialect:
    """The engine that a database URL names, and where it is.

    Raises:
        ValueError: it names none that is known here, or lacks something. The text never repeats the URL.
    """
    engine = ENGINES.get(engine_of(url))
    if engine is None:
        raise ValueError("must be sqlite:///path, postgresql://… or mysql://…")
    return engine(url)


def engine_of(url: str) -> str:
    """The name of the engine that a URL asks for: its scheme."""
    return url.partition("://")[0]


def shown(url: str) -> str:
    """As much of a database URL as anybody may read: of a server's only the scheme, the rest may hold a password."""
    scheme, mark, _ = url.partition("://")
    return url if scheme == "sqlite" or not mark else f"{scheme}://…"
