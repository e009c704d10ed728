"""The five life cycles (SPEC 3), all on this page. There is no other way to change a status.

A machine of `transitions` defines each life cycle and is only ever asked "this status and that event: where to?". It
never holds a row and its callbacks never do I/O: the answer, a `Move`, is made true by `Transaction.compare_and_set`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from transitions import Machine

from core.rules.codes import OrderPaymentStatus, OrderStatus, PaymentStatus, ResultStatus, ScheduleStatus
from core.rules.errors import IllegalEvent


@dataclass(frozen=True, slots=True)
class Move:
    """One legal change of status, to be written as `UPDATE … SET status = to WHERE status = from_`."""

    life_cycle: str
    event: str
    from_: IntEnum
    to: IntEnum


class LifeCycle:
    """One machine, and the table of its moves derived from it.

    meanings: what each state says, in a line; a row begins in the first. transitions: event, from, to.
    """

    def __init__(
        self, name: str, meanings: Mapping[IntEnum, str], transitions: Sequence[tuple[str, IntEnum, IntEnum]]
    ) -> None:
        self.name = name
        self.meanings = meanings
        self.machine = Machine(
            model=None,
            states=list(meanings),
            initial=None,
            auto_transitions=False,
            transitions=[list(transition) for transition in transitions],  # type: ignore[misc]  # enums are accepted
        )
        self._moves = self._derive_moves()

    def _derive_moves(self) -> Mapping[tuple[IntEnum, str], Move]:
        states = {state.name: state for state in self.meanings}
        return {
            (states[source], event.name): Move(self.name, event.name, states[source], states[str(leg.dest)])
            for event in self.machine.events.values()
            for source, legs in event.transitions.items()
            for leg in legs
        }

    @property
    def moves(self) -> Sequence[Move]:
        """Every legal move, in the order of the page below."""
        return tuple(self._moves.values())

    @property
    def events(self) -> Sequence[str]:
        """Every event, legal somewhere."""
        return tuple(self.machine.events)

    def allows(self, current: IntEnum, event: str) -> bool:
        """Whether `event` is legal in `current`."""
        return (current, event) in self._moves

    def legal_events(self, current: IntEnum) -> tuple[str, ...]:
        """The events that are legal in `current`."""
        return tuple(event for (source, event) in self._moves if source == current)

    def move(self, current: IntEnum, event: str) -> Move:
        """The move that `event` makes from `current`.

        Raises:
            IllegalEvent: there is none; it names the current status and the legal events.
        """
        move = self._moves.get((current, event))
        if move is None:
            raise IllegalEvent(self.name, current.name, event, self.legal_events(current))
        return move


PAYMENT = LifeCycle(
    "payment.status",
    {
        PaymentStatus.WAITING: "created; the platform has not reported how it ended",
        PaymentStatus.SUCCESS: "the platform has the money; settled for ever",
        PaymentStatus.FAILED: "no money was taken; settled for ever",
    },
    [
        ("succeed", PaymentStatus.WAITING, PaymentStatus.SUCCESS),
        ("fail", PaymentStatus.WAITING, PaymentStatus.FAILED),
    ],
)

RESULT = LifeCycle(
    "payment_result.notify_status",
    {
        ResultStatus.UNNOTIFIED: "settled; the order side may not know it yet",
        ResultStatus.NOTIFIED: "the order side has it, and said what it did with it",
    },
    [
        ("acknowledge", ResultStatus.UNNOTIFIED, ResultStatus.NOTIFIED),
        ("reopen", ResultStatus.NOTIFIED, ResultStatus.UNNOTIFIED),
    ],
)

SCHEDULE = LifeCycle(
    "notify_schedule.notify_status",
    {
        ScheduleStatus.NOTIFYING: "being delivered: due, waiting for its time, or held by a worker",
        ScheduleStatus.FAILED: "given up or abandoned, with the reason; open until a person has handled it",
        ScheduleStatus.SUCCESS: "the order side has it",
    },
    [
        ("retry", ScheduleStatus.NOTIFYING, ScheduleStatus.NOTIFYING),
        ("give_up", ScheduleStatus.NOTIFYING, ScheduleStatus.FAILED),
        ("abandon", ScheduleStatus.NOTIFYING, ScheduleStatus.FAILED),
        ("acknowledge", ScheduleStatus.NOTIFYING, ScheduleStatus.SUCCESS),
        ("acknowledge", ScheduleStatus.FAILED, ScheduleStatus.SUCCESS),
        ("requeue", ScheduleStatus.FAILED, ScheduleStatus.NOTIFYING),
        ("reopen", ScheduleStatus.SUCCESS, ScheduleStatus.NOTIFYING),
    ],
)

ORDER = LifeCycle(
    "order.order_status",
    {
        OrderStatus.NEW: "can be paid or cancelled",
        OrderStatus.PAID: "paid; not worked on yet",
        OrderStatus.PROCESSING: "being worked on",
        OrderStatus.COMPLETED: "done; for ever",
        OrderStatus.CANCELLED: "called off before it was paid; for ever",
    },
    [
        ("pay", OrderStatus.NEW, OrderStatus.PAID),
        ("process", OrderStatus.PAID, OrderStatus.PROCESSING),
        ("complete", OrderStatus.PROCESSING, OrderStatus.COMPLETED),
        ("cancel", OrderStatus.NEW, OrderStatus.CANCELLED),
    ],
)

ORDER_PAYMENT = LifeCycle(
    "order.payment_status",
    {
        OrderPaymentStatus.UNPAID: "no payment was begun",
        OrderPaymentStatus.PAYING: "a payment is under way",
        OrderPaymentStatus.PAID: "one payment paid it; for ever",
        OrderPaymentStatus.FAILED: "the last payment failed; another may be made",
    },
    [
        ("start", OrderPaymentStatus.UNPAID, OrderPaymentStatus.PAYING),
        ("start", OrderPaymentStatus.FAILED, OrderPaymentStatus.PAYING),
        ("succeed", OrderPaymentStatus.UNPAID, OrderPaymentStatus.PAID),
        ("succeed", OrderPaymentStatus.PAYING, OrderPaymentStatus.PAID),
        ("succeed", OrderPaymentStatus.FAILED, OrderPaymentStatus.PAID),
        ("fail", OrderPaymentStatus.UNPAID, OrderPaymentStatus.FAILED),
        ("fail", OrderPaymentStatus.PAYING, OrderPaymentStatus.FAILED),
    ],
)

ALL = (PAYMENT, RESULT, SCHEDULE, ORDER, ORDER_PAYMENT)
