"""Where a demonstration happens: its databases and its logs. Owns which databases it may use, and what is cleaned up.

A database that the settings name is used as it is if it holds no rows; the others are files of the demonstration's own.
Never empties or drops what it did not make.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.clients import CannotRun
from cli.migrate import opened, url_of
from core.settings import Settings, load_settings
from core.store.dialect.engines import shown
from core.store.migrate import Schema
from core.store.occupied import table_with_rows


@dataclass(slots=True)
class Place:
    """One demonstration's. directory: of the logs. database_urls: settings of the databases that are files in it.

    went_well: whether nobody will want to look at them.
    """

    directory: Path
    database_urls: Mapping[str, str]
    went_well: bool = False


@contextmanager
def demo_place(given: Path | None, screen: Console) -> Iterator[Place]:
    """The given directory, or one that is removed unless something went wrong.

    Raises:
        CannotRun: a database holds rows, or cannot be reached.
    """
    named = load_settings().model_fields_set
    directory = given.absolute() if given else Path(tempfile.mkdtemp(prefix="paylatch-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    place = Place(directory, _files(directory, named))
    is_worth_a_look = False
    try:
        _refuse_rows(load_settings(**place.database_urls))
        is_worth_a_look = True
        yield place
        is_worth_a_look = not place.went_well
    except (KeyboardInterrupt, SystemExit):
        is_worth_a_look = False
        raise
    finally:
        if given is None and not is_worth_a_look:
            shutil.rmtree(directory)
        else:
            what = "databases and logs" if place.database_urls else "logs"
            screen.print(f"{what}: {directory}", soft_wrap=True)


def _refuse_rows(settings: Settings) -> None:
    """Go on only with databases that nobody has put anything into: others' rows would be counted, and are not ours."""
    for schema in Schema:
        with opened(schema, settings) as database:
            table = table_with_rows(database)
        if table:
            named = f"PAYLATCH_{schema.name}_DATABASE_URL is {shown(url_of(schema, settings))!r}"
            raise CannotRun(
                f"{named}, which has rows in {table}: the demonstration needs a database without any, "
                "and leaves this one as it is"
            )


def _files(directory: Path, named: Set[str]) -> dict[str, str]:
    """A file for each database that is not named by a setting."""
    settings = {schema: f"{schema.value}_database_url" for schema in Schema}
    return {
        setting: f"sqlite:///{directory / schema.value}.db"
        for schema, setting in settings.items()
        if setting not in named
    }
