"""Every process does its work with no other rights than docs/backends.md gives it, read from that page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from peewee import PeeweeException

from core.clock import SystemClock
from core.outbox.purge import purge
from core.rules.errors import Unavailable
from paylatch.order.v1 import order_service_pb2
from paylatch.order.v1.order_enums_pb2 import EXCEPTION_RESOLUTION_RETURNED, ITEM_KIND_GOODS, ITEM_KIND_VOUCHER
from paylatch.order.v1.order_pb2 import OrderItem
from tests.support.databases import SERVERS, Backend, opened, run_sql
from tests.support.processes import BOUND, IMPATIENT, System, eventually, run_module
from tests.support.shop import PLATFORM, Shop, numbers

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"
BLOCK = re.compile(r"<!-- (\w+): (\w+) -->\n```sql\n(.*?)```", re.DOTALL)
PROCESSES = ("payment_server", "order_server", "scheduler")
EVERYTHING = ("migrator", *PROCESSES, "payment", "order")


@dataclass(frozen=True)
class Site:
    """A server where somebody did what the page says, under names of this test's own."""

    admin_url: str
    names: dict[str, str]

    @property
    def engine(self) -> str:
        """As the page calls it."""
        return urlsplit(self.admin_url).scheme

    def url(self, role: str, database: str) -> str:
        """How a role reaches a database."""
        admin = urlsplit(self.admin_url)
        who_and_where = f"{self._named(role)}:secret@{admin.netloc.rpartition('@')[2]}"
        return admin._replace(netloc=who_and_where, path=f"/{self._named(database)}").geturl()

    def follow(self, part: str, url: str) -> None:
        """Run the statements of a part of the page."""
        text = next(
            text for engine, name, text in BLOCK.findall(PAGE.read_text()) if (engine, name) == (self.engine, part)
        )
        for statement in text.strip().split(";"):
            if statement.strip():
                self.run(self._renamed(statement.strip()).replace("%", "%%"), url)

    def run(self, statement: str, url: str) -> list[object]:
        """Run one statement."""
        with opened(url, SystemClock()) as database:
            return run_sql(database, statement)

    def clear(self) -> None:
        """Drop whatever the page made."""
        is_mysql = self.engine == "mysql"
        for database in ("payment", "order"):
            self.run(f"DROP DATABASE {self._named(database)}{'' if is_mysql else ' WITH (FORCE)'}", self.admin_url)
        for role in ("migrator", *PROCESSES):
            self.run(f"DROP {'USER' if is_mysql else 'ROLE'} {self._named(role)}", self.admin_url)

    def _named(self, what: str) -> str:
        return self.names[f"paylatch_{what}"]

    def _renamed(self, statement: str) -> str:
        plain = re.sub(r"\bpaylatch_\w+", lambda found: self.names[found[0]], statement)
        return re.sub(r"\bpaylatch\\_(\w+)", lambda found: self._named(found[1]).replace("_", r"\_"), plain)


@contextmanager
def made(backend: Backend) -> Iterator[Site]:
    """The roles and databases of the page."""
    admin_url = backend.fresh()
    unique = urlsplit(admin_url).path[1:].removeprefix("paylatch_test_")
    site = Site(admin_url, {f"paylatch_{what}": f"pl{unique}_{what}" for what in EVERYTHING})
    site.follow("roles", admin_url)
    try:
        yield site
    finally:
        site.clear()
        backend.take_back(admin_url)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_each_process_does_its_work_with_the_rights_that_are_documented_and_has_no_others(
    backend: Backend, tmp_path: Path
) -> None:
    with made(backend) as site:
        migrated = {side: site.url("migrator", side) for side in ("payment", "order")}
        settings = {**IMPATIENT, "notify_max_attempts": "2", "notify_retry_waits": "1s"}
        with System(tmp_path, settings, payment_url=migrated["payment"], order_url=migrated["order"]) as system:
            for side, url in migrated.items():
                site.follow(side, site.admin_url if site.engine == "mysql" else url)
            start(system, site, "scheduler", "order-server", "payment-server")
            with Shop(system.settings) as shop:
                deliver_at_once(shop)
                deliver_after_an_outage(system, site, shop)
                give_up_and_operate(system, shop)
                change_orders(shop)
            errors = [line for _, line in system.lines.errors() if '"notify.given_up"' not in line]
            assert errors == []
        purge_everything(site)
        refused(site)


def start(system: System, site: Site, *names: str) -> None:
    """Start these with their own roles."""
    for name in names:
        role = name.replace("-", "_")
        side = "order" if role == "order_server" else "payment"
        system.start(name, **{f"{side}_database_url": site.url(role, side)})


def deliver_at_once(shop: Shop) -> None:
    orders = numbers(3)
    shop.create_orders(orders)
    shop.create_payments(orders)
    shop.report(orders)
    eventually(lambda: shop.are_notified(orders))


def deliver_after_an_outage(system: System, site: Site, shop: Shop) -> None:
    """What the order server and then the payment server died in is the scheduler's: retries, lapses, the breaker."""
    orders = [f"B-{number}" for number in range(30)]
    shop.create_orders(orders)
    shop.create_payments(orders)
    system["order-server"].kill()
    shop.report(orders)
    system["payment-server"].kill()
    start(system, site, "order-server", "payment-server")
    eventually(lambda: shop.are_notified(orders))


