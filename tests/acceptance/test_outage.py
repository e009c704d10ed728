"""The order server goes away and comes back: no attempt is used up, nothing is given up, then everything settles."""

from pathlib import Path

import pytest

from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_NOTIFYING, SCHEDULE_STATUS_SUCCESS
from tests.support.processes import System, all_along, eventually
from tests.support.shop import Shop, numbers

ORDERS = numbers(100)
SAMPLE = (ORDERS[0], ORDERS[50], ORDERS[-1])
SETTLES_WITHIN = 15.0


def test_an_order_server_away_for_some_seconds_uses_up_no_attempt(system: System, shop: Shop) -> None:
    _hold_no_attempt_used_up(system, shop, seconds=4)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_order_server_away_for_a_minute_uses_up_no_attempt_by_the_default_settings(tmp_path: Path) -> None:
    with System(tmp_path, {}) as system, Shop(system.settings) as shop:
        _hold_no_attempt_used_up(system, shop, seconds=60)


def _hold_no_attempt_used_up(system: System, shop: Shop, seconds: float) -> None:
    system.start()
    shop.create_orders(ORDERS)
    shop.create_payments(ORDERS)
    system["order-server"].kill()

    shop.report(ORDERS)
    system.lines.wait_for("payment-server", "notify.given_back")
    system.lines.wait_for("scheduler", "notify.given_back")
    all_along(lambda: all(_is_untouched(shop, order_no) for order_no in SAMPLE), seconds)

    system.start("order-server")
    eventually(lambda: shop.are_notified(ORDERS), SETTLES_WITHIN)
    for order_no in ORDERS:
        answer = shop.schedule(order_no)
        assert answer.schedule.status == SCHEDULE_STATUS_SUCCESS
        assert [attempt.code for attempt in answer.attempts] == [0]
    assert system.lines.events("scheduler", "notify.given_up") == []


def _is_untouched(shop: Shop, order_no: str) -> bool:
    """Being delivered, and no attempt made: one that is counted is only claimed, waiting for a connection."""
    answer = shop.schedule(order_no)
    is_counted_without_claim = answer.schedule.notify_count > 0 and not answer.schedule.is_claimed
    is_notifying = answer.schedule.status == SCHEDULE_STATUS_NOTIFYING
    return is_notifying and not answer.attempts and not is_counted_without_claim
