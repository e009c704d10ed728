from core.store.database import Database
from core.store.migrate import Schema, migrate
from core.store.occupied import table_with_rows
from tests.support.clock import TestClock
from tests.support.databases import opened, run_sql


def test_a_database_without_tables_holds_nothing(fresh_url: str, clock: TestClock) -> None:
    with opened(fresh_url, clock) as database:
        assert table_with_rows(database) is None


def test_a_database_that_was_migrated_and_never_used_holds_nothing(fresh_url: str, clock: TestClock) -> None:
    with opened(fresh_url, clock) as database:
        migrate(database, Schema.PAYMENT)
        assert table_with_rows(database) is None


def test_one_row_in_any_table_is_found_whoever_made_it(database: Database) -> None:
    run_sql(database, 'CREATE TABLE "A Table of Others" (entry INT)')
    assert table_with_rows(database) is None

    run_sql(database, 'INSERT INTO "A Table of Others" VALUES (1)')
    assert table_with_rows(database) == "A Table of Others"
