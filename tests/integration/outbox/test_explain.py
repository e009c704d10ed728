"""Why a schedule is not sent now: what is said is what claiming then does."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.outbox.explain import Hindrance, HindranceKind, PlannedAttempt, hindrances, planned_attempts
from core.outbox.operate import Act
from core.outbox.targets import TargetOperation, pause
from tests.support.clock import TestClock
from tests.support.outbox import APPLIED, LEASE, REFUSAL, WINDOW, Outbox, policy
from tests.support.rows import TARGET

MINUTE = timedelta(minutes=1)
PAUSE = TargetOperation(TARGET, operator="anna", reason="moving")


def _explained(outbox: Outbox) -> list[Hindrance]:
    row = outbox.row()
    return outbox.database.read(lambda tx: hindrances(tx, row, outbox.policy))


def _kinds(outbox: Outbox) -> list[HindranceKind]:
    return [hindrance.kind for hindrance in _explained(outbox)]


def _delivered(outbox: Outbox) -> None:
    outbox.record(outbox.claimed(), APPLIED)


def _given_up(outbox: Outbox) -> None:
    outbox.record(outbox.claimed(), REFUSAL)


def _abandoned(outbox: Outbox) -> None:
    outbox.operate(Act.ABANDON, 1)


def _paused(outbox: Outbox) -> None:
    outbox.database.transact(lambda tx: pause(tx, PAUSE, [TARGET]))


def _breaker_open(outbox: Outbox) -> None:
    outbox.target_failed(times=3)


def _claimed(outbox: Outbox) -> None:
    outbox.claimed()


def _window_over(outbox: Outbox) -> None:
    outbox.clock.advance(WINDOW)


def _off_the_allow_list(outbox: Outbox) -> None:
    outbox.policy = policy(targets=frozenset({"grpc://127.0.0.1:1"}))


def _out_of_attempts(outbox: Outbox) -> None:
    outbox.set(notify_count=10, attempt_count=10)


@pytest.mark.parametrize(
    ("happen", "kind"),
    [
        (_delivered, HindranceKind.DELIVERED),
        (_given_up, HindranceKind.GIVEN_UP),
        (_abandoned, HindranceKind.HANDLED),
        (_off_the_allow_list, HindranceKind.TARGET_NOT_ALLOWED),
        (_paused, HindranceKind.TARGET_PAUSED),
        (_breaker_open, HindranceKind.BREAKER_OPEN),
        (_claimed, HindranceKind.CLAIMED),
        (_window_over, HindranceKind.WINDOW_OVER),
        (_out_of_attempts, HindranceKind.ATTEMPTS_USED_UP),
    ],
)
def test_what_hinders_a_row_is_named_and_it_is_not_claimed(
    outbox: Outbox, happen: Callable[[Outbox], None], kind: HindranceKind
) -> None:
    outbox.add()
    happen(outbox)

    assert _kinds(outbox) == [kind]
    assert outbox.claim() is None


def test_nothing_hinders_a_row_that_is_due_and_it_is_claimed(outbox: Outbox) -> None:
    outbox.add()
    assert _explained(outbox) == []
    assert outbox.claim() is not None


def test_a_row_that_waits_says_until_when(outbox: Outbox) -> None:
    outbox.add()
    outbox.fail()
    (hindrance,) = _explained(outbox)

    assert (hindrance.kind, hindrance.until) == (HindranceKind.NOT_DUE, outbox.row().next_notify_time)
    assert hindrance.description == "waits for attempt 2 of 10"


def test_an_open_breaker_that_is_probed_is_half_open_for_the_others(outbox: Outbox, clock: TestClock) -> None:
    outbox.add(2)
    outbox.target_failed(times=3)
    clock.advance(timedelta(seconds=2))
    outbox.claimed()
    outbox.clock.advance(timedelta(seconds=1))

    row = outbox.row(2)
    (hindrance,) = outbox.database.read(lambda tx: hindrances(tx, row, outbox.policy))
    assert hindrance.kind is HindranceKind.BREAKER_HALF_OPEN
    assert outbox.claim() is None


def test_several_hindrances_are_all_told_what_weighs_most_first(outbox: Outbox) -> None:
    outbox.add()
    outbox.claimed()
    outbox.target_failed(times=3)
    _paused(outbox)
    assert _kinds(outbox) == [HindranceKind.TARGET_PAUSED, HindranceKind.BREAKER_OPEN, HindranceKind.CLAIMED]


def _planned(outbox: Outbox) -> list[PlannedAttempt]:
    return planned_attempts(outbox.row(), outbox.clock.now(), outbox.policy.retry)


def test_planned_times_are_the_timetables(outbox: Outbox, clock: TestClock) -> None:
    outbox.add()
    first, second, third, *rest = _planned(outbox)

    assert (first.number, first.earliest, first.planned, first.latest) == (1, *[clock.now()] * 3)
    assert second.planned == clock.now() + timedelta(seconds=15)
    assert (third.earliest, third.latest) == (
        clock.now() + timedelta(seconds=75) * 0.9,
        clock.now() + timedelta(seconds=75) * 1.1,
    )
    assert [attempt.number for attempt in rest] == [4, 5, 6, 7, 8, 9, 10]
    assert rest[-1].planned == clock.now() + timedelta(hours=65, minutes=21, seconds=15)


def test_the_next_of_a_claimed_row_comes_after_its_lease(outbox: Outbox, clock: TestClock) -> None:
    outbox.add()
    outbox.claimed()
    first = _planned(outbox)[0]
    assert (first.number, first.planned) == (2, clock.now() + LEASE + timedelta(seconds=15))


def test_no_attempt_is_planned_beyond_the_window_or_for_a_row_that_has_ended(outbox: Outbox) -> None:
    outbox.add()
    outbox.set(give_up_time=outbox.clock.now() + 2 * MINUTE)
    assert [attempt.number for attempt in _planned(outbox)] == [1, 2, 3]
    _given_up(outbox)
    assert _planned(outbox) == []
