"""A system on databases of its users' choice."""

from pathlib import Path

from paylatch.order.v1.order_enums_pb2 import ORDER_STATUS_PAID
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.servers import OwnPostgreSql
from tests.support.shop import Shop, numbers

ORDERS = numbers(20)


def test_the_two_databases_may_be_of_different_engines(tmp_path: Path, own_postgresql: OwnPostgreSql) -> None:
    url = own_postgresql.databases.create()
    with System(tmp_path, IMPATIENT, payment_url=url) as system, Shop(system.settings) as shop:
        system.start()
        shop.create_orders(ORDERS)
        shop.create_payments(ORDERS)
        shop.report(ORDERS)
        eventually(lambda: shop.are_notified(ORDERS))
        assert all(shop.order(order_no).order_status == ORDER_STATUS_PAID for order_no in ORDERS)
