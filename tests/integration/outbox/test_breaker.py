import threading
from datetime import timedelta
from typing import Any

import pytest

from core.outbox.breaker import BreakerChange
from core.outbox.lease import Claim
from core.rules.codes import BreakerState
from tests.support.clock import START
from tests.support.outbox import LEASE, MOMENT, Outbox, numbers, policy
from tests.support.rows import OTHER_TARGET, TARGET

CLOSED, OPEN, HALF_OPEN = BreakerState
SECOND = timedelta(seconds=1)
THRESHOLD = 3
PAUSE: dict[str, Any] = {"paused_time": START, "paused_by": "anna", "paused_reason": "a move"}


def _open(outbox: Outbox) -> None:
    outbox.target_failed(times=THRESHOLD)


def _probe(outbox: Outbox) -> Claim:
    """An open breaker whose wait is over lets one row through."""
    outbox.clock.advance(outbox.target().open_until - outbox.clock.now())
    claimed = outbox.claimed()
    assert len(claimed.rows) == 1
    return claimed


def test_failures_below_the_threshold_are_only_counted(outbox: Outbox) -> None:
    outbox.add(2)

    assert outbox.target_failed(times=THRESHOLD - 1) is None
    assert (outbox.target().breaker_state, outbox.target().consecutive_failures) == (CLOSED, 2)
    assert numbers(outbox.claim()) == [1, 2]


def test_the_breaker_opens_at_the_threshold_and_no_row_is_claimed(outbox: Outbox) -> None:
    outbox.add(2)
    change = outbox.target_failed(times=THRESHOLD)

    assert change == BreakerChange(TARGET, OPEN, THRESHOLD, START + SECOND)
    assert outbox.claim() is None
    outbox.clock.advance(SECOND - MOMENT)
    assert outbox.claim() is None
    assert [row.notify_count for row in outbox.rows()] == [0, 0]


def test_an_answer_between_failures_starts_the_count_anew(outbox: Outbox) -> None:
    outbox.add()
    outbox.target_failed(times=THRESHOLD - 1)

    assert outbox.target_answered() is None
    assert outbox.target().consecutive_failures == 0
    assert outbox.target_failed(times=THRESHOLD - 1) is None


def test_an_answer_of_a_target_in_good_health_changes_nothing(outbox: Outbox) -> None:
    outbox.add()

    assert outbox.target_answered() is None
    assert (outbox.target().breaker_state, outbox.target().ramp_limit) == (CLOSED, None)


def test_when_the_wait_is_over_one_row_goes_as_a_probe(outbox: Outbox) -> None:
    outbox.add(20)
    _open(outbox)

    assert numbers(_probe(outbox)) == [1]
    assert outbox.target().breaker_state == HALF_OPEN
    assert outbox.claim() is None


def test_of_many_workers_one_probes(outbox: Outbox) -> None:
    outbox.add(20)
    _open(outbox)
    outbox.clock.advance(SECOND)
    claims: list[Claim | None] = []
    threads = [threading.Thread(target=lambda: claims.append(outbox.claim())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(claim.rows) for claim in claims if claim] == [1]


def test_a_probe_that_fails_opens_the_breaker_for_twice_as_long_up_to_the_longest(outbox: Outbox) -> None:
    outbox.add()
    _open(outbox)
    waits = []
    for _ in range(4):
        outbox.give_back(_probe(outbox))
        outbox.target_failed()
        waits.append((outbox.target().open_until - outbox.clock.now()).total_seconds())

    assert waits == [2, 4, 5, 5]
    assert outbox.target().breaker_state == OPEN


def test_a_probe_that_is_answered_closes_the_breaker_and_the_rows_come_in_a_ramp(outbox: Outbox) -> None:
    outbox.add(300)
    _open(outbox)
    _probe(outbox)
    change = outbox.target_answered()

    assert change == BreakerChange(TARGET, CLOSED, 0, None)
    sizes = []
    for _ in range(6):
        claimed = outbox.claimed()
        sizes.append(len(claimed.rows))
        outbox.target_answered()
    assert sizes == [8, 16, 32, 64, 100, 79]
    assert outbox.target().ramp_limit is None


def test_a_failure_during_the_ramp_is_counted_as_any_other(outbox: Outbox) -> None:
    outbox.add(300)
    _open(outbox)
    _probe(outbox)
    outbox.target_answered()

    assert outbox.target_failed() is None
    assert outbox.target_failed(times=2) is not None
    assert outbox.target().breaker_state == OPEN


def test_batches_no_larger_than_the_ramps_first_step_need_no_ramp(outbox: Outbox) -> None:
    outbox.policy = policy(batch_size=8)
    outbox.add(20)
    _open(outbox)
    _probe(outbox)
    outbox.target_answered()

    assert len(outbox.claimed().rows) == 8
    assert outbox.target().ramp_limit is None


def test_a_prober_that_dies_leaves_its_place_to_the_next_after_its_lease(outbox: Outbox) -> None:
    outbox.add(5)
    _open(outbox)
    _probe(outbox)
    outbox.clock.advance(LEASE - MOMENT)
    assert outbox.claim() is None

    outbox.clock.advance(MOMENT)
    assert len(outbox.claimed().rows) == 1
    assert outbox.claim() is None


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN])
def test_a_clock_that_was_ahead_and_is_set_back_keeps_no_breaker_open(outbox: Outbox, state: BreakerState) -> None:
    outbox.add(5)
    outbox.clock.set_wall_clock(START + timedelta(days=365))
    _open(outbox)
    outbox.set_target(breaker_state=state)
    outbox.clock.set_wall_clock(START)

    assert numbers(outbox.claim()) == [1]
    assert outbox.claim() is None


def test_an_answer_to_a_call_begun_before_closes_an_open_breaker(outbox: Outbox) -> None:
    outbox.add(5)
    _open(outbox)

    assert outbox.target_answered() == BreakerChange(TARGET, CLOSED, 0, None)
    assert len(outbox.claimed().rows) == 5


def test_a_probe_is_not_spent_on_a_target_with_nothing_due(outbox: Outbox) -> None:
    outbox.add()
    outbox.claimed()
    _open(outbox)
    outbox.clock.advance(SECOND)

    assert outbox.claim() is None
    assert outbox.target().breaker_state == OPEN


def test_a_paused_target_is_not_claimed_whatever_its_breaker_says(outbox: Outbox) -> None:
    outbox.add()
    outbox.set_target(**PAUSE)
    assert outbox.claim() is None

    _open(outbox)
    outbox.clock.advance(SECOND)
    assert outbox.claim() is None
    assert outbox.target().breaker_state == OPEN


def test_a_target_that_is_resumed_goes_on_where_it_was(outbox: Outbox) -> None:
    outbox.add()
    outbox.set_target(**PAUSE)
    outbox.set_target(paused_time=None, paused_by=None, paused_reason=None)

    assert numbers(outbox.claim()) == [1]


def test_each_target_has_a_breaker_of_its_own(outbox: Outbox) -> None:
    outbox.add()
    outbox.add(1, OTHER_TARGET)
    _open(outbox)

    assert outbox.claim(TARGET) is None
    assert numbers(outbox.claim(OTHER_TARGET)) == [2]
    assert outbox.target(OTHER_TARGET).consecutive_failures == 0


@pytest.mark.parametrize("act", ["failed", "answered"])
def test_a_target_without_a_row_gets_one(outbox: Outbox, act: str) -> None:
    outbox.target_failed(OTHER_TARGET) if act == "failed" else outbox.target_answered(OTHER_TARGET)

    assert outbox.target(OTHER_TARGET).consecutive_failures == (1 if act == "failed" else 0)
