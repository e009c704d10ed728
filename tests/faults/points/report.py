"""Reporting a result: killed between its writes, its COMMIT unknown, its database in trouble, twice and both ways."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import closing, suppress
from typing import Any

import grpc
import psycopg

from core.store.dialect import LOCK_SECONDS
from payment_server.tables import Payment
from tests.faults.catalogue import EVERY, point
from tests.faults.customer import Answer
from tests.faults.machine import failing_syncs, small_disk
from tests.faults.points.transactions import AFTER, BEFORE, REPORT
from tests.faults.run import Run
from tests.faults.traps import SERIALIZATION_FAILURE
from tests.support.processes import eventually

FULL_DISK_REPORTS = 200


def _killed(moment: str, *, settled: bool) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        trap = run.world.trap("payment-server", REPORT, moment)
        pending = run.customer.later(lambda: run.customer.report(code))
        trap.wait()
        run.world.restart("payment-server")
        run.fired()
        assert pending.result().is_unknown, pending.result()
        books = run.books()
        found = (len(books.successes), len(books.results), len(books.schedules))
        assert found == (settled, settled, settled), found
        run.done(run.customer.insist(lambda: run.customer.report(code)))
        run.done(run.customer.report(code))

    return cross


for _number in (1, 2, 3):
    point("report result", f"kill after write {_number}", quick=_number == 2)(
        _killed(f"after write {_number}", settled=False)
    )
point("report result", "kill before COMMIT", backends=EVERY)(_killed(BEFORE, settled=False))
point("report result", "kill after COMMIT, before the answer", quick=True)(_killed(AFTER, settled=True))


def _commit_raises(*, durable: bool) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        answer = run.world.commit_raises(
            "payment-server",
            REPORT,
            lambda: run.customer.report(code),
            durable=(lambda: run.books().schedules) if durable else None,
        )
        run.fired()
        run.done(answer)
        assert len(run.books().schedules) == 1

    return cross


point("report result", "COMMIT raises, is durable", backends=EVERY, quick=True)(_commit_raises(durable=True))
point("report result", "COMMIT raises, is not", backends=EVERY, quick=True)(_commit_raises(durable=False))


@point("report result", "fsync fails with EIO")
def _fsync_fails(run: Run) -> None:
    """The kernel refuses to sync: for SQLite in the payment server, for PostgreSQL in its backend, which panics."""
    (code,) = run.ready()
    trap = run.world.trap("payment-server", REPORT, BEFORE)
    pending = run.customer.later(lambda: run.customer.report(code))
    process = trap.wait()
    with failing_syncs(run.world.backend_in_transaction() if run.world.has_server else process) as failed:
        trap.go_on()
        answer = pending.result()
        eventually(lambda: failed() > 0)
    run.fired(failed())
    assert answer.is_ok or answer.is_unknown, answer
    run.done(run.customer.insist(lambda: run.customer.report(code)))


@point("report result", "database restarted in the transaction", backends=("postgresql",))
def _database_restarted(run: Run) -> None:
    (code,) = run.ready()
    trap = run.world.trap("payment-server", REPORT, "after write 2")
    pending = run.customer.later(lambda: run.customer.report(code))
    trap.wait()
    run.world.restart_database()
    run.fired()
    trap.go_on()
    answer = pending.result()
    assert answer.is_ok or answer.is_unknown, answer
    run.done(run.customer.insist(lambda: run.customer.report(code)))


@point("report result", "disk full")
def _disk_full(run: Run) -> None:
    with (
        small_disk() as disk,
        run.own_world(payment_database=run.world.create_on(disk.path)),
    ):
        codes = run.ready(FULL_DISK_REPORTS)
        disk.fill()
        answers = [(code, run.customer.report(code)) for code in codes]
        refused = [code for code, answer in answers if not answer.is_ok]
        run.fired(len(refused))
        assert {answer.code for _, answer in answers if not answer.is_ok} <= {grpc.StatusCode.UNAVAILABLE}, answers
        books = run.books()
        assert len(books.successes) == len(books.results) == len(books.schedules)
        disk.free()
        for code in codes:
            run.done(run.customer.insist(functools.partial(run.customer.report, code)))


@point("report result", "lock wait", backends=EVERY)
def _lock_wait(run: Run) -> None:
    """Somebody else holds the payment longer than a statement waits for a row."""
    (code,) = run.ready()
    with run.world.holding(Payment, Payment.payment_code == code) as let_go:
        pending = run.customer.later(lambda: run.customer.report(code))
        assert not wait([pending], LOCK_SECONDS + 1).done
        run.fired()
        let_go()
    run.done(pending.result())


@point("report result", "deadlock", backends=("postgresql",))
def _deadlock(run: Run) -> None:
    """Somebody else has the schedules and waits for the payment, which the report has while it waits for schedules."""
    (code,) = run.ready()
    with (
        closing(psycopg.connect(run.world.payment_url)) as other,
        closing(psycopg.connect(run.world.payment_url)) as watch,
    ):
        watch.autocommit = True
        other.execute("LOCK TABLE notify_schedule IN EXCLUSIVE MODE")
        trap = run.world.trap("payment-server", REPORT, "after write 1")
        pending = run.customer.later(lambda: run.customer.report(code))
        trap.wait()
        before = _deadlocks(watch)
        update = threading.Thread(target=_update_payment, args=(other, code))
        update.start()
        # Who waits longer than PostgreSQL's deadlock_timeout does not look again: the report is the one to give way.
        eventually(lambda: watch.execute(_WAITS_LONG_ENOUGH).fetchone())
        trap.go_on()
        update.join()
        other.rollback()
        run.done(pending.result())
        run.fired(eventually(lambda: _deadlocks(watch) - before))


def _update_payment(connection: "psycopg.Connection[Any]", code: str) -> None:
    with suppress(psycopg.errors.DeadlockDetected):  # on a busy machine it may have to give way as well
        connection.execute("UPDATE payment SET trade_no = trade_no WHERE payment_code = %s", [code])


_WAITS_LONG_ENOUGH = """
    SELECT 1 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE payment SET trade_no%'
      AND clock_timestamp() - query_start > interval '1.2 seconds'
