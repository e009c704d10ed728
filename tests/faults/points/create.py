"""Creating an order, creating a payment: killed around COMMIT, a COMMIT that raises, two at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from order_server.tables import Order
from payment_server.tables import Payment
from tests.faults.catalogue import point
from tests.faults.customer import Answer, Customer
from tests.faults.points.transactions import AFTER, BEFORE, CREATE_ORDER, CREATE_PAYMENT
from tests.faults.run import Run

OTHER_AMOUNT = 1


@dataclass(frozen=True, slots=True)
class Creation:
    """One of the two things that can be created. of: the call. there: how many rows of a code there are."""

    step: str
    server: str
    transaction: str
    of: Callable[[Customer, str, int], Answer]
    there: Callable[[Run, str], int]


def _orders(run: Run, code: str) -> int:
    return run.world.order_database.read(lambda tx: tx.count(Order.select().where(Order.order_no == code)))


def _payments(run: Run, code: str) -> int:
    return run.world.payment_database.read(lambda tx: tx.count(Payment.select().where(Payment.payment_code == code)))


CREATIONS = (
    Creation(
        "create order", "order-server", CREATE_ORDER, lambda c, code, amount: c.create_order(code, amount), _orders
    ),
    Creation(
        "create payment",
        "payment-server",
        CREATE_PAYMENT,
        lambda c, code, amount: c.create_payment(code, amount=amount),
        _payments,
    ),
)
AMOUNT = 4_711


def _killed(creation: Creation, moment: str, rows: int) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        code = run.code()
        trap = run.world.trap(creation.server, creation.transaction, moment)
        pending = run.customer.later(lambda: creation.of(run.customer, code, AMOUNT))
        trap.wait()
        run.world.restart(creation.server)
        run.fired()
        assert pending.result().is_unknown, pending.result()
        assert creation.there(run, code) == rows
        _hold_created_once(run, creation, code)

    return cross


def _commit_raises(creation: Creation, *, durable: bool) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        code = run.code()
        answer = run.world.commit_raises(
            creation.server,
            creation.transaction,
            lambda: creation.of(run.customer, code, AMOUNT),
            durable=(lambda: creation.there(run, code)) if durable else None,
        )
        run.fired()
        run.done(answer)
        _hold_created_once(run, creation, code)

    return cross


def _hold_created_once(run: Run, creation: Creation, code: str) -> None:
    """The same key again is answered alike, other content is refused, and the flow goes on."""
    first = run.customer.insist(lambda: creation.of(run.customer, code, AMOUNT))
    again = creation.of(run.customer, code, AMOUNT)
    run.done(first)
    assert first == again
    assert creation.of(run.customer, code, OTHER_AMOUNT).code is grpc.StatusCode.ALREADY_EXISTS
    assert creation.there(run, code) == 1
    for other in CREATIONS:
        run.done(other.of(run.customer, code, AMOUNT))
    run.done(run.customer.report(code))


def _at_once(creation: Creation) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        code = run.code()
        pending = [run.customer.later(lambda: creation.of(run.customer, code, AMOUNT)) for _ in range(2)]
        answers: list[Any] = [each.result() for each in pending]
        run.fired()
        run.done(answers[0])
        assert answers[0] == answers[1]
        _hold_created_once(run, creation, code)

    return cross


for _creation in CREATIONS:
    point(_creation.step, "kill before COMMIT", quick=True)(_killed(_creation, BEFORE, rows=0))
    point(_creation.step, "kill after COMMIT")(_killed(_creation, AFTER, rows=1))
    point(_creation.step, "COMMIT raises, is durable")(_commit_raises(_creation, durable=True))
    point(_creation.step, "COMMIT raises, is not")(_commit_raises(_creation, durable=False))
    point("create ×2", _creation.step.removeprefix("create "))(_at_once(_creation))
