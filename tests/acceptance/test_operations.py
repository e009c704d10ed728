"""An operator who was given only OPERATIONS.md and the command line mends a system that is broken in five ways.

The commands are those of the page, word for word, and what it shows of their answers is what they answer.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.outbox.tables import NotifySchedule
from core.rules.codes import ScheduleStatus
from order_server.tables import OrderPaymentNotify
from paylatch.order.v1.order_service_pb2 import CancelOrderRequest
from tests.support.books import Books
from tests.support.databases import opened, run_sql
from tests.support.processes import IMPATIENT, System, eventually, run_module
from tests.support.runbook import Step, sql_of, steps_of
from tests.support.shop import Shop

SETTLED = "F-0001"
CANCELLED = "C-0001"
POISON = "P-0666"
GIVEN_UP = [f"G-{number:04d}" for number in range(500)]
OF_A_DEAD_TARGET = [f"M-{number:04d}" for number in range(20)]
NEIGHBOURS = [f"N-{number:04d}" for number in range(7)]
ORDERS = [SETTLED, CANCELLED, POISON, *GIVEN_UP, *OF_A_DEAD_TARGET, *NEIGHBOURS]

WIDTH_OF_THE_PAGE = "118"
POISONED = {"module": "tests.support.odd.poisoned_order_server", "test_poison": POISON}
SETTINGS = {**IMPATIENT, "notify_retry_waits": ",".join(["1s"] * 4 + ["1m"] * 5)}
SHORT = {"notify_window": "2s", "notify_max_attempts": "2", "notify_retry_waits": "1s"}
"""What a payment server had when the outage was longer than its window."""


class Operator:
    """Does what OPERATIONS.md says, and nothing else. Whoever supervises the processes starts them again."""

    def __init__(self, system: System, shop: Shop) -> None:
        self._system = system
        self._shop = shop
        receiver, dead = (system.addresses[name] for name in ("order-server", "order-server-2"))
        self._names = {
            "grpc://10.0.0.11:50052": f"grpc://{receiver}",
            "grpc://10.0.0.12:50052": f"grpc://{dead}",
        }

    def follow(self, block: str) -> None:
        """The commands of a block, one after the other; each answers as the page shows."""
        for step in steps_of(block):
            answer = self._run(step)
            assert step.missing(self._as_on_the_page(answer)) == [], answer

    def await_isolation(self) -> None:
        """Until the notification that kills its receiver is alone, and nobody holds it; the receiver is restarted."""

        def is_alone() -> bool:
            self._system.launch("order-server", **POISONED)
            return self._shop.are_notified(NEIGHBOURS) and not self._shop.schedule(POISON).schedule.is_claimed

        eventually(is_alone, bound=60.0)

    def _run(self, step: Step) -> str:
        program, *words = step.words(self._names)
        if program == "systemctl":
            self._control(*words)
            return ""
        assert program == "paylatch"
        done = run_module("cli", *words, settings=self._system.overrides)
        assert done.returncode in {0, 1}, done.stderr
        assert done.returncode == 0 or words[0] in {"reconcile", "health"}, done.stdout
        return done.stdout

    def _control(self, action: str, unit: str) -> None:
        name = unit.removeprefix("paylatch-")
        if action == "restart":
            self._system[name].kill()
        self._system.start(name)

    def _as_on_the_page(self, answer: str) -> str:
        for on_the_page, real in self._names.items():
            answer = answer.replace(real, on_the_page)
        return answer


@pytest.fixture
def system(payment_database_url: str, order_database_url: str, tmp_path: Path) -> Iterator[System]:
    with System(
        tmp_path, SETTINGS, payment_url=payment_database_url, order_url=order_database_url, order_servers=2
    ) as system:
        yield system


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_operator_with_the_page_and_the_commands_mends_whatever_is_broken(
    system: System, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", WIDTH_OF_THE_PAGE)
    break_it(system, shop)
    operator = Operator(system, shop)
    operator.follow("first look")
    operator.follow("no scheduler")
    operator.await_isolation()
    operator.follow("poisoned")
    operator.follow("mended")
    eventually(lambda: shop.are_notified([POISON]))
    operator.follow("moved")
    eventually(lambda: shop.are_notified(OF_A_DEAD_TARGET))
    operator.follow("given up")
    operator.follow("cancelled")
    eventually(lambda: shop.are_notified(GIVEN_UP))
    operator.follow("all well")
    everything_is_settled_once(system)
    everything_is_on_record(system)


def break_it(system: System, shop: Shop) -> None:
    """A healthy system first; then an outage longer than the window; then everything else."""
    system.start("payment-server", **SHORT)
    system.start("scheduler", "order-server", "order-server-2")
    shop.create_orders(ORDERS)
    shop.create_payments(sorted(set(ORDERS) - set(OF_A_DEAD_TARGET)))
    with Shop(system.settings_by(2)) as elsewhere:
        elsewhere.create_payments(OF_A_DEAD_TARGET)
    cancel = CancelOrderRequest(order_no=CANCELLED, operator="shop", description="the customer changed his mind")
    shop.clients.order.orders.CancelOrder(cancel, timeout=10)
    shop.report([SETTLED, CANCELLED])
    eventually(lambda: shop.are_notified([SETTLED, CANCELLED]))

    for name in ("order-server", "order-server-2"):
        system[name].kill()
    shop.report(GIVEN_UP)
    eventually(lambda: len(system.lines.events("scheduler", "notify.given_up")) == len(GIVEN_UP))
    for name in ("scheduler", "payment-server"):
        system[name].kill()

    with _rested(system):
        system.start("payment-server")
        shop.report([POISON, *NEIGHBOURS, *OF_A_DEAD_TARGET])
    system.start("order-server", **POISONED)


@contextmanager
def _rested(system: System) -> Iterator[None]:
    """Until the first attempts of what is reported meanwhile are over: nothing is held any more."""
    yield
    with opened(system.settings.payment_database_url, SystemClock()) as database:
        held = NotifySchedule.claim_token.is_null(False)
        eventually(lambda: database.read(lambda tx: tx.count(NotifySchedule.select().where(held))) == 0)


def everything_is_settled_once(system: System) -> None:
    """Each order is paid by its payment, once, but for the one that was cancelled."""
    books = Books(system.settings)
    assert {row.notify_status for row in books.schedules} == {ScheduleStatus.SUCCESS}
    assert len(books.notifies) == len(ORDERS)
    paid = {order.order_no: order.paid_payment_code for order in books.orders if order.paid_payment_code is not None}
    assert paid == {order_no: order_no for order_no in ORDERS if order_no != CANCELLED}


def everything_is_on_record(system: System) -> None:
    """Who did what to what, and why; dry runs left nothing."""
    with opened(system.settings.payment_database_url, SystemClock()) as database:
        rows = run_sql(database, sql_of("audit"))
    assert {row[1] for row in rows} == {"ann"}
    assert all(row[-1] for row in rows)
    done = Counter((row[2], row[3] is None) for row in rows)
    assert done == {
        ("pause_target", True): 2,
        ("resume_target", True): 1,
        ("abandon", False): 1,
        ("requeue", False): len(GIVEN_UP) + 1,
        ("due_now", False): len(OF_A_DEAD_TARGET),
    }
    reasons = {row[-1] for row in rows if row[4] == POISON}
    assert reasons == {"kills the order server; to be requeued when it is mended", "the order server is mended"}
    with opened(system.settings.order_database_url, SystemClock()) as database:
        of_cancelled = OrderPaymentNotify.select().where(OrderPaymentNotify.payment_code == CANCELLED)
        (notify,) = database.read(lambda tx: tx.rows(of_cancelled))
    assert (notify.resolved_by, notify.resolved_reason) == ("ann", "refund R-77 at the card platform")
