"""No hot query of the payment database becomes a scan or a sort, however much is finished in its tables."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from core.outbox import operate, read
from core.outbox.claim import claim
from core.outbox.expire import expire
from core.outbox.lease import ClaimedRow, Lease, claimed_row
from core.outbox.operate import Act, Operation
from core.outbox.purge import newest_write, purge
from core.outbox.read import ScheduleFilter
from core.outbox.record import Recorded, record
from core.outbox.tables import NotifyAttempt, NotifySchedule, NotifyTarget, OperatorAction, PaymentResult
from core.rules.codes import Disposition, PaymentStatus, ResultStatus, ScheduleStatus
from core.store.database import Database
from core.store.paging import PageRequest
from core.store.transaction import Transaction
from payment_server.tables import Payment
from payment_server.views import PaymentFilter, newest_payments, payments_by_key
from tests.support import rows
from tests.support.clock import START, TestClock
from tests.support.costs import costs_of
from tests.support.databases import Backend, analyzed, opened, with_default_plans
from tests.support.outbox import APPLIED, SILENCE, policy
from tests.support.rows import CONFLICT, OTHER_TARGET, SETTLED, TARGET

FINISHED, DUE, WAITING, GIVEN_UP, UNSETTLED = 12_000, 3_000, 3_000, 100, 100
PAGE = 50
MOST_READ = 2_800
"""Rows that work on a page of them may read in all its statements: fewer than are due, or than a scan reads."""

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
POLICY = policy(batch_size=PAGE)
KEYS = [("alipay", f"P-{number}") for number in range(1, PAGE + 1)]
FIRST_PAGE, LATER_PAGE = PageRequest(PAGE), PageRequest(PAGE, after=6_000)


def _fill(tx: Transaction) -> None:
    """Payments in the order of their times: finished ones first, with every sort of unfinished ones after them."""
    sorts = ["finished"] * FINISHED + ["due"] * DUE + ["waiting"] * WAITING + ["given up"] * GIVEN_UP
    payments, results, schedules, attempts = [], [], [], []
    for number, sort in enumerate(sorts, start=1):
        time = START - timedelta(days=55) + number * 4 * MINUTE
        conflict = CONFLICT if number % 500 == 0 else dict.fromkeys(CONFLICT)
        payments.append(rows.payment(number, **SETTLED | {"settle_time": time, "create_time": time}, **conflict))
        done = {"notify_status": ResultStatus.NOTIFIED, "disposition": Disposition.APPLIED}
        results.append(rows.payment_result(number, **{"disposition": None} | (done if sort == "finished" else {})))
        schedules.append(rows.schedule(number, **_schedule(sort, time)))
        attempts.append(rows.attempt(number))
    unsettled = {"settle_time": None, **dict.fromkeys(CONFLICT)}
    payments += [rows.payment(len(sorts) + 1 + number, **unsettled) for number in range(UNSETTLED)]
    acts = [rows.operator_action(number, action_id=f"{number}") for number in range(1, 1_001)]
    _insert(tx, Payment, payments)
    _insert(tx, PaymentResult, results)
    _insert(tx, NotifySchedule, schedules)
    _insert(tx, NotifyAttempt, attempts)
    _insert(tx, OperatorAction, acts)
    tx.insert(NotifyTarget, [rows.target(TARGET), rows.target(OTHER_TARGET)])


def _schedule(sort: str, time: Any) -> dict[str, Any]:
    attempted = {"notify_count": 1, "attempt_count": 1, "create_time": time, "update_time": time}
    ends = time + 3 * DAY
    return {
        "finished": {"notify_status": SUCCESS, "next_notify_time": time, "give_up_time": ends},
        "due": {"next_notify_time": START - MINUTE, "give_up_time": START + DAY},
        "waiting": {"notify_url": OTHER_TARGET, "next_notify_time": START + MINUTE, "give_up_time": START + DAY},
        "given up": {"notify_status": FAILED, "next_notify_time": time, "give_up_time": ends},
    }[sort] | attempted


def _insert(tx: Transaction, model: Any, made: list[dict[str, Any]]) -> None:
    for first in range(0, len(made), 1_000):
        tx.insert(model, made[first : first + 1_000])


def _lease() -> Lease:
    return Lease.take("worker", POLICY.lease, TestClock())


def _due(tx: Transaction) -> list[ClaimedRow]:
    claimed = claim(tx, TARGET, _lease(), POLICY, Recorded())
    assert claimed is not None
    assert len(claimed.rows) == PAGE
    return list(claimed.rows)


def _record(outcome: Any) -> Callable[[Transaction], object]:
    def work(tx: Transaction) -> None:
        held = _due(tx)
        record(tx, held, {row.schedule_id: outcome for row in held}, POLICY)

    return work


def _record_late(tx: Transaction) -> None:
    found = read.schedules(tx, KEYS)
    late = [claimed_row(row, _lease(), 1, START) for row in found]
    record(tx, late, {row.schedule_id: APPLIED for row in late}, POLICY)


def _payments(page: PageRequest = FIRST_PAGE, **wanted: Any) -> Callable[[Transaction], object]:
    return lambda tx: newest_payments(tx, PaymentFilter(**wanted), page)


def _schedules(page: PageRequest = FIRST_PAGE, **wanted: Any) -> Callable[[Transaction], object]:
    return lambda tx: read.newest_schedules(tx, ScheduleFilter(**wanted), page)


HOT: Mapping[str, Callable[[Transaction], object]] = MappingProxyType(
    {
        "claim what is due": _due,
        "claim when nothing is due, or was by a wrong clock": lambda tx: claim(
            tx, OTHER_TARGET, _lease(), POLICY, Recorded()
        ),
        "record successes": _record(APPLIED),
        "record failures": _record(SILENCE),
        "record successes that come late": _record_late,
        "give up what expired": lambda tx: expire(tx, PAGE),
        "purge": lambda tx: purge(tx, START - 30 * DAY, 0, PAGE),
        "the newest write": newest_write,
        "payments by key, held": lambda tx: payments_by_key(tx, KEYS, lock=True),
        "schedules by key": lambda tx: read.schedules(tx, KEYS),
        "schedules by key, held": lambda tx: read.schedules(tx, KEYS, lock=True),
        "attempts of a schedule": lambda tx: read.attempts(tx, 77),
        "acts of a call": lambda tx: operate.already_done(_Rerun(tx), Operation(Act.REQUEUE, "anna", "why")),  # type: ignore[arg-type]
        "list payments": _payments(),
        "list payments, a later page": _payments(LATER_PAGE),
        "list payments that wait": _payments(status=PaymentStatus.WAITING),
        "list payments of an order": _payments(order_no="O-77"),
        "list payments with a conflict": _payments(has_conflict=True),
        "list payments settled in a window": _payments(settled_after=START - 30 * DAY, settled_before=START - 20 * DAY),
        "list payments settled in a window, a later page": _payments(LATER_PAGE, settled_before=START - 20 * DAY),
        "list payments created in a window": _payments(created_before=START - 30 * DAY),
        "list schedules": _schedules(),
        "list schedules, a later page": _schedules(LATER_PAGE),
        "list schedules that were given up": _schedules(status=FAILED),
        "list schedules of an order": _schedules(order_no="O-77"),
        "requeue the oldest given up": lambda tx: read.oldest_schedules(tx, ScheduleFilter(status=FAILED), PAGE),
    }
)
SORTED = {
    # Of the few payments of one order, or with a conflict, where an engine can't keep them in order.
    "list payments of an order": 1,
    "list schedules of an order": 1,
    "list payments with a conflict": (FINISHED + DUE + WAITING + GIVEN_UP) // 500,
}


class _Rerun:
    """A transaction as a rerun has it."""

    is_rerun = True

    def __init__(self, tx: Transaction) -> None:
        self.rows = tx.rows


@pytest.fixture(params=["as the sessions plan", "as the engine plans"])
def database(
    request: pytest.FixtureRequest, backend: Backend, payment_database_url: str, clock: TestClock
) -> Iterator[Database]:
    url = payment_database_url if request.param == "as the sessions plan" else with_default_plans(payment_database_url)
    if url is None:
        pytest.skip("there is nothing the session tells the planner of this engine")
    with opened(url, clock) as database:
        database.transact(_fill)
        analyzed(database)
        yield database


def test_no_hot_query_scans_or_sorts(database: Database) -> None:
    found = {name: costs_of(database, work) for name, work in HOT.items()}

    assert {name: costs for name, costs in found.items() if costs.read > MOST_READ} == {}
    assert {name: costs for name, costs in found.items() if costs.sorted > SORTED.get(name, 0)} == {}
    assert {name: costs for name, costs in found.items() if costs.scanned - {NotifyTarget._meta.table_name}} == {}
    assert all(costs.statements for costs in found.values())


def test_a_scan_and_a_sort_are_seen_for_what_they_are(database: Database) -> None:
    unserved = Payment.select(Payment.id).order_by(Payment.trade_no).limit(PAGE)
    costs = costs_of(database, lambda tx: tx.rows(unserved))

    assert costs.read > MOST_READ
    assert costs.sorted > 0
