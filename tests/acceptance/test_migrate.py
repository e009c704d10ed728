import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import run_module

AT_ONCE = 4


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {f"{side}_database_url": f"sqlite:///{tmp_path / side}.db" for side in ("payment", "order")}


def test_migrate_says_what_it_applied_and_the_second_time_that_nothing_was_left(settings: dict[str, str]) -> None:
    first = run_module("cli", "migrate", settings=settings)
    second = run_module("cli", "migrate", settings=settings)

    assert first.returncode == second.returncode == 0
    assert [line.split(": ")[0] for line in first.stdout.splitlines()] == ["payment database", "order database"]
    assert all(": applied 0001_" in line for line in first.stdout.splitlines())
    assert second.stdout.splitlines() == ["payment database: is up to date", "order database: is up to date"]


def test_migrations_at_the_same_time_apply_everything_once(settings: dict[str, str], tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        runs = list(threads.map(lambda _: run_module("cli", "migrate", settings=settings), range(AT_ONCE)))

    assert [run.returncode for run in runs] == [0] * AT_ONCE, [run.stderr for run in runs]
    assert sum("payment database: applied" in run.stdout for run in runs) == 1
    assert sum("order database: applied" in run.stdout for run in runs) == 1
    with closing(sqlite3.connect(tmp_path / "payment.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_database_that_cannot_be_opened_is_named_in_one_line(settings: dict[str, str], tmp_path: Path) -> None:
    wrong = {**settings, "order_database_url": f"sqlite:///{tmp_path / 'nowhere' / 'order.db'}"}
    ended = run_module("cli", "migrate", settings=wrong)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "PAYLATCH_ORDER_DATABASE_URL" in line
