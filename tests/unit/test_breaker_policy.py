from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.outbox.policy import BreakerPolicy, OutboxPolicy
from core.settings import load_settings

POLICY = BreakerPolicy(threshold=5, first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=5))


@pytest.mark.parametrize(("failures", "seconds"), [(5, 1), (6, 2), (7, 4), (8, 5), (9, 5), (1_000_000, 5)])
def test_the_wait_doubles_from_the_threshold_up_to_the_longest(failures: int, seconds: int) -> None:
    assert POLICY.wait(failures) == timedelta(seconds=seconds)


waits = st.timedeltas(timedelta(milliseconds=1), timedelta(days=3_650))


@given(st.integers(0, 10**9), waits, waits)
def test_no_wait_is_longer_than_the_longest_or_shorter_than_the_first(
    failures: int, one: timedelta, other: timedelta
) -> None:
    first, longest = sorted([one, other])
    policy = BreakerPolicy(threshold=5, first_wait=first, longest_wait=longest)

    assert policy.first_wait <= policy.wait(failures) <= longest
    assert policy.wait(failures) <= policy.wait(failures + 1)


def test_the_settings_make_the_policy_of_every_worker() -> None:
    settings = load_settings(breaker_threshold=7, notify_lease=timedelta(minutes=1), notify_batch_size=3)
    policy = OutboxPolicy.of(settings, lambda: 0.5)

    assert policy.breaker == BreakerPolicy(7, settings.breaker_first_wait, settings.breaker_longest_wait)
    assert (policy.lease, policy.batch_size, policy.dice()) == (timedelta(minutes=1), 3, 0.5)
    assert policy.retry == settings.retry_policy()
