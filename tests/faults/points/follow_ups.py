"""Follow-ups of a paid order that cannot be done: the payment stands, and they are listed."""

import functools

from order_server.tables import Inventory
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_VOUCHER
from tests.faults.catalogue import point
from tests.faults.run import Run
from tests.support.databases import refusing


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
    pending = [run.customer.later(functools.partial(run.customer.report, code)) for code in codes]
    for each in pending:
        run.done(each.result())
    run.heal()
    listed = [follow_up for code in codes for follow_up in run.customer.open_follow_ups(code)]
    run.fired(len(listed))
    assert len(listed) == orders - on_hand
    stock = run.world.order_database.read(lambda tx: tx.row(Inventory.select().where(Inventory.sku == sku)))
    assert stock is not None
    assert stock.on_hand == 0
