"""How far a run is survives its process, whole or not at all, and is gone on with by nobody else."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.clients import CannotRun, Key
from cli.reconcile.findings import Kind, Repair
from cli.reconcile.pair import Pair, Window
from cli.reconcile.progress import Progress, ProgressFile
from cli.reconcile.repair import Asked
from tests.support.sides import a_notify, a_payment

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ASKED = {"payment_address": "127.0.0.1:1", "since": None, "repair": True}
KEY = Key("card", "P1")


def some_progress() -> Progress:
    progress = Progress(ASKED, NOW, Window(None, NOW - timedelta(minutes=1), NOW), sweep=2, page_token="token")
    progress.tally.add(Pair(KEY, a_payment(KEY, 10**15), a_notify(KEY, 10**15)), is_on_its_way=False)
    progress.kinds = Counter({Kind.GIVEN_UP: 3})
    progress.repairs[Repair.REQUEUE] = Asked(asked=3, changed=2, refused=1)
    return progress


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress")
    assert file.load(ASKED) is None
    file.save(some_progress())
    assert file.load(ASKED) == some_progress()
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


def test_the_end_of_a_run_leaves_no_file(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress")
    file.save(some_progress())
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_is_kept() -> None:
    file = ProgressFile(None)
    file.save(some_progress())
    assert file.load(ASKED) is None
    file.remove()


def test_a_save_that_was_cut_off_leaves_the_progress_before_it(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress")
    file.save(some_progress())
    (tmp_path / "progress.new").write_text('{"asked": {"paym')
    assert file.load(ASKED) == some_progress()
    file.save(some_progress())
    assert file.load(ASKED) == some_progress()


def test_a_run_that_was_asked_for_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress")
    file.save(some_progress())
    with pytest.raises(
        CannotRun, match=r"progress is of another run \(repair was True and is False\): finish that one"
    ):
        file.load(ASKED | {"repair": False})


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"asked": {}}', "\x00"])
def test_a_file_that_is_no_progress_is_refused_and_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "progress"
    path.write_text(text)
    with pytest.raises(CannotRun, match="is not the progress of a run: remove it to begin anew"):
        ProgressFile(path).load(ASKED)
    assert path.read_text() == text


@pytest.mark.parametrize("kind", ["NO_SUCH_KIND", 1])
def test_a_file_with_a_kind_that_is_none_is_refused(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "progress"
    path.write_text(json.dumps(some_progress().as_json() | {"kinds": {kind: 1}}))
    with pytest.raises(CannotRun, match="is not the progress of a run"):
        ProgressFile(path).load(ASKED)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"nowhere/progress cannot be written: .*No such file or directory"):
        ProgressFile(tmp_path / "nowhere" / "progress").save(some_progress())
