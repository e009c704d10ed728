import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import Database as PeeweeDatabase
from peewee import PeeweeException
from playhouse.migrations import Runner

from core.rules.errors import Unavailable
from core.store import migrate as migrations
from core.store.database import Database
from core.store.dialect import mysql, postgresql, sqlite
from core.store.migrate import HISTORY, Schema, WrongSchema, migrate, require_current
from core.store.schema import set_storage
from order_server import tables as order_tables
from payment_server import tables as payment_tables
from tests.support.clock import TestClock
from tests.support.databases import Backend, opened, run_sql, schema_of

MODELS: dict[Schema, Sequence[Any]] = {Schema.PAYMENT: payment_tables.TABLES, Schema.ORDER: order_tables.TABLES}
OTHER = {Schema.PAYMENT: Schema.ORDER, Schema.ORDER: Schema.PAYMENT}


@pytest.fixture(params=Schema, ids=lambda schema: schema.value)
def schema(request: pytest.FixtureRequest) -> Schema:
    found: Schema = request.param
    return found


@pytest.fixture
def url(fresh_url: str) -> str:
    return fresh_url


def _names(schema: Schema) -> list[str]:
    return [
        file.stem for file in sorted((Path(migrations.__file__).parent / "migrations" / schema.value).glob("0*.py"))
    ]


def test_a_migrated_database_has_exactly_what_the_models_say(
    backend: Backend, schema: Schema, clock: TestClock
) -> None:
    urls = [backend.fresh(), backend.fresh()]
    with opened(urls[0], clock) as migrated, opened(urls[1], clock) as created:
        migrate(migrated, schema)
        with created.connected() as pool, pool.bind_ctx(MODELS[schema]):
            for model in MODELS[schema]:
                model.create_table()
                set_storage(pool, model._meta.table_name, getattr(model._meta, "storage", {}))

        assert schema_of(migrated) == schema_of(created)
        assert len(schema_of(migrated)) >= len(MODELS[schema])
    for url in urls:
        backend.take_back(url)


def test_migrating_says_what_it_did_and_the_second_time_does_nothing(
    url: str, schema: Schema, clock: TestClock
) -> None:
    with opened(url, clock) as database:
        assert migrate(database, schema) == _names(schema)
        assert migrate(database, schema) == []
        require_current(database, schema)


def test_ten_starters_at_once_migrate_once(url: str, schema: Schema, clock: TestClock) -> None:
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
    for engine in (sqlite, postgresql, mysql):
        monkeypatch.setattr(engine, "PATIENT_SECONDS", 1)
    with opened(url, clock) as holder, holder.connected() as pool, holder.dialect.migration_lock(pool):
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


def test_a_database_of_an_older_version_is_refused_until_it_is_migrated(
    url: str, schema: Schema, clock: TestClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *later = _names(schema)
    older = tmp_path / f"{first}.py"
    older.write_bytes((Path(migrations.__file__).parent / "migrations" / schema.value / older.name).read_bytes())
    with opened(url, clock) as database:
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "_runner", lambda database, _: Runner(database.pool, str(tmp_path)))
            migrate(database, schema)
        with pytest.raises(WrongSchema, match=f"lacks {', '.join(later)}: run `paylatch migrate`"):
            require_current(database, schema)

        assert migrate(database, schema) == later
        require_current(database, schema)


def test_an_empty_database_is_refused_with_what_to_do(url: str, schema: Schema, clock: TestClock) -> None:
    told = f"^the {schema.value} database lacks {', '.join(_names(schema))}: run `paylatch migrate`$"

    with opened(url, clock) as database, pytest.raises(WrongSchema, match=told):
        require_current(database, schema)


def test_looking_at_a_database_changes_nothing_in_it(url: str, schema: Schema, clock: TestClock) -> None:
    with opened(url, clock) as database:
        with pytest.raises(WrongSchema):
            require_current(database, schema)
        assert schema_of(database) == []


@pytest.mark.parametrize("act", [require_current, migrate])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    url: str, schema: Schema, clock: TestClock, act: Any
) -> None:
    with opened(url, clock) as database:
        migrate(database, schema)
        run_sql(database, f"INSERT INTO {HISTORY} (name, applied) VALUES ('9999_future', '2030-01-01')")
        with pytest.raises(WrongSchema, match="has 9999_future, which this version does not know: run a newer one"):
            act(database, schema)


@pytest.mark.parametrize("act", [require_current, migrate])
def test_the_other_database_is_refused_and_left_alone(url: str, schema: Schema, clock: TestClock, act: Any) -> None:
    with opened(url, clock) as database:
        migrate(database, OTHER[schema])
        before = schema_of(database)
        with pytest.raises(WrongSchema, match=f"mend PAYLATCH_{schema.name}_DATABASE_URL"):
            act(database, schema)
        assert schema_of(database) == before


def test_a_migration_that_fails_leaves_nothing_of_itself_or_of_those_before_it(
    url: str, clock: TestClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE kept (id INT)')\n"
    (tmp_path / "0001_works.py").write_text(create)
    (tmp_path / "0002_fails.py").write_text(create)
    monkeypatch.setattr(migrations, "_runner", lambda database, _: Runner(database.pool, str(tmp_path)))

    with opened(url, clock) as database:
        with pytest.raises(PeeweeException, match="already exists"):
            migrate(database, Schema.PAYMENT)
        if isinstance(database.dialect, mysql.MySql):
            assert [table for table, _ in schema_of(database)] == ["kept"]
            assert run_sql(database, f"SELECT name FROM {HISTORY}") == [("0001_works",)]
        else:
            assert schema_of(database) == []


@pytest.mark.parametrize("left", [1, 2, 4, 8, 16, 20])
def test_a_migration_that_was_interrupted_is_finished_by_the_next(
    backend: Backend, schema: Schema, clock: TestClock, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    urls = [backend.fresh(), backend.fresh()]
    with opened(urls[0], clock) as whole, opened(urls[1], clock) as database:
        with _definitions(monkeypatch) as count:
            migrate(whole, schema)
        with _definitions(monkeypatch, last=count.made - left), pytest.raises(KeyboardInterrupt):
            migrate(database, schema)
        with pytest.raises(WrongSchema, match="lacks"):
            require_current(database, schema)

        applied = _applied(database)
        assert migrate(database, schema) == [name for name in _names(schema) if name not in applied]
        assert schema_of(database) == schema_of(whole)
    for url in urls:
        backend.take_back(url)


class _Count:
    made = 0


@contextmanager
def _definitions(monkeypatch: pytest.MonkeyPatch, last: int | None = None) -> Iterator[_Count]:
    """Count the statements that define something, and fail after the `last`, as a process does that is killed."""
    execute: Any = PeeweeDatabase.execute_sql
    count = _Count()

    def execute_sql(database: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("CREATE", "DROP", "ALTER")):
            if count.made == last:
                raise KeyboardInterrupt
            count.made += 1
        return execute(database, sql, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PeeweeDatabase, "execute_sql", execute_sql)
        yield count


def _applied(database: Database) -> list[str]:
    """What the history says; nothing where all was undone."""
    return [name for (name,) in run_sql(database, f"SELECT name FROM {HISTORY}")] if schema_of(database) else []
