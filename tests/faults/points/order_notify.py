"""The receiver: killed around COMMIT, told twice or a thousand times, told what it cannot apply; and its follow-ups."""

from collections.abc import Callable

import grpc

from cli.processes import DidNotServe
from core.rules.codes import Disposition
from order_server.tables import Inventory
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_VOUCHER
from tests.faults.catalogue import point
from tests.faults.points.transactions import AFTER, BEFORE, ORDER_NOTIFY
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.databases import refusing
from tests.support.processes import eventually
from tests.support.shop import AMOUNT, notification

_DAYS = 3 * 86_400
_BATCH, _WITH_POISON = 500, 20


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


def _with_amount(run: Run) -> str:
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
    ("amount differs", Disposition.AMOUNT_MISMATCH, _with_amount),
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
    _take_key(run, code, cancelled)
    for each in (code, sound):
        run.done(run.customer.report(each))
    run.fired()
    run.heal()
    assert _codes_of(run, code) == ["ALREADY_EXISTS"]


@point("OrderNotify batch", "one poison item among 500")
def _poison_item(run: Run) -> None:
    codes = run.ready(_BATCH)
    cancelled = run.ready()[0]
    run.done(run.customer.cancel_order(cancelled))
    _take_key(run, codes[0], cancelled)
    run.done(run.customer.report_together(codes))
    run.fired()
    books = run.heal()
    assert _codes_of(run, codes[0]) == ["ALREADY_EXISTS"]
    assert sum(row.disposition == Disposition.APPLIED for row in books.notifies) == _BATCH - 1
    assert max(row.number for row in books.attempts) == 1


def _take_key(run: Run, code: str, order_no: str) -> None:
    """The order side is told of the key first, with another order, which cannot take it."""
    taken = notification(code)
    taken.order_no = order_no
    run.done(run.customer.notify(taken))


def _codes_of(run: Run, code: str) -> list[str]:
    names = {each.value[0]: each.name for each in grpc.StatusCode}
    return [names[attempt.code] for attempt in run.customer.schedule(code).attempts]


@point("OrderNotify batch", "one item kills the receiver")
def _kills_receiver(run: Run) -> None:
    """Whoever takes this item down dies; its neighbours get through all the same, by ever smaller batches."""
    codes = run.ready(_WITH_POISON)
    run.world.poison(codes[0])
    run.done(run.customer.report_together(codes))

    def others_are_served() -> bool:
        if run.world.system["order-server"].has_ended:
            run.fired()
            run.world.counts["SIGKILL"] += 1
            _serves(run)
        return len(run.books().notifies) == len(codes) - 1

    eventually(others_are_served, 60)
    run.world.poison(None)
    # It may have met the item just before, and die of it once more.
    eventually(lambda: _serves(run), 60)
    if not run.is_notifying(codes[0]):
        run.requeue(codes[:1])
    run.allowed = run.world.promised_seconds


def _serves(run: Run) -> bool:
    """Start the order server; whether it came to serve."""
    try:
        run.world.start("order-server")
    except DidNotServe:
        return False
    return True


@point("OrderNotify batch", "an answer with an item missing", quick=True)
def _item_missing(run: Run) -> None:
    codes = run.ready(_WITH_POISON)

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
    codes = run.ready(_WITH_POISON)
    codes[0:2] = [_with_amount(run), codes[1]]

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


@point("follow-ups", "one raises", quick=True)
def _follow_up_raises(run: Run) -> None:
    """The database refuses every voucher of a sku."""
    code = run.code()
    run.done(run.customer.create_order(code, skus=[code], kind=ITEM_KIND_VOUCHER))
    run.done(run.customer.create_payment(code))
    with refusing(run.world.order_database, "voucher", "sku", code):
        run.done(run.customer.report(code))
        run.heal()
    run.fired(len(run.customer.open_follow_ups(code)))


@point("follow-ups", "stock is short", quick=True)
def _stock_is_short(run: Run) -> None:
    _pay_for_stock(run, orders=1, on_hand=0)


@point("follow-ups", "two orders want the last piece", quick=True)
def _last_piece(run: Run) -> None:
    _pay_for_stock(run, orders=2, on_hand=1)


def _pay_for_stock(run: Run, orders: int, on_hand: int) -> None:
    codes, sku = run.codes(orders), f"{run.prefix}sku"
    run.done(run.customer.stock(sku, on_hand))
    for code in codes:
        run.done(run.customer.create_order(code, skus=[sku]))
        run.done(run.customer.create_payment(code))
    pending = [run.customer.later(lambda code=code: run.customer.report(code)) for code in codes]  # type: ignore[misc]
    for each in pending:
        run.done(each.result())
    run.heal()
    listed = [follow_up for code in codes for follow_up in run.customer.open_follow_ups(code)]
    run.fired(len(listed))
    assert len(listed) == orders - on_hand
    stock = run.world.order_database.read(lambda tx: tx.row(Inventory.select().where(Inventory.sku == sku)))
    assert stock is not None
    assert stock.on_hand == 0
