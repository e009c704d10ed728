"""Short stories that are told without randomness, so that each of their boundaries has a number.

A scenario sets its people to work; `boundaries` tells it once well, and then once for each thing that can go wrong at
each boundary.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from tests.simulation.customers import ACCEPTED, FAILED, GOODS, VOUCHER, Customers, Operator, Payment
from tests.simulation.processes import Process
from tests.simulation.watch import FAILED as GIVEN_UP
from tests.simulation.watch import NOTIFYING, ScheduleRow
from tests.simulation.watch import SUCCESS as DELIVERED
from tests.simulation.world import LEASE, World

AMOUNT = 1_234
ITEMS = [("tea", 2, GOODS), ("gift", 1, VOUCHER)]
STOCK = {"tea": 3}

Scenario = Callable[[World, Customers, Operator], None]


def _payment(world: World, number: int = 1, **changes: object) -> Payment:
    content = {"code": f"P-{number}", "order_no": f"O-{number}", "amount": AMOUNT, "target": world.targets[0]}
    return Payment(**content | changes)  # type: ignore[arg-type]  # as the fields are


def a_payment_reaches_its_order(world: World, customers: Customers, operator: Operator) -> None:
    """Order, start, pay, report: the first attempt delivers."""

    def tell() -> None:
        customers.order("O-1", AMOUNT, ITEMS)
        customers.start_payment("O-1")
        customers.create_payment(_payment(world))
        customers.report(_payment(world))

    customers.begin(tell)


def a_failed_payment_and_then_a_good_one(world: World, customers: Customers, operator: Operator) -> None:
    """The second try of a customer pays the order."""

    def tell() -> None:
        customers.order("O-1", AMOUNT)
        for payment in (_payment(world, status=FAILED), _payment(world, 2, order_no="O-1")):
            customers.create_payment(payment)
            customers.report(payment)
            world.turns.pause(1)

    customers.begin(tell)


def reports_at_the_same_time(world: World, customers: Customers, operator: Operator) -> None:
    """Three platforms report at once: one leads, the others share the next commit."""

    def tell() -> None:
        for number in (1, 2, 3):
            customers.order(f"O-{number}", AMOUNT)
            customers.create_payment(_payment(world, number))
        for number in (1, 2, 3):
            customers.begin(lambda number=number: customers.report(_payment(world, number)))  # type: ignore[misc]

    customers.begin(tell)


def reports_in_one_batch(world: World, customers: Customers, operator: Operator) -> None:
    """A platform reports three payments in one call, one of another amount; their notifications go in one call."""

    def tell() -> None:
        payments = [_payment(world, 1, amount=AMOUNT + 1), _payment(world, 2), _payment(world, 3)]
        for payment in payments:
            customers.order(payment.order_no, AMOUNT)
            customers.create_payment(payment)
        customers.report_together(payments)

    customers.begin(tell)


def the_same_twice_and_then_the_opposite(world: World, customers: Customers, operator: Operator) -> None:
    """Everything is asked for twice, and a settled payment is reported otherwise."""

    def tell() -> None:
        for _ in range(2):
            customers.order("O-1", AMOUNT)
            customers.create_payment(_payment(world))
        customers.report(_payment(world, reports=2, contradicted=True))

    customers.begin(tell)


def the_order_comes_late(world: World, customers: Customers, operator: Operator) -> None:
    """The payment is settled before the order is there: NOT_FOUND, and the scheduler delivers."""

    def tell() -> None:
        customers.create_payment(_payment(world))
        customers.report(_payment(world))
        customers.order("O-1", AMOUNT)

    customers.begin(tell)


def the_order_server_is_away(world: World, customers: Customers, operator: Operator) -> None:
    """Nobody listens at first: given back, breaker, a probe, and the rest in one call."""
    world.network.cut.add(world.targets[0])

    def tell() -> None:
        payments = [_payment(world, number) for number in (1, 2, 3)]
        for payment in payments:
            customers.create_payment(payment)
        customers.report_together(payments)
        world.turns.pause(4)
        world.network.cut.clear()
        for payment in payments:
            customers.order(payment.order_no, AMOUNT)

    customers.begin(tell)


def a_sender_is_frozen_longer_than_its_lease(world: World, customers: Customers, operator: Operator) -> None:
    """The scheduler takes over, and the late sender brings what it knows."""

    def tell() -> None:
        customers.order("O-1", AMOUNT, ITEMS)
        customers.create_payment(_payment(world))
        customers.report(_payment(world))
        for slot, process in world.processes.items():
            if slot.startswith("payment"):
                process.frozen_until = world.turns.now + 1.5 * LEASE.total_seconds()

    customers.begin(tell)


def a_late_failure_meets_another_claim(world: World, customers: Customers, operator: Operator) -> None:
    """The sender's call fails while it is frozen; it comes back when the scheduler is calling."""

    def tell() -> None:
        customers.order("O-1", AMOUNT)
        customers.create_payment(_payment(world))
        world.network.cut.add(world.targets[0])
        customers.report(_payment(world))
        sender = _sender(world)
        sender.frozen_until = world.turns.now + 60
        while not any(_is_with_a_scheduler_or_done(row) for row in world.watch.payment.schedules.values()):
            world.turns.pause(0.25)
        world.turns.thaw(sender)
        world.turns.pause(2)
        world.network.cut.clear()

    customers.begin(tell)


