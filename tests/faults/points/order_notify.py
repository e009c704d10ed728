"""The receiver: killed around COMMIT, told twice or a thousand times, told what it cannot apply."""

from collections.abc import Callable

import grpc

from core.rules.codes import Disposition
from tests.faults.catalogue import point
from tests.faults.points.transactions import AFTER, BEFORE, ORDER_NOTIFY
from tests.faults.run import Run
from tests.support.processes import eventually
from tests.support.shop import AMOUNT, notification

_DAYS = 3 * 86_400


def _killed(moment: str) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        trap = run.world.trap("order-server", ORDER_NOTIFY, moment)
        run.done(run.customer.report(code))
        trap.wait()
        run.world.kill("order-server")
        run.fired()
        assert len(run.books().notifies) == (moment == AFTER)
        run.world.start("order-server")

    return cross


point("OrderNotify", "kill before COMMIT")(_killed(BEFORE))
point("OrderNotify", "kill after COMMIT", quick=True)(_killed(AFTER))


def _duplicates(count: int) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        (code,) = run.ready()
        answers = run.customer.notify_at_once(code, count)
        run.fired(count)
        assert sum(not answer.is_repeated for answer in answers) == 1
        assert len({(a.disposition, a.order_status, a.payment_status) for a in answers}) == 1
        run.done(run.customer.report(code))

    return cross


for _count, _name in ((2, "1 duplicate"), (20, "20 duplicates at once"), (1_000, "1000 duplicates at once")):
    point("OrderNotify", _name, quick=_count < 1_000)(_duplicates(_count))


@point("OrderNotify", "duplicate days later")
def _days_later(run: Run) -> None:
    (code,) = run.ready()
    run.done(run.customer.report(code))
    run.heal()
    run.world.shift_clock("order-server", _DAYS, database=True)
    answer = run.customer.notify(notification(code))
    run.world.shift_clock("order-server", 0)
    run.done(answer)
    assert answer.value.is_repeated
    run.fired()


def _disposed(disposition: Disposition, prepare: Callable[[Run], str]) -> Callable[[Run], None]:
    """A payment that its order cannot take stands as an exception, and another one goes on."""

    def cross(run: Run) -> None:
        code = prepare(run)
        (sound,) = run.ready()
        for each in (code, sound):
            run.done(run.customer.report(each))
        run.fired()
        books = run.heal()
        found = {row.payment_code: row.disposition for row in books.notifies}
        assert found[code] == disposition, found
        assert found[sound] == Disposition.APPLIED, found

    return cross


def with_another_amount(run: Run) -> str:
    code = run.code()
    run.done(run.customer.create_order(code, AMOUNT + 1))
    run.done(run.customer.create_payment(code))
    return code


def _with_currency(run: Run) -> str:
    code = run.code()
    run.done(run.customer.create_order(code))
    run.done(run.customer.create_payment(code, currency="EUR"))
    return code


def _with_cancelled_order(run: Run) -> str:
    (code,) = run.ready()
    run.done(run.customer.cancel_order(code))
    return code


def _with_paid_order(run: Run) -> str:
    (first,) = run.ready()
    run.done(run.customer.report(first))
    eventually(lambda: not run.is_notifying(first))
    code = run.code()
    run.done(run.customer.create_payment(code, order_no=first))
    return code


for _fault, _disposition, _prepare in (
    ("amount differs", Disposition.AMOUNT_MISMATCH, with_another_amount),
    ("currency differs", Disposition.AMOUNT_MISMATCH, _with_currency),
    ("order cancelled", Disposition.ORDER_CANCELLED, _with_cancelled_order),
    ("order already paid", Disposition.DUPLICATE_PAYMENT, _with_paid_order),
):
    point("OrderNotify", _fault)(_disposed(_disposition, _prepare))


@point("OrderNotify", "order unknown")
def _unknown_order(run: Run) -> None:
    code = run.code()
    run.done(run.customer.create_payment(code))
    run.done(run.customer.report(code))
    eventually(lambda: run.books().attempts)
    run.fired()
    assert run.is_notifying(code)
    run.done(run.customer.create_order(code))


@point("OrderNotify", "same key with other content")
def _other_content(run: Run) -> None:
    (code, cancelled, sound) = run.ready(3)
    run.done(run.customer.cancel_order(cancelled))
    take_key(run, code, cancelled)
    for each in (code, sound):
        run.done(run.customer.report(each))
    run.fired()
    run.heal()
    assert codes_of(run, code) == ["ALREADY_EXISTS"]


def take_key(run: Run, code: str, order_no: str) -> None:
    """The order side is told of the key first, with another order, which cannot take it."""
    taken = notification(code)
    taken.order_no = order_no
    run.done(run.customer.notify(taken))


def codes_of(run: Run, code: str) -> list[str]:
    names = {each.value[0]: each.name for each in grpc.StatusCode}
    return [names[attempt.code] for attempt in run.customer.schedule(code).attempts]
