"""A batch of notifications: one item is wrong, or kills who takes it, or is forgotten, or answered in another place."""

from contextlib import suppress

from cli.processes import DidNotServe
from core.rules.codes import Disposition
from tests.faults.catalogue import point
from tests.faults.points.order_notify import codes_of, take_key, with_another_amount
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.processes import eventually

_LARGE, _SMALL = 500, 20


@point("OrderNotify batch", "one poison item among 500")
def _poison_item(run: Run) -> None:
    codes = run.ready(_LARGE)
    cancelled = run.ready()[0]
    run.done(run.customer.cancel_order(cancelled))
    take_key(run, codes[0], cancelled)
    run.done(run.customer.report_together(codes))
    run.fired()
    books = run.heal()
    assert codes_of(run, codes[0]) == ["ALREADY_EXISTS"]
    assert sum(row.disposition == Disposition.APPLIED for row in books.notifies) == _LARGE - 1
    assert max(row.number for row in books.attempts) == 1


@point("OrderNotify batch", "one item kills the receiver")
def _kills_receiver(run: Run) -> None:
    """Whoever takes this item down dies; its neighbours get through all the same, by ever smaller batches."""
    codes = run.ready(_SMALL)
    run.world.poison(codes[0])
    run.done(run.customer.report_together(codes))

    def others_are_served() -> bool:
        if run.world.system["order-server"].has_ended:
            run.fired()
            run.world.counts["SIGKILL"] += 1
            with suppress(DidNotServe):
                run.world.start("order-server")
        return len(run.books().notifies) == len(codes) - 1

    eventually(others_are_served, 60)
    run.world.poison(None)
    run.world.start("order-server")
    if not run.is_notifying(codes[0]):
        run.requeue(codes[:1])
    run.allowed = run.world.promised_seconds


@point("OrderNotify batch", "an answer with an item missing", quick=True)
def _item_missing(run: Run) -> None:
    codes = run.ready(_SMALL)

    def forget_one(call: Call) -> object:
        answer = call.forward()
        if call.number == 1:
            del answer.results[0]
            run.fired()
        return answer

    run.world.relay.behave(forget_one)
    run.done(run.customer.report_together(codes))
    run.wait_fired()
    books = run.heal()
    assert sorted(row.number for row in books.attempts) == [1] * len(codes) + [2]


@point("OrderNotify batch", "an answer in another order", quick=True)
def _other_order(run: Run) -> None:
    codes = run.ready(_SMALL)
    codes[0:2] = [with_another_amount(run), codes[1]]

    def turn_round(call: Call) -> object:
        answer = call.forward()
        results = list(answer.results)[::-1]
        del answer.results[:]
        answer.results.extend(results)
        run.fired()
        return answer

    run.world.relay.behave(turn_round)
    run.done(run.customer.report_together(codes))
    run.wait_fired()
