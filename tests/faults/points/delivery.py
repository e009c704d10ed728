"""The answer and its acknowledgement: lost, late, garbled; recorded or not when the recorder dies."""

import threading
from collections.abc import Callable

from tests.faults.catalogue import EVERY, point
from tests.faults.points.transactions import AFTER, BEFORE, RECORD
from tests.faults.proxy import Way
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.processes import BOUND, eventually

_PAST_DEADLINE = 1.5
_AWAY_SECONDS = 2.5


def _answer_lost(
    counted: str, answers: Way, requests: Way = Way.PASS, *, arrives: bool = True
) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        run.connect()
        codes = run.ready(3)
        before = run.world.proxy.counts[counted]
        run.world.proxy.set(requests=requests, answers=answers, delay=_PAST_DEADLINE)
        run.done(run.customer.report_together(codes))
        eventually(lambda: run.world.proxy.counts[counted] > before)
        if arrives:
            eventually(lambda: len(run.books().notifies) == 1 + len(codes))
        # The first attempts must have failed for want of an answer.
        eventually(lambda: len(run.books().attempts) >= 1 + len(codes))
        run.fired(run.world.proxy.counts[counted] - before)
        run.world.proxy.heal()

    return cross


point("answer lost", "dropped", quick=True)(_answer_lost("lost", Way.LOSE))
point("answer lost", "delayed past the deadline")(_answer_lost("delayed", Way.DELAY))
point("answer lost", "corrupted")(_answer_lost("corrupted", Way.CORRUPT))
point("answer lost", "black-holed")(_answer_lost("held", Way.HOLD, Way.HOLD, arrives=False))


def _killed(moment: str) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        trap = run.world.trap("payment-server", RECORD, moment)
        run.done(run.customer.report(code))
        trap.wait()
        run.world.kill("payment-server")
        run.fired()
        assert run.books().is_settled == (moment == AFTER)
        run.world.start("payment-server")
        run.heal()
        assert run.world.relay.calls[code] == (2 if moment == BEFORE else 1)

    return cross


point("acknowledge", "kill before COMMIT", quick=True)(_killed(BEFORE))
point("acknowledge", "kill after COMMIT")(_killed(AFTER))


def _commit_raises(*, durable: bool) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        answer = run.world.commit_raises(
            "payment-server",
            RECORD,
            lambda: run.customer.report(code),
            durable=(lambda: run.books().is_settled) if durable else None,
        )
        run.fired()
        run.done(answer)
        run.heal()
        assert run.world.relay.calls[code] == 1

    return cross


point("acknowledge", "COMMIT raises, is durable", backends=EVERY, quick=True)(_commit_raises(durable=True))
point("acknowledge", "COMMIT raises, is not", backends=EVERY, quick=True)(_commit_raises(durable=False))


@point("acknowledge", "payment database away longer than the lease")
def _database_away(run: Run) -> None:
    """From the call of the order side on. A file cannot go away: somebody else keeps it to themselves."""
    (code,) = run.ready()
    called, is_away = threading.Event(), threading.Event()

    def wait_until_away(call: Call) -> object:
        if call.number == 1:
            called.set()
            assert is_away.wait(BOUND)
        return call.forward()

    run.world.relay.behave(wait_until_away)
    run.done(run.customer.report(code))
    assert called.wait(BOUND)
    with run.world.payment_database_away():
        is_away.set()
        run.pause(_AWAY_SECONDS)
        run.fired()
        assert not run.books().is_settled
