"""Giving up, and being asked to try again: killed around COMMIT, with a late worker alive, of what is notified."""

from collections.abc import Callable

import grpc

from paylatch.payment.v1.payment_enums_pb2 import RETRY_ACTION_REOPEN, RETRY_ACTION_REQUEUE
from tests.faults.catalogue import point
from tests.faults.points.transactions import AFTER, BEFORE, BEGIN, OPERATE, RECORD
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.processes import eventually


def _refuse(call: Call) -> object:
    call.context.abort(grpc.StatusCode.INVALID_ARGUMENT, "never")
    raise AssertionError


def give_up(run: Run) -> str:
    """A payment whose notification was refused for good."""
    (code,) = run.ready()
    run.world.relay.behave(_refuse)
    run.done(run.customer.report(code))
    eventually(lambda: not run.is_notifying(code))
    run.world.relay.behave()
    return code


def _give_up_killed(moment: str) -> Callable[[Run], None]:
    """The alarm comes first, so that a crash may repeat it, and never swallows it."""

    def cross(run: Run) -> None:
        (code,) = run.ready()
        run.world.relay.behave(_refuse)
        trap = run.world.trap("payment-server", RECORD, moment)
        run.done(run.customer.report(code))
        trap.wait()
        run.world.kill("payment-server")
        run.fired()
        assert run.books().is_settled == (moment == AFTER)
        run.world.start("payment-server")
        eventually(run.is_settled)
        alarms = [
            event
            for name in ("payment-server", "scheduler")
            for event in run.world.events(name, "notify.given_up")
            if event["payment_code"] == code
        ]
        assert len(alarms) == (1 if moment == AFTER else 2), alarms
        run.world.relay.behave()
        run.requeue([code])

    return cross


point("give up", "kill before COMMIT", quick=True)(_give_up_killed(BEFORE))
point("give up", "kill after COMMIT")(_give_up_killed(AFTER))


def _requeue_killed(moment: str) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        code = give_up(run)
        trap = run.world.trap("payment-server", OPERATE, moment)
        pending = run.customer.later(lambda: run.customer.retry(RETRY_ACTION_REQUEUE, [code]))
        trap.wait()
        run.world.kill("payment-server")
        run.fired()
        run.world.start("payment-server")
        assert pending.result().is_unknown
        if moment == BEFORE:
            assert run.books().is_settled
            run.requeue([code])
        run.heal()
        assert run.customer.retry(RETRY_ACTION_REQUEUE, [code]).reason == "ILLEGAL_EVENT"

    return cross


point("requeue", "kill before COMMIT", quick=True)(_requeue_killed(BEFORE))
point("requeue", "kill after COMMIT")(_requeue_killed(AFTER))


@point("requeue", "while a late worker is alive")
def _late_worker(run: Run) -> None:
    """A worker with a failure to record is stopped; another gives the row up, and an operator requeues it."""
    codes = run.ready(2)
    run.world.relay.behave(_refuse)
    trap = run.world.trap("scheduler", RECORD, BEGIN)
    run.leave_to_scheduler(codes)
    trap.wait()
    run.world.stop("scheduler")
    run.fired()
    run.world.start("scheduler-2")
    eventually(run.is_settled)
    run.world.relay.behave()
    run.requeue(codes)
    eventually(run.is_settled)
    before = run.books().schedules
    stale = len(run.world.events("scheduler", "notify.stale"))
    trap.go_on()
    run.world.go_on("scheduler")
    eventually(lambda: len(run.world.events("scheduler", "notify.stale")) > stale)
    run.heal()
    assert run.books().schedules == before
    run.world.kill("scheduler-2")


@point("requeue", "of a notified row", quick=True)
def _of_notified(run: Run) -> None:
    (code,) = run.ready()
    run.done(run.customer.report(code))
    eventually(lambda: not run.is_notifying(code))
    refused = run.customer.retry(RETRY_ACTION_REQUEUE, [code])
    assert refused.reason == "ILLEGAL_EVENT", refused
    run.fired()
    run.done(run.customer.retry(RETRY_ACTION_REOPEN, [code]))
    books = run.heal()
    assert [row.number for row in books.attempts] == [1, 2]
