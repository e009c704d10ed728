"""The operator's commands on real servers: what stands open is seen, explained, dealt with, and audited."""

import json
from datetime import timedelta
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from cli.exceptions import exceptions_app
from cli.follow_ups import follow_ups_app
from cli.notify import notify_app
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_GOODS, ORDER_STATUS_PAID
from paylatch.order.v1.order_pb2 import OrderItem
from paylatch.order.v1.order_service_pb2 import CreateOrderRequest, SetInventoryRequest
from tests.integration.cli.both_servers import DEADLINE, BothServers
from tests.support.clock import TestClock

pytestmark = pytest.mark.any_backend

WHO_AND_WHY = ("--operator", "ana", "--reason", "seen to it")


def _invoke(app: Typer, both: BothServers, *arguments: str) -> Result:
    side = "--payment-address" if app is notify_app else "--order-address"
    address = both.payment_address if app is notify_app else both.order_address
    return CliRunner().invoke(app, [arguments[0], side, address, *arguments[1:]], env={"COLUMNS": "220"})


def _json(app: Typer, both: BothServers, *arguments: str) -> Any:
    return json.loads(_invoke(app, both, *arguments, "--json").stdout)


def _target(both: BothServers) -> str:
    return f"grpc://{both.order_address}"


def _given_up(both: BothServers, clock: TestClock, *order_nos: str) -> None:
    both.create(*order_nos)
    both.stop_order_server()
    both.report(*order_nos)
    clock.advance(timedelta(days=4))
    both.scheduler.expiry.run_once()
    both.start_order_server()


