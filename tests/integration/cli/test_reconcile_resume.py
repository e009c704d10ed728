"""A run that is killed anywhere is gone on with, and comes to what a run in one piece comes to."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.clients import CannotRun, Clients, Key
from cli.reconcile import Listener, ReconcileOptions, Report, reconcile
from cli.reconcile.findings import Finding, Kind
from cli.reconcile.progress import Progress
from core.rules.errors import InvalidInput
from paylatch.payment.v1.notify_schedule_service_pb2 import RetryNotifySchedulesRequest
from paylatch.payment.v1.payment_service_pb2 import ListPaymentsRequest
from tests.integration.cli.test_reconcile_command import invoke
from tests.support.clock import TestClock
from tests.support.sides import Sides

PAGES = 9
"""Those of `many`: four of payments, an empty one of payments from the future, four of notifications."""


class Killed(Exception):
    """In the middle of a run."""


@pytest.fixture
def many(sides: Sides) -> Sides:
    """More payments than a page has, some of each sort wrong."""
    for number in range(1_100):
        key = sides.settled(f"S{number}")
        if number % 100 == 0:
            del sides.notifies[key]
        if number % 100 == 50:
            del sides.payments[key], sides.schedules[key]
    for number in range(600):
        sides.settled(f"F{number}", failed=True)
    return sides


class Runs:
    """Runs of one file, one after the other. seen: every finding they told of."""

    def __init__(self, clients: Clients, clock: TestClock, file: Path, **options: Any) -> None:
        self.seen: list[Finding] = []
        self.pages = 0
        self._clients = clients
        self._options = ReconcileOptions(clock=clock, resume=file, **options)

    def go_on(self, *, killed_after: int | None = None) -> Report:
        """Run on; dies after so many pages."""
        pages = 0

        def on_page(progress: Progress) -> None:
            nonlocal pages
            pages, self.pages = pages + 1, self.pages + 1
            if pages == killed_after:
                raise Killed

        return reconcile(self._clients, self._options, Listener(self.seen.append, on_page))


@pytest.fixture
def runs(many: Sides, clients: Clients, clock: TestClock, tmp_path: Path) -> Runs:
    return Runs(clients, clock, tmp_path / "progress")


def whole(clients: Clients, clock: TestClock) -> Report:
    return reconcile(clients, ReconcileOptions(clock=clock))


def test_a_run_killed_after_every_single_page_comes_to_the_same(
    runs: Runs, clients: Clients, clock: TestClock, tmp_path: Path
) -> None:
    wanted = whole(clients, clock)
    for _ in range(PAGES):
        with pytest.raises(Killed):
            runs.go_on(killed_after=1)
    report = runs.go_on(killed_after=1)
    assert report.findings.counts == wanted.findings.counts == {Kind.LOST_BY_ORDER_SIDE: 11, Kind.PAYMENT_UNKNOWN: 11}
    assert report.counts == wanted.counts
    assert report.sums == wanted.sums
    assert Counter(finding.pair.key for finding in runs.seen).most_common(1)[0][1] == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pages", range(1, PAGES + 1))
def test_no_page_is_read_again_that_was_done(many: Sides, runs: Runs, pages: int) -> None:
    with pytest.raises(Killed):
        runs.go_on(killed_after=pages)
    runs.go_on()
    assert runs.pages == PAGES
    first_pages = [request for request in many.made(ListPaymentsRequest) if not request.page_token]
    assert len(first_pages) == 2


def test_a_finding_of_the_page_a_run_died_in_is_told_again_and_counted_once(
    many: Sides, clients: Clients, clock: TestClock, tmp_path: Path
) -> None:
    runs = Runs(clients, clock, tmp_path / "progress")

    def die(finding: Finding) -> None:
        raise Killed

    with pytest.raises(Killed):
        reconcile(clients, ReconcileOptions(clock=clock, resume=tmp_path / "progress"), Listener(on_finding=die))
    assert runs.go_on().findings.counts == whole(clients, clock).findings.counts


def test_what_was_repaired_before_a_run_died_is_not_repaired_again(
    many: Sides, clients: Clients, clock: TestClock, tmp_path: Path
) -> None:
    runs = Runs(clients, clock, tmp_path / "progress", repair=True)
    with pytest.raises(Killed):
        runs.go_on(killed_after=2)
    report = runs.go_on()
    keys = [
        Key(key.platform_id, key.payment_code) for call in many.made(RetryNotifySchedulesRequest) for key in call.keys
    ]
    assert len(keys) == len(set(keys)) == 11
    assert report.repair is not None
    assert report.repair.changed == 11


def test_a_run_goes_on_only_with_what_it_was_asked_for(
    runs: Runs, clients: Clients, clock: TestClock, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        runs.go_on(killed_after=1)
    other = Runs(clients, clock, tmp_path / "progress", repair=True)
    with pytest.raises(CannotRun, match="is of another run"):
        other.go_on()


def test_the_command_goes_on_after_a_server_failed_and_prints_the_rest(many: Sides, tmp_path: Path) -> None:
    file = ["--resume", str(tmp_path / "progress"), "--json"]
    many.before["ListOrderPaymentNotifies"] = [lambda: None, _fail]
    failed = invoke(many, *file)
    assert failed.exit_code == 2
    done = invoke(many, *file)
    assert done.exit_code == 1
    *findings, summary = [json.loads(line) for result in (failed, done) for line in result.stdout.splitlines()]
    assert Counter(line["kind"] for line in findings) == {"LOST_BY_ORDER_SIDE": 11, "PAYMENT_UNKNOWN": 11}
    assert summary["difference_counts"] == {"LOST_BY_ORDER_SIDE": 11, "PAYMENT_UNKNOWN": 11}
    assert summary["counts"]["payments"] == 1_689


def _fail() -> None:
    raise InvalidInput([])
