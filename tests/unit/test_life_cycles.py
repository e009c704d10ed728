"""SPEC 3's table, written out, against every state and every event of every life cycle."""

from enum import IntEnum
from itertools import product

import pytest
from transitions import MachineError

from core.rules.codes import OrderPaymentStatus, OrderStatus, PaymentStatus, ResultStatus, ScheduleStatus
from core.rules.errors import IllegalEvent
from core.rules.life_cycles import ALL, ORDER, ORDER_PAYMENT, PAYMENT, RESULT, SCHEDULE, LifeCycle, Move

# event: {from: to}, by the codes of the database
SPEC_3 = {
    PAYMENT: {"succeed": {0: 1}, "fail": {0: 2}},
    RESULT: {"acknowledge": {1: 2}, "reopen": {2: 1}},
    SCHEDULE: {
        "retry": {1: 1},
        "give_up": {1: 2},
        "abandon": {1: 2},
        "acknowledge": {1: 3, 2: 3},
        "requeue": {2: 1},
        "reopen": {3: 1},
    },
    ORDER: {"pay": {1: 2}, "process": {2: 3}, "complete": {3: 4}, "cancel": {1: 5}},
    ORDER_PAYMENT: {"start": {0: 1, 3: 1}, "succeed": {0: 2, 1: 2, 3: 2}, "fail": {0: 3, 1: 3}},
}
STATES: dict[LifeCycle, type[IntEnum]] = {
    PAYMENT: PaymentStatus,
    RESULT: ResultStatus,
    SCHEDULE: ScheduleStatus,
    ORDER: OrderStatus,
    ORDER_PAYMENT: OrderPaymentStatus,
}
EVERY_EVENT = sorted({event for table in SPEC_3.values() for event in table})


CROSSED = [
    pytest.param(life_cycle, state, event, id=f"{life_cycle.name}-{state.name}-{event}")
    for life_cycle in ALL
    for state, event in product(STATES[life_cycle], EVERY_EVENT)
]


def _to(life_cycle: LifeCycle, state: IntEnum, event: str) -> int | None:
    return SPEC_3[life_cycle].get(event, {}).get(int(state))


def _legal(life_cycle: LifeCycle, state: IntEnum) -> set[str]:
    return {event for event in EVERY_EVENT if _to(life_cycle, state, event) is not None}


@pytest.mark.parametrize(("life_cycle", "state", "event"), CROSSED)
def test_every_event_leads_from_every_state_to_where_the_table_says_or_is_refused(
    life_cycle: LifeCycle, state: IntEnum, event: str
) -> None:
    to = _to(life_cycle, state, event)
    assert life_cycle.allows(state, event) == (to is not None)
    if to is not None:
        assert life_cycle.move(state, event) == Move(life_cycle.name, event, state, STATES[life_cycle](to))
        return
    with pytest.raises(IllegalEvent) as refused:
        life_cycle.move(state, event)
    assert (refused.value.current, refused.value.event) == (state.name, event)
    assert set(refused.value.legal_events) == _legal(life_cycle, state)


@pytest.mark.parametrize(("life_cycle", "state", "event"), CROSSED)
def test_the_machine_of_transitions_agrees_with_the_table_derived_from_it(
    life_cycle: LifeCycle, state: IntEnum, event: str
) -> None:
    to = _to(life_cycle, state, event)
    if event not in life_cycle.machine.events:
        assert to is None
        return
    throwaway = _Throwaway(state)
    if to is None:
        with pytest.raises(MachineError):
            life_cycle.machine.events[event].trigger(throwaway)
    else:
        assert life_cycle.machine.events[event].trigger(throwaway)
    assert throwaway.state == (state if to is None else STATES[life_cycle](to))


class _Throwaway:
    def __init__(self, state: IntEnum) -> None:
        self.state = state


@pytest.mark.parametrize("life_cycle", ALL, ids=lambda life_cycle: life_cycle.name)
def test_there_is_no_event_but_those_of_the_table(life_cycle: LifeCycle) -> None:
    assert set(life_cycle.events) == set(SPEC_3[life_cycle])
    assert set(life_cycle.machine.events) == set(SPEC_3[life_cycle])


@pytest.mark.parametrize("life_cycle", ALL, ids=lambda life_cycle: life_cycle.name)
def test_no_back_door_leads_to_a_state(life_cycle: LifeCycle) -> None:
    for state in STATES[life_cycle]:
        assert f"to_{state.name}" not in life_cycle.machine.events
        with pytest.raises(IllegalEvent):
            life_cycle.move(state, f"to_{state.name}")


@pytest.mark.parametrize("life_cycle", ALL, ids=lambda life_cycle: life_cycle.name)
def test_every_code_of_the_database_is_a_state_with_a_meaning(life_cycle: LifeCycle) -> None:
    assert list(life_cycle.meanings) == list(STATES[life_cycle])
    assert all(life_cycle.meanings.values())


def test_the_five_life_cycles_are_all_there_are() -> None:
    assert [life_cycle.name for life_cycle in ALL] == [
        "payment.status",
        "payment_result.notify_status",
        "notify_schedule.notify_status",
        "order.order_status",
        "order.payment_status",
    ]


def test_a_refused_event_tells_the_caller_where_it_stands_and_what_it_can_do() -> None:
    with pytest.raises(IllegalEvent) as refused:
        ORDER.move(OrderStatus.NEW, "complete")

    error = refused.value
    assert error.message == "order.order_status is NEW: 'complete' is not possible, legal events are: pay, cancel"
    assert error.reason == "ILLEGAL_EVENT"
    assert error.metadata == {"current_status": "NEW", "event": "complete", "legal_events": "pay,cancel"}
    assert [violation.subject for violation in error.violations] == ["order.order_status"]


def test_a_refused_event_of_a_final_state_says_that_none_is_legal() -> None:
    with pytest.raises(IllegalEvent, match="legal events are: none"):
        PAYMENT.move(PaymentStatus.SUCCESS, "fail")


@pytest.mark.parametrize(
    ("life_cycle", "final"),
    [
        (PAYMENT, {PaymentStatus.SUCCESS, PaymentStatus.FAILED}),
        (RESULT, set()),
        (SCHEDULE, set()),
        (ORDER, {OrderStatus.COMPLETED, OrderStatus.CANCELLED}),
        (ORDER_PAYMENT, {OrderPaymentStatus.PAID}),
    ],
)
def test_what_is_final_stays(life_cycle: LifeCycle, final: set[IntEnum]) -> None:
    assert {state for state in STATES[life_cycle] if not life_cycle.legal_events(state)} == final