def test_explain_says_why_and_when(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.report("A")
    told = _invoke(notify_app, both, "explain", "card/A")
    assert "Nothing hinders it, and it has been due for 0:00:00: a scheduler takes it" in told.stdout
    assert [line.split()[0] for line in told.stdout.splitlines() if line.strip()[:1].isdigit()][-1] == "10"

    _given_up(both, clock, "B")
    told = _invoke(notify_app, both, "explain", "card/B")
    assert "GIVEN_UP" in told.stdout
    assert "window used up: never tried; requeue or abandon it" in told.stdout
    assert _json(notify_app, both, "explain", "card/B")["hindrances"][0]["kind"] == "HINDRANCE_KIND_GIVEN_UP"


def test_explaining_what_is_not_there_says_so(both: BothServers) -> None:
    told = _invoke(notify_app, both, "explain", "card/nobody")
    assert told.exit_code == 1
    assert "NOTIFY_SCHEDULE_NOT_FOUND" in told.stderr


def test_abandon_closes_by_keys_or_by_filter(both: BothServers, clock: TestClock) -> None:
    _given_up(both, clock, "A", "B", "C")
    dry = _invoke(notify_app, both, "abandon", "card/A", *WHO_AND_WHY, "--dry-run")
    assert dry.stdout.endswith("abandon: 1 of 1 schedule would change\n")
    assert _invoke(notify_app, both, "abandon", "card/A", *WHO_AND_WHY).exit_code == 0

    rest = _invoke(notify_app, both, "abandon", "--all", "--limit", "10", *WHO_AND_WHY)
    assert rest.stdout.endswith("abandon: 2 of 2 schedules changed\n")
    listed = _json(notify_app, both, "list", "--status", "failed")["schedules"]
    assert {row["handled_by"] for row in listed} == {"ana"}
    again = _invoke(notify_app, both, "abandon", "card/A", *WHO_AND_WHY)
    assert (again.exit_code, "ALREADY_HANDLED" in again.stdout) == (1, True)


def test_what_has_changed_since_one_looked_is_left_alone(both: BothServers, clock: TestClock) -> None:
    _given_up(both, clock, "A")
    told = _invoke(notify_app, both, "abandon", "card/A", "--unchanged-since", "2020-01-01", *WHO_AND_WHY)
    assert (told.exit_code, "CHANGED_SINCE" in told.stdout) == (1, True)


def test_a_requeue_can_be_released_bit_by_bit(both: BothServers, clock: TestClock) -> None:
    _given_up(both, clock, "A", "B", "C")
    asked = ("retry", "--action", "requeue", "--all", "--limit", "10", "--spread-over", "10m")
    assert _invoke(notify_app, both, *asked, *WHO_AND_WHY).exit_code == 0
    both.scheduler.retry.run_once(_target(both))
    listed = _json(notify_app, both, "list")["schedules"]
    assert sorted(row["status"] for row in listed) == ["SCHEDULE_STATUS_NOTIFYING"] * 2 + ["SCHEDULE_STATUS_SUCCESS"]


def test_of_an_act_on_many_no_more_is_listed_than_a_person_reads_and_refusals_come_first(
    both: BothServers, clock: TestClock
) -> None:
    codes = [f"A{number:02d}" for number in range(30)]
    _given_up(both, clock, *codes)
    keys = [f"card/{code}" for code in [*codes, "nobody"]]
    told = _invoke(notify_app, both, "retry", "--action", "requeue", *WHO_AND_WHY, *keys)
    listed = [line.split()[0] for line in told.stdout.splitlines() if line.startswith("  card/")]
    assert listed == ["card/nobody", *keys[:19]]
    assert "… and 11 more, not listed here: --json lists all\nrequeue: 30 of 31 schedules changed\n" in told.stdout


def test_a_paused_target_holds_everything_back_until_it_is_resumed(both: BothServers, clock: TestClock) -> None:
    told = _invoke(notify_app, both, "pause", _target(both), *WHO_AND_WHY)
    assert told.stdout == f"{_target(both)} is paused; 0 schedules on the way to it\n"
    both.create("A")
    both.report("A")
    both.deliver()
    (line,) = [line for line in _invoke(notify_app, both, "targets").stdout.splitlines() if _target(both) in line]
    assert line.split()[1:5] == ["1", "1", "0:10:00", "0"]
    assert "closed" in line
    assert "by ana: seen to it" in line

    again = _invoke(notify_app, both, "pause", _target(both), *WHO_AND_WHY)
    assert (again.exit_code, "TARGET_PAUSED" in again.stderr) == (1, True)
    assert _invoke(notify_app, both, "resume", _target(both), *WHO_AND_WHY).exit_code == 0
    both.deliver()
    assert both.order("A").order_status == ORDER_STATUS_PAID
    assert _json(notify_app, both, "targets")["targets"][0]["backlog"] == "0"


def test_an_exception_is_listed_until_it_is_resolved(both: BothServers) -> None:
    both.create("A", amount=1_000, paid=900)
    both.create("B")
    both.cancel("B")
    both.report("A", "B")
    both.deliver()
    listed = _invoke(exceptions_app, both, "list").stdout
    (line,) = [line for line in listed.splitlines() if "card/A" in line]
    assert line.split()[:9] == ["card/A", "AMOUNT_MISMATCH", "USD", "9.00", "A", "over", "USD", "10.00,", "NEW"]
    assert listed.endswith("2 payment exceptions\n")

    resolve = ("resolve", "card/A", "--resolution", "accepted", *WHO_AND_WHY)
    assert "would be resolved: accepted" in _invoke(exceptions_app, both, *resolve, "--dry-run").stdout
    assert _invoke(exceptions_app, both, *resolve).stdout == "card/A is resolved: accepted; A over USD 10.00, PAID\n"
    assert _invoke(exceptions_app, both, "resolve", "card/B", "--resolution", "returned", *WHO_AND_WHY).exit_code == 0
    assert _invoke(exceptions_app, both, "list").stdout == "0 payment exceptions\n"
    assert "ACCEPTED by ana: seen to it" in _invoke(exceptions_app, both, "list", "--all").stdout
    assert _invoke(exceptions_app, both, "resolve", "card/Z", "--resolution", "returned", *WHO_AND_WHY).exit_code == 1


def test_a_follow_up_is_retried_until_it_is_done_or_closed(both: BothServers) -> None:
    orders = both.clients.order.orders
    stock = SetInventoryRequest(sku="cd", on_hand=0, operator="ana", reason="counted")
    orders.SetInventory(stock, timeout=DEADLINE)
    for order_no in ("A", "B"):
        item = OrderItem(sku="cd", quantity=2, kind=ITEM_KIND_GOODS)
        order = CreateOrderRequest(order_no=order_no, amount_minor=1_000, currency_code="USD", items=[item])
        orders.CreateOrder(order, timeout=DEADLINE)
    both.settle_existing("A", "B")
    listed = _json(follow_ups_app, both, "list")["order_follow_ups"]
    name = listed[0]["name"]
    assert [row["order_no"] for row in listed] == ["B", "A"]

    retry = ("retry", "A", name, "cd", *WHO_AND_WHY)
    assert _invoke(follow_ups_app, both, *retry).exit_code == 1
    orders.SetInventory(SetInventoryRequest(sku="cd", on_hand=2, operator="ana", reason="came"), timeout=DEADLINE)
    done = _invoke(follow_ups_app, both, *retry)
    assert (done.exit_code, "2 of 2 done" in done.stdout) == (0, True)
    assert _invoke(follow_ups_app, both, "resolve", "B", name, "cd", *WHO_AND_WHY).exit_code == 0
    assert _invoke(follow_ups_app, both, "list").stdout == "0 follow-ups\n"
    assert "by ana: seen to it" in _invoke(follow_ups_app, both, "list", "--all").stdout
