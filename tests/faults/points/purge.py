"""Purging what is finished: killed in the middle, together with claims and requeues, and by a clock a year ahead."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.outbox.tables import NotifyAttempt
from paylatch.payment.v1.payment_enums_pb2 import RETRY_ACTION_REQUEUE
from tests.faults.catalogue import point
from tests.faults.points.operators import give_up
from tests.faults.points.transactions import BEFORE, PURGE
from tests.faults.run import Run
from tests.faults.world import World
from tests.support.processes import eventually

_SETTINGS = {
    "notify_window": "5s",
    "notify_retry_waits": "1s",
    "notify_max_attempts": "2",
    "notify_retention": "6s",
}
_ROWS = 20
_PAST_RETENTION = 6.5
_YEAR = 31_536_000


@contextmanager
def _old_rows(run: Run) -> Iterator[tuple[World, list[str]]]:
    """Finished schedules, older than the retention; the scheduler is not there."""
    with run.own_world(settings=_SETTINGS, payment_servers=2) as world:
        codes = run.ready(_ROWS)
        run.done(run.customer.report_together(codes))
        eventually(lambda: run.books().is_settled and run.books().schedules)
        world.kill("scheduler")
        run.pause(_PAST_RETENTION)
        yield world, codes


@point("purge", "kill in the middle")
def _killed(run: Run) -> None:
    with _old_rows(run) as (world, codes):
        (fresh,) = run.ready()
        run.done(run.customer.report(fresh))
        trap = world.trap("scheduler", PURGE, BEFORE)
        world.start("scheduler")
        trap.wait()
        world.kill("scheduler")
        run.fired()
        assert len(run.books().schedules) == len(codes) + 1
        world.start("scheduler")
        _hold_purged(run, codes, [fresh])


@point("purge", "together with claim and requeue")
def _with_others(run: Run) -> None:
    """While it is about to delete, rows are delivered, given up and requeued; none of these goes."""
    with _old_rows(run) as (world, codes):
        refused, late = give_up(run), run.ready(2)
        trap = world.trap("scheduler", PURGE, BEFORE)
        world.start("scheduler")
        trap.wait()
        run.fired()
        pending = [
            run.customer.later(lambda: run.customer.report_together(late)),
            run.customer.later(lambda: run.customer.retry(RETRY_ACTION_REQUEUE, [refused])),
        ]
        trap.go_on()
        for each in pending:
            run.done(each.result())
        _hold_purged(run, codes, [refused, *late])


@point("purge", "clock a year ahead")
def _year_ahead(run: Run) -> None:
    """Nothing goes while it is: by that clock, everything is old."""
    with _old_rows(run) as (world, codes):
        for name in ("payment-server", "payment-server-2", "scheduler"):
            world.shift_clock(name, _YEAR, database=True)
        world.start("scheduler")
        eventually(lambda: world.events("scheduler", "purge.clock_not_believed"))
        run.fired()
        run.pause(1.0)
        assert len(run.books().schedules) == len(codes)
        for name in ("payment-server", "payment-server-2", "scheduler"):
            world.shift_clock(name, 0)
        (fresh,) = run.ready()
        run.done(run.customer.report(fresh))
        world.restart("scheduler")
        _hold_purged(run, codes, [fresh])


def _hold_purged(run: Run, gone: list[str], there: list[str]) -> None:
    """The finished old ones are gone with their attempts, and nothing else; the records of money stay."""
    eventually(lambda: {row.payment_code for row in run.books().schedules} == set(there))
    run.purged = gone
    books = run.heal()
    assert {row.payment_code for row in books.schedules} == set(there)
    assert len(books.results) == len(books.successes) == len(gone) + len(there)
    orphans = run.world.payment_database.read(lambda tx: tx.count(NotifyAttempt.select())) - len(books.attempts)
    assert orphans == 0
