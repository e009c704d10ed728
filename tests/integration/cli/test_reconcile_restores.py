"""Every kind of difference, made for real: a database is set back to an older copy, or edited where no restore does it.

Each is named, and what is proposed for it mends it, with nothing doubled.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import grpc
import pytest

from cli.reconcile.findings import Kind
from core.store.migrate import Schema
from tests.integration.cli.both_servers import BothServers
from tests.integration.cli.proposed_calls import follow
from tests.support.clock import TestClock
from tests.support.databases import SERVERS

A_WHILE = timedelta(minutes=10)


class Scenario(NamedTuple):
    """How a kind is made, and what else it brings. is_mended: by what is proposed; else it stays for a person."""

    make: Callable[[BothServers, TestClock], None]
    others: tuple[Kind, ...] = ()
    is_mended: bool = True


def not_delivered(both: BothServers, clock: TestClock) -> None:
    overdue(both, clock)
    both.stop_order_server()
    both.deliver_once()
    both.start_order_server()


def overdue(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.report("A")
    clock.advance(A_WHILE)
    backups = {schema: both.backup(schema) for schema in Schema}
    both.deliver()
    for schema, backup in backups.items():
        both.restore(schema, backup)


def order_missing(both: BothServers, clock: TestClock) -> None:
    backup = both.backup(Schema.ORDER)
    both.create("A")
    both.report("A")
    clock.advance(A_WHILE)
    both.restore(Schema.ORDER, backup)
    both.deliver_once()


def order_missing_and_given_up(both: BothServers, clock: TestClock) -> None:
    order_missing(both, clock)
    clock.advance(timedelta(days=4))
    assert both.scheduler.expiry.run_once() == 1


def given_up(both: BothServers, clock: TestClock) -> None:
    overdue(both, clock)
    clock.advance(timedelta(days=4))
    assert both.scheduler.expiry.run_once() == 1


def refused(both: BothServers, clock: TestClock) -> None:
    both.create_order("A")
    both.create_order("B")
    backup = both.backup(Schema.ORDER)
    _another_order_for_the_same_payment(both)
    both.restore(Schema.ORDER, backup)


def schedule_missing(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.report("A")
    clock.advance(A_WHILE)
    both.forget_schedule("A")


def result_missing(both: BothServers, clock: TestClock) -> None:
    schedule_missing(both, clock)
    both.sql(Schema.PAYMENT, "DELETE FROM payment_result")


def lost_by_order_side(both: BothServers, clock: TestClock) -> None:
    both.create("A", "purged")
    backup = both.backup(Schema.ORDER)
    both.report("A", "purged")
    both.deliver()
    both.forget_schedule("purged")
    both.restore(Schema.ORDER, backup)


def acknowledge_missing(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.report("A")
    backup = both.backup(Schema.PAYMENT)
    both.deliver()
    both.restore(Schema.PAYMENT, backup)


def acknowledge_missing_and_given_up(both: BothServers, clock: TestClock) -> None:
    acknowledge_missing(both, clock)
    clock.advance(timedelta(days=4))
    assert both.scheduler.expiry.run_once() == 1


def disposition_differs(both: BothServers, clock: TestClock) -> None:
    """X paid first; after the order side was set back, Y did; then the payment side is set back too."""
    both.create_order("A")
    both.create_payment("X", "A")
    both.create_payment("Y", "A")
    order_backup = both.backup(Schema.ORDER)
    both.report("X")
    both.deliver()
    payment_backup = both.backup(Schema.PAYMENT)
    both.restore(Schema.ORDER, order_backup)
    both.report("Y")
    both.deliver()
    both.reconcile(repair=True)
    both.deliver()
    both.restore(Schema.PAYMENT, payment_backup)


def content_differs(both: BothServers, clock: TestClock) -> None:
    both.create_order("A")
    both.create_order("B")
    _another_order_for_the_same_payment(both)


def outcome_differs(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    backup = both.backup(Schema.PAYMENT)
    both.report("A")
    both.deliver()
    both.restore(Schema.PAYMENT, backup)
    both.report("A", failed=True)
    both.deliver()


def payment_unknown(both: BothServers, clock: TestClock) -> None:
    backup = both.backup(Schema.PAYMENT)
    both.settle("A")
    both.restore(Schema.PAYMENT, backup)


def payment_unsettled(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    backup = both.backup(Schema.PAYMENT)
    both.report("A")
    both.deliver()
    both.restore(Schema.PAYMENT, backup)


def order_state_wrong(both: BothServers, clock: TestClock) -> None:
    both.settle("A")
    unpaid = "order_status = 1, payment_status = 0, paid_platform_id = NULL, paid_payment_code = NULL"
    both.sql(Schema.ORDER, f'UPDATE "order" SET {unpaid}')


def payment_exception(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.cancel("A")
    both.report("A")
    both.deliver()


def outcome_conflict(both: BothServers, clock: TestClock) -> None:
    both.settle("A")
    with suppress(grpc.RpcError):
        both.report("A", failed=True)


def abandoned(both: BothServers, clock: TestClock) -> None:
    given_up(both, clock)
    handled = "handled_time = update_time, handled_by = 'ana', handled_reason = 'paid in cash'"
    both.sql(Schema.PAYMENT, f"UPDATE notify_schedule SET {handled}")


def _another_order_for_the_same_payment(both: BothServers) -> None:
    """X paid A; the payment side is set back, and X is created again, for B."""
    backup = both.backup(Schema.PAYMENT)
    both.create_payment("X", "A")
    both.report("X")
    both.deliver()
    both.restore(Schema.PAYMENT, backup)
    both.create_payment("X", "B")
    both.report("X")
    both.deliver()


SCENARIOS: dict[str, Scenario] = {
    "NOT_DELIVERED": Scenario(not_delivered),
    "OVERDUE": Scenario(overdue),
    "ORDER_MISSING": Scenario(order_missing),
    "ORDER_MISSING, given up": Scenario(order_missing_and_given_up),
    "GIVEN_UP": Scenario(given_up),
    "REFUSED": Scenario(refused),
    "SCHEDULE_MISSING": Scenario(schedule_missing),
    "RESULT_MISSING": Scenario(result_missing),
    "LOST_BY_ORDER_SIDE": Scenario(lost_by_order_side, (Kind.LOST_BY_ORDER_SIDE,)),
    "ACKNOWLEDGE_MISSING": Scenario(acknowledge_missing),
    "ACKNOWLEDGE_MISSING, given up": Scenario(acknowledge_missing_and_given_up),
    "DISPOSITION_DIFFERS": Scenario(disposition_differs, (Kind.PAYMENT_EXCEPTION, Kind.PAYMENT_UNSETTLED)),
    "CONTENT_DIFFERS": Scenario(content_differs, is_mended=False),
    "OUTCOME_DIFFERS": Scenario(outcome_differs, is_mended=False),
    "PAYMENT_UNKNOWN": Scenario(payment_unknown),
    "PAYMENT_UNSETTLED": Scenario(payment_unsettled),
    "ORDER_STATE_WRONG": Scenario(order_state_wrong, is_mended=False),
    "PAYMENT_EXCEPTION": Scenario(payment_exception),
    "OUTCOME_CONFLICT": Scenario(outcome_conflict, is_mended=False),
    "ABANDONED": Scenario(abandoned),
}
"""By the kind it makes."""


def test_there_is_a_scenario_of_every_kind() -> None:
    assert {_kind(name) for name in SCENARIOS} == set(Kind)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", SCENARIOS)
def test_each_kind_is_named_and_mended_as_proposed(both: BothServers, clock: TestClock, name: str) -> None:
    _play(both, clock, name)


@pytest.mark.slow
@pytest.mark.parametrize("backend", SERVERS, indirect=True)
@pytest.mark.parametrize("name", SCENARIOS)
def test_each_kind_is_named_and_mended_as_proposed_on_the_servers_too(
    both: BothServers, clock: TestClock, name: str
) -> None:
    _play(both, clock, name)


def _play(both: BothServers, clock: TestClock, name: str) -> None:
    kind, scenario = _kind(name), SCENARIOS[name]
    scenario.make(both, clock)
    report = both.reconcile(repair=True)
    assert report.findings.counts == Counter([kind, *scenario.others])
    for finding in report.findings.listed:
        if finding.step.call and not finding.step.repair:
            follow(finding.step.call)
        elif kind is Kind.ORDER_MISSING:
            follow(finding.step.call.split(" && ")[0])
    both.deliver()
    healed = both.reconcile(repair=True)
    assert healed.is_clean == scenario.is_mended or kind is Kind.ABANDONED
    assert healed.repair is not None
    assert healed.repair.by_repair == {}
    assert both.sql(Schema.ORDER, _PAID_TWICE) == []


_PAID_TWICE = (
    "SELECT order_no FROM order_payment_notify WHERE disposition = 1 AND status = 1 GROUP BY order_no "
    "HAVING COUNT(*) > 1"
)


def _kind(name: str) -> Kind:
    return Kind(name.partition(",")[0])
