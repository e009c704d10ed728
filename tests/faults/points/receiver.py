"""A receiver in trouble: silent, away with a backlog waiting, refusing for want of resources, coming and going."""

import grpc

from tests.faults.catalogue import point
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.processes import eventually

_ROWS = 50
_FLAPS = 5
_FOR_LARGE_BATCHES = {"notify_deadline": "5s", "notify_lease": "8s"}
_ROWS_A_SECOND = 500
"""What a busy machine of two cores delivers at least, with both databases, three processes and this test on it."""


@point("receiver", "accepts and never answers")
def _silent(run: Run) -> None:
    """SIGSTOP of the order server at one target; another target, which is well, gets its rows meanwhile."""
    with run.own_world(order_servers=2) as world:
        codes, others = run.ready(_ROWS), run.ready(_ROWS, target=world.other_target)
        with world.stopped("order-server"):
            run.fired()
            run.done(run.customer.report_together(codes))
            run.done(run.customer.report_together(others))
            eventually(lambda: {row.payment_code for row in run.books().notifies} == set(others))
            eventually(lambda: world.events("scheduler", "breaker.opened"))
        books = run.heal()
        assert max(row.notify_count for row in books.schedules) < world.settings.notify_max_attempts


@point("receiver", "down with a backlog waiting")
def _down(run: Run) -> None:
    """Nothing is spent on a receiver that refuses connections; when it is back, it is not run over."""
    with run.own_world(settings=_FOR_LARGE_BATCHES) as world:
        codes = run.ready(run.scale)
        world.proxy.refuse()
        for number in range(0, len(codes), 500):
            run.done(run.customer.report_together(codes[number : number + 500]))
        run.fired(len(codes))
        eventually(lambda: world.events("scheduler", "breaker.opened"))
        run.pause(world.promised_seconds)
        assert not run.books().attempts
        world.relay.sizes.clear()
        run.allowed = world.promised_seconds + len(codes) / _ROWS_A_SECOND
        books = run.heal()
        assert {row.number for row in books.attempts} == {1}
        sizes = world.relay.sizes
        assert sizes[0] == 1, sizes[:10]
        assert sizes[1] < max(sizes), sizes[:10]


@point("receiver", "answers RESOURCE_EXHAUSTED", quick=True)
def _exhausted(run: Run) -> None:
    codes = run.ready(_ROWS)

    def refuse(call: Call) -> object:
        run.fired()
        call.context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later, please")
        raise AssertionError

    opened = len(run.world.events("scheduler", "breaker.opened"))
    run.world.relay.behave(refuse)
    run.leave_to_scheduler(codes)
    eventually(lambda: len(run.world.events("scheduler", "breaker.opened")) > opened)
    books = run.heal()
    assert max(row.notify_count for row in books.schedules) < run.world.settings.notify_max_attempts


@point("receiver", "flaps")
def _flaps(run: Run) -> None:
    """It comes and goes while payments are reported."""
    codes = run.ready(_FLAPS * _ROWS)
    for number in range(_FLAPS):
        run.world.proxy.refuse()
        run.done(run.customer.report_together(codes[number * _ROWS : (number + 1) * _ROWS]))
        run.fired()
        run.pause(0.3)
        run.world.proxy.heal()
        run.pause(0.3)
