from datetime import timedelta

from core.outbox.lease import Lease
from tests.support.clock import START, TestClock

LENGTH = timedelta(seconds=30)


def test_a_lease_runs_down_with_the_clock_and_below_zero(clock: TestClock) -> None:
    lease = Lease.take("worker", LENGTH, clock)
    assert lease.left(clock) == LENGTH

    clock.advance(timedelta(seconds=29.5))
    assert lease.left(clock) == timedelta(seconds=0.5)

    clock.advance(timedelta(seconds=1))
    assert lease.left(clock) == timedelta(seconds=-0.5)


def test_a_wall_clock_that_steps_does_not_change_what_is_left(clock: TestClock) -> None:
    lease = Lease.take("worker", LENGTH, clock)

    clock.set_wall_clock(START - timedelta(days=365))

    assert lease.left(clock) == LENGTH


def test_every_lease_has_a_token_of_its_own_that_nobody_guesses(clock: TestClock) -> None:
    tokens = {Lease.take("worker", LENGTH, clock).token for _ in range(1_000)}

    assert len(tokens) == 1_000
    assert all(len(token) == 32 for token in tokens)
