import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from peewee import OperationalError
from playhouse.migrations import Runner

from core.rules.errors import Unavailable
from core.store import dialect
from core.store import migrate as migrations
from core.store.database import Database
from core.store.migrate import Schema, WrongSchema, migrate, require_current
from order_server import tables as order_tables
from payment_server import tables as payment_tables
from tests.support.clock import TestClock
from tests.support.databases import BACKENDS, opened

MODELS: dict[Schema, Sequence[Any]] = {Schema.PAYMENT: payment_tables.TABLES, Schema.ORDER: order_tables.TABLES}
OTHER = {Schema.PAYMENT: Schema.ORDER, Schema.ORDER: Schema.PAYMENT}

SQLITE_HISTORY = "schema_migration"


@pytest.fixture(params=Schema, ids=lambda schema: schema.value)
def schema(request: pytest.FixtureRequest) -> Schema:
    found: Schema = request.param
    return found


@pytest.fixture
def url(backend: str, tmp_path: Path, schema: Schema) -> str:
    return BACKENDS[backend](tmp_path, schema)


def _names(schema: Schema) -> list[str]:
    return [
        file.stem for file in sorted((Path(migrations.__file__).parent / "migrations" / schema.value).glob("0*.py"))
    ]


def _run(database: Database, statement: str) -> list[Any]:
    with database.pool.connection_context():
        return list(database.pool.execute_sql(statement))


def _sqlite_schema(database: Database) -> dict[str, str]:
    return {
        name: sql.replace(" IF NOT EXISTS", "")
        for name, table, sql in _run(database, "SELECT name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        if table not in {SQLITE_HISTORY, "sqlite_sequence"}
    }


def test_a_migrated_database_has_exactly_what_the_models_say(
    url: str, schema: Schema, tmp_path: Path, clock: TestClock
) -> None:
    with opened(url, clock) as migrated, opened(f"sqlite:///{tmp_path / 'models.db'}", clock) as created:
        migrate(migrated, schema)
        with created.pool.connection_context(), created.pool.bind_ctx(MODELS[schema]):
            created.pool.create_tables(MODELS[schema])

        assert _sqlite_schema(migrated) == _sqlite_schema(created)


def test_migrating_says_what_it_did_and_the_second_time_does_nothing(
    url: str, schema: Schema, clock: TestClock
) -> None:
    with opened(url, clock) as database:
        assert migrate(database, schema) == _names(schema)
        assert migrate(database, schema) == []
        require_current(database, schema)


def test_ten_starters_at_once_migrate_once(
    url: str, schema: Schema, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine whose disk stalls, the last of them waits for nine others.
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_SECONDS", 50)
    barrier = threading.Barrier(10)
    applied: list[list[str]] = []
    failures: list[Exception] = []

    def start() -> None:
        with opened(url, clock) as database:
            barrier.wait()
            try:
                applied.append(migrate(database, schema))
                require_current(database, schema)
            except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
                failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert sorted(applied) == [*[[]] * 9, _names(schema)]


def test_a_database_that_another_holds_for_too_long_is_told_as_busy(
    url: str, schema: Schema, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_SECONDS", 0.05)
    with opened(url, clock) as holder, holder.connected() as pool, pool.atomic("IMMEDIATE"):
        told: list[str] = []

        def start() -> None:
            with opened(url, clock) as database:
                try:
                    migrate(database, schema)
                except Unavailable as error:
                    told.append(error.reason)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    assert told == ["DATABASE_BUSY"]


def test_an_empty_database_is_refused_with_what_to_do(url: str, schema: Schema, clock: TestClock) -> None:
    told = f"^the {schema.value} database lacks {', '.join(_names(schema))}: run `paylatch migrate`$"

    with opened(url, clock) as database, pytest.raises(WrongSchema, match=told):
        require_current(database, schema)


def test_looking_at_a_database_changes_nothing_in_it(url: str, schema: Schema, clock: TestClock) -> None:
    with opened(url, clock) as database:
        with pytest.raises(WrongSchema):
            require_current(database, schema)
        assert _run(database, "SELECT name FROM sqlite_master") == []


@pytest.mark.parametrize("act", [require_current, migrate])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    url: str, schema: Schema, clock: TestClock, act: Any
) -> None:
    with opened(url, clock) as database:
        migrate(database, schema)
        _run(database, f"INSERT INTO {SQLITE_HISTORY} (name, applied) VALUES ('9999_future', '2030-01-01')")  # noqa: S608 - a name of ours
        with pytest.raises(WrongSchema, match="has 9999_future, which this version does not know: run a newer one"):
            act(database, schema)


@pytest.mark.parametrize("act", [require_current, migrate])
def test_the_other_database_is_refused_and_left_alone(url: str, schema: Schema, clock: TestClock, act: Any) -> None:
    with opened(url, clock) as database:
        migrate(database, OTHER[schema])
        before = _sqlite_schema(database)
        with pytest.raises(WrongSchema, match=f"mend PAYLATCH_{schema.name}_DATABASE_URL"):
            act(database, schema)
        assert _sqlite_schema(database) == before


def test_a_migration_that_fails_leaves_nothing_of_itself_or_of_those_before_it(
    url: str, clock: TestClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_works.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE kept (id)')\n")
    (tmp_path / "0002_fails.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE kept (id)')\n")
    monkeypatch.setattr(migrations, "_runner", lambda database, _: Runner(database.pool, str(tmp_path)))

    with opened(url, clock) as database:
        with pytest.raises(OperationalError, match="already exists"):
            migrate(database, Schema.PAYMENT)
        assert _run(database, "SELECT name FROM sqlite_master") == []