def give_up_and_operate(system: System, shop: Shop) -> None:
    """Payments of orders that are not there are given up; an operator requeues one, closes one, stops a target."""
    shop.create_payments(["C-1", "C-2"])
    shop.report(["C-1", "C-2"])
    senders = ("scheduler", "payment-server")
    eventually(lambda: sum(len(system.lines.events(name, "notify.given_up")) for name in senders) == 2)
    shop.create_orders(["C-1"])
    why = ("--operator", "ann", "--reason", "looked at")
    notify(system, "retry", f"{PLATFORM}/C-1", "--action", "requeue", *why)
    eventually(lambda: shop.are_notified(["C-1"]))
    notify(system, "abandon", f"{PLATFORM}/C-2", *why)
    notify(system, "explain", f"{PLATFORM}/C-2")
    target = system.settings.notify_targets[0]
    notify(system, "pause", target, *why)
    notify(system, "targets")
    notify(system, "resume", target, *why)
    assert run_module("cli", "reconcile", "--grace", "0s", settings=system.overrides).stderr == ""


def notify(system: System, *arguments: str) -> None:
    """One of the operator's commands."""
    ended = run_module("cli", "notify", *arguments, settings=system.overrides)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def purge_everything(site: Site) -> None:
    """What the scheduler does when the retention is over."""
    with opened(site.url("scheduler", "payment"), SystemClock()) as database:
        stretch = database.transact(lambda tx: purge(tx, tx.now + timedelta(minutes=1), 0, 500))
    assert stretch.purged > 30


def change_orders(shop: Shop) -> None:
    """Everything of OrderService that writes."""
    shop.create_orders(["D-1"])
    for order_no, step in [
        *[("A-0001", step) for step in ("ProcessOrder", "CompleteOrder")],
        *[("D-1", step) for step in ("StartPayment", "CancelOrder")],
    ]:
        call(shop, step, order_no=order_no, operator="ann", description="asked for")
    resolve_an_exception(shop)
    complete_a_follow_up(shop)


def resolve_an_exception(shop: Shop) -> None:
    """A payment of a cancelled order is listed until a person has given the money back."""
    shop.create_payments(["D-1"])
    shop.report(["D-1"])
    eventually(lambda: shop.are_notified(["D-1"]))
    key = {"platform_id": PLATFORM, "payment_code": "D-1"}
    returned = {"resolution": EXCEPTION_RESOLUTION_RETURNED, "operator": "ann", "reason": "cancelled before"}
    call(shop, "ResolvePaymentException", **key, **returned)
    assert not call(shop, "ListPaymentExceptions").payment_exceptions


def complete_a_follow_up(shop: Shop) -> None:
    """A paid order takes goods, gets vouchers, and lacks something until it is there."""
    call(shop, "SetInventory", sku="BOOK", on_hand=0, operator="ann", reason="counted")
    request = shop.order_to_create("E-1")
    request.items.append(OrderItem(sku="BOOK", quantity=1, kind=ITEM_KIND_GOODS))
    request.items.append(OrderItem(sku="GIFT", quantity=2, kind=ITEM_KIND_VOUCHER))
    shop.clients.order.orders.CreateOrder(request, timeout=BOUND)
    shop.create_payments(["E-1"])
    shop.report(["E-1"])
    eventually(lambda: shop.are_notified(["E-1"]))
    assert len(call(shop, "ListVouchers", order_no="E-1").vouchers) == 2
    call(shop, "SetInventory", sku="BOOK", on_hand=5, operator="ann", reason="delivered")
    (lacking,) = call(shop, "ListOrderFollowUps").order_follow_ups
    open_one = {"order_no": "E-1", "name": lacking.name, "sku": "BOOK"}
    call(shop, "RetryOrderFollowUp", **open_one, operator="ann", reason="there now")
    assert not call(shop, "ListOrderFollowUps").order_follow_ups


def call(shop: Shop, method: str, **fields: Any) -> Any:
    """The answer of OrderService."""
    request = getattr(order_service_pb2, f"{method}Request")(**fields)
    return getattr(shop.clients.order.orders, method)(request, timeout=BOUND)


def refused(site: Site) -> None:
    """What a process has no business with."""
    quoted = "`order`" if site.engine == "mysql" else '"order"'
    wrong = [
        ("payment_server", "payment", "DELETE FROM payment"),
        ("payment_server", "payment", "DELETE FROM notify_schedule"),
        ("payment_server", "payment", "UPDATE operator_action SET reason = 'x'"),
        ("scheduler", "payment", "SELECT * FROM payment"),
        ("scheduler", "payment", "DELETE FROM payment_result"),
        ("order_server", "order", f"DELETE FROM {quoted}"),
        ("order_server", "order", "UPDATE order_status_log SET operator = 'x'"),
        ("order_server", "order", "CREATE TABLE mine (id INT)"),
        ("order_server", "payment", "SELECT 1"),
        ("scheduler", "order", "SELECT 1"),
    ]
    for role, side, statement in wrong:
        with pytest.raises((PeeweeException, Unavailable), match=r"(?i)denied|not available"):
            site.run(statement, site.url(role, side))