def _is_with_a_scheduler_or_done(row: ScheduleRow) -> bool:
    return row.status != NOTIFYING or (row.claimed_by or "").startswith("scheduler")


def the_order_database_is_restored(world: World, customers: Customers, operator: Operator) -> None:
    """It lacks an acknowledged payment: an operator reopens it, and what a late sender knew before proves nothing."""

    def tell() -> None:
        payment = _payment(world)
        customers.order("O-1", AMOUNT, ITEMS)
        customers.create_payment(payment)
        backup = world.back_up_orders()
        customers.report(payment)
        sender = _sender(world)
        sender.frozen_until = world.turns.now + 60
        while any(row.status != DELIVERED for row in world.watch.payment.schedules.values()):
            operator.requeue_failed()
            world.turns.pause(0.25)
        world.restore_orders(backup)
        while payment.key in world.watch.forgotten:
            operator.retry(payment_enums.RETRY_ACTION_REOPEN, [payment.key])
        world.turns.thaw(sender)

    customers.begin(tell)


def _sender(world: World) -> Process:
    """Who makes the first attempt; any payment server, if that is over."""
    holders = {row.claimed_by for row in world.watch.payment.schedules.values()}
    servers = [world.processes[address] for address in world.payment_addresses]
    return next((server for server in servers if server.name in holders), servers[0])


def two_payments_of_one_order(world: World, customers: Customers, operator: Operator) -> None:
    """One pays it, the other is an exception that somebody closes."""

    def tell() -> None:
        customers.order("O-1", AMOUNT)
        payments = [_payment(world), _payment(world, 2, order_no="O-1")]
        for payment in payments:
            customers.create_payment(payment)
        customers.report_together(payments)
        world.turns.pause(3)
        for key in world.watch.order.notifies:
            operator.resolve(key, 1)

    customers.begin(tell)


def another_amount_is_accepted(world: World, customers: Customers, operator: Operator) -> None:
    """An amount that differs waits for a person, who takes it: the order is paid, goods and vouchers follow."""

    def tell() -> None:
        customers.order("O-1", AMOUNT, ITEMS)
        payment = _payment(world, amount=AMOUNT + 1)
        customers.create_payment(payment)
        customers.report(payment)
        world.turns.pause(3)
        for _ in range(2):
            operator.resolve(payment.key, ACCEPTED)

    customers.begin(tell)


def a_cancelled_order_is_paid(world: World, customers: Customers, operator: Operator) -> None:
    """Money to give back."""

    def tell() -> None:
        customers.order("O-1", AMOUNT)
        customers.cancel("O-1")
        customers.create_payment(_payment(world))
        customers.report(_payment(world))

    customers.begin(tell)


def goods_are_short(world: World, customers: Customers, operator: Operator) -> None:
    """Two orders want the last piece; the one that came second is listed, and stays so after a retry."""

    def tell() -> None:
        payments = [_payment(world, number) for number in (1, 2)]
        for payment in payments:
            customers.order(payment.order_no, AMOUNT, ITEMS)
            customers.create_payment(payment)
        customers.report_together(payments)
        world.turns.pause(3)
        for order_no, name, sku, *_ in world.watch.order.follow_ups:
            operator.retry_follow_up(order_no, name, sku)

    customers.begin(tell)


def vouchers_are_jammed(world: World, customers: Customers, operator: Operator) -> None:
    """A follow-up raises: the payment stands, the follow-up is listed, and a retry does it."""
    world.given.is_jammed = True

    def tell() -> None:
        customers.order("O-1", AMOUNT, ITEMS)
        customers.create_payment(_payment(world))
        customers.report(_payment(world))
        while not world.watch.order.follow_ups:
            operator.requeue_failed()
            world.turns.pause(1)
        world.given.is_jammed = False
        for _ in range(2):
            operator.retry_follow_up(*world.watch.order.follow_ups[0][:3])

    customers.begin(tell)


def given_up_and_requeued(world: World, customers: Customers, operator: Operator) -> None:
    """The order never comes within the budget: given up with an alarm; it comes, and an operator requeues."""

    def tell() -> None:
        customers.create_payment(_payment(world))
        customers.report(_payment(world))
        while _payment(world).key not in world.watch.order.notifies:
            if any(row.status == GIVEN_UP for row in world.watch.payment.schedules.values()):
                customers.order("O-1", AMOUNT)
                operator.requeue_failed()
            world.turns.pause(1)

    customers.begin(tell)


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.__name__: scenario
        for scenario in (
            a_payment_reaches_its_order,
            a_failed_payment_and_then_a_good_one,
            reports_at_the_same_time,
            reports_in_one_batch,
            the_same_twice_and_then_the_opposite,
            the_order_comes_late,
            the_order_server_is_away,
            a_sender_is_frozen_longer_than_its_lease,
            a_late_failure_meets_another_claim,
            the_order_database_is_restored,
            two_payments_of_one_order,
            another_amount_is_accepted,
            a_cancelled_order_is_paid,
            goods_are_short,
            vouchers_are_jammed,
            given_up_and_requeued,
        )
    }
)
