import grpc
import pytest

from core.rpc.status import reason_of
from paylatch.order.v1.order_enums_pb2 import DISPOSITION_APPLIED, ORDER_PAYMENT_STATUS_PAID, ORDER_STATUS_PAID
from tests.support.processes import System
from tests.support.shop import AMOUNT, Shop, notification

AT_ONCE = 1_000
PATIENCE = 60.0


def test_of_a_thousand_identical_notifications_at_once_one_is_applied_and_all_are_answered_alike(
    system: System, shop: Shop
) -> None:
    system.start("order-server")
    shop.create_orders(["A-1"])

    calls = [shop.notifications.OrderNotify.future(notification("A-1"), timeout=PATIENCE) for _ in range(AT_ONCE)]
    answers = [call.result() for call in calls]

    assert sum(not answer.is_repeated for answer in answers) == 1
    assert {answer.disposition for answer in answers} == {DISPOSITION_APPLIED}
    assert {answer.order_status for answer in answers} == {ORDER_STATUS_PAID}
    assert {answer.payment_status for answer in answers} == {ORDER_PAYMENT_STATUS_PAID}
    assert system.lines.events("order-server", "rpc.failed", "rpc.crashed") == []


def test_the_same_key_with_other_content_is_refused_and_changes_nothing(system: System, shop: Shop) -> None:
    system.start("order-server")
    shop.create_orders(["A-1", "A-2"])
    shop.notifications.OrderNotify(notification("A-1"), timeout=PATIENCE)
    paid, unpaid = shop.order("A-1"), shop.order("A-2")

    other = notification("A-1", AMOUNT + 1)
    with pytest.raises(grpc.RpcError) as refused:
        shop.notifications.OrderNotify(other, timeout=PATIENCE)

    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert reason_of(refused.value) == "NOTIFY_DIFFERS"
    assert (shop.order("A-1"), shop.order("A-2")) == (paid, unpaid)