"""


def _deadlocks(connection: "psycopg.Connection[Any]") -> int:
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(row[0]) if row else 0


@point("report result", "serialization failure", backends=("postgresql",))
def _serialization_failure(run: Run) -> None:
    """READ COMMITTED never fails so by itself; whoever turns it up may see it, and it must not cost a report."""
    (code,) = run.ready()
    trap = run.world.trap("payment-server", REPORT, "after write 2")
    pending = run.customer.later(lambda: run.customer.report(code))
    trap.wait()
    trap.raise_there(SERIALIZATION_FAILURE)
    run.fired()
    run.done(pending.result())


@point("report result", "twice at once", backends=EVERY, quick=True)
def _twice(run: Run) -> None:
    codes = run.ready(8)
    pending = [run.customer.later(functools.partial(run.customer.report, code)) for code in codes for _ in range(2)]
    for each in pending:
        run.done(each.result())
    run.fired(len(codes))


@point("report result", "success and failure at once", backends=EVERY, quick=True)
def _both_ways(run: Run) -> None:
    codes = run.ready(8)
    pending = [
        [run.customer.later(functools.partial(run.customer.report, code, is_success=way)) for way in (True, False)]
        for code in codes
    ]
    for pair in pending:
        answers = [each.result() for each in pair]
        assert sorted(answer.code is None for answer in answers) == [False, True], answers
        assert grpc.StatusCode.FAILED_PRECONDITION in {answer.code for answer in answers}, answers
    run.fired(len(codes))
    (sure,) = run.ready()
    run.done(run.customer.report(sure))


@point("report result", "deadline passes while it runs")
def _deadline_passes(run: Run) -> None:
    (code,) = run.ready()
    trap = run.world.trap("payment-server", REPORT, BEFORE)
    pending = run.customer.later(lambda: run.customer.report(code, deadline=0.3))
    trap.wait()
    late: Answer = pending.result()
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED, late
    run.fired()
    trap.go_on()
    eventually(lambda: run.books().successes)
    assert run.customer.report(code, is_success=False).code is grpc.StatusCode.FAILED_PRECONDITION
    run.done(run.customer.report(code))
