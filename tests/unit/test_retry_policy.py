from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.retry_policy import RetryPolicy
from core.settings import DEFAULT_WAITS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = NOW + timedelta(days=365)
LOWEST, MIDDLE, HIGHEST = (lambda: 0.0), (lambda: 0.5), (lambda: 1.0 - 2**-53)

SPEC_7 = RetryPolicy(waits=DEFAULT_WAITS, max_attempts=10, window=timedelta(days=3), jitter=0.1)
ONCE = RetryPolicy(waits=(), max_attempts=1, window=timedelta(minutes=1), jitter=0.1)


waits = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=30))
dices = st.floats(0, 1, exclude_max=True)
lefts = st.timedeltas(min_value=timedelta(days=-900), max_value=timedelta(days=900))


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    timetable = tuple(draw(st.lists(waits, max_size=12)))
    jitter = draw(st.floats(0, 0.5))
    needed = sum(timetable, timedelta(0)) * (1 + jitter)
    window = needed + draw(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)))
    return RetryPolicy(timetable, len(timetable) + 1, window, jitter)


def test_ten_attempts_span_65_hours_and_21_minutes() -> None:
    assert sum(DEFAULT_WAITS, timedelta(0)) == timedelta(hours=65, minutes=21, seconds=15)
    assert len(DEFAULT_WAITS) == 9


def test_at_the_worst_jitter_ten_attempts_fit_into_three_days() -> None:
    assert SPEC_7.longest_total == timedelta(hours=65, minutes=21, seconds=15) * 1.1
    assert SPEC_7.longest_total < timedelta(hours=72)


@pytest.mark.parametrize(
    ("attempts_made", "wait"),
    [
        (1, timedelta(seconds=15)),
        (2, timedelta(minutes=1)),
        (3, timedelta(minutes=5)),
        (4, timedelta(minutes=15)),
        (5, timedelta(hours=1)),
        (6, timedelta(hours=4)),
        (7, timedelta(hours=12)),
        (8, timedelta(hours=24)),
        (9, timedelta(hours=24)),
    ],
)
def test_each_attempt_is_followed_by_its_wait_give_or_take_a_tenth(attempts_made: int, wait: timedelta) -> None:
    assert SPEC_7.base_wait(attempts_made) == wait
    assert SPEC_7.next_time(attempts_made, NOW, FAR, MIDDLE) == NOW + wait
    assert SPEC_7.next_time(attempts_made, NOW, FAR, LOWEST) == NOW + wait * 0.9
    highest = SPEC_7.next_time(attempts_made, NOW, FAR, HIGHEST)
    assert highest is not None
    assert NOW + wait < highest <= NOW + wait * 1.1


@pytest.mark.parametrize("attempts_made", [10, 11, 1_000])
def test_after_the_tenth_attempt_there_is_no_other(attempts_made: int) -> None:
    assert SPEC_7.base_wait(attempts_made) is None
    assert SPEC_7.next_time(attempts_made, NOW, FAR, MIDDLE, at_least=timedelta(hours=1)) is None


def test_a_policy_of_one_attempt_never_tries_again() -> None:
    assert ONCE.next_time(1, NOW, FAR, MIDDLE) is None


@pytest.mark.parametrize("left", [timedelta(0), timedelta(seconds=-1)])
def test_a_window_that_is_over_ends_it(left: timedelta) -> None:
    assert SPEC_7.next_time(1, NOW, NOW + left, MIDDLE) is None


def test_a_wait_that_would_end_with_the_window_ends_it() -> None:
    assert SPEC_7.next_time(1, NOW, NOW + timedelta(seconds=15), MIDDLE) is None
    just_fits = NOW + timedelta(seconds=15, microseconds=1)
    assert SPEC_7.next_time(1, NOW, just_fits, MIDDLE) == NOW + timedelta(seconds=15)


def test_what_the_receiver_asks_for_replaces_a_shorter_wait() -> None:
    assert SPEC_7.next_time(1, NOW, FAR, MIDDLE, timedelta(minutes=2)) == NOW + timedelta(minutes=2)


def test_what_the_receiver_asks_for_does_not_replace_a_longer_wait() -> None:
    assert SPEC_7.next_time(3, NOW, FAR, MIDDLE, timedelta(minutes=2)) == NOW + timedelta(minutes=5)


def test_what_the_receiver_asks_for_never_leads_beyond_the_window() -> None:
    give_up_time = NOW + timedelta(minutes=1)

    assert SPEC_7.next_time(1, NOW, give_up_time, MIDDLE, timedelta(hours=1)) == give_up_time


def test_a_receiver_can_ask_for_ten_thousand_years() -> None:
    assert SPEC_7.next_time(1, NOW, FAR, MIDDLE, timedelta(days=3_652_500)) == FAR


@given(policies(), st.integers(1, 20), lefts, dices, st.timedeltas())
def test_the_next_time_is_later_than_now_and_within_the_window(
    policy: RetryPolicy, attempts_made: int, left: timedelta, dice: float, asked: timedelta
) -> None:
    next_time = policy.next_time(attempts_made, NOW, NOW + left, lambda: dice, asked)

    assert next_time is None or NOW < next_time <= NOW + left


@given(policies(), dices)
def test_a_row_that_always_fails_uses_up_its_attempts_before_its_window(policy: RetryPolicy, dice: float) -> None:
    now, give_up_time, attempts = NOW, NOW + policy.window, 1
    while (next_time := policy.next_time(attempts, now, give_up_time, lambda: dice)) is not None:
        now, attempts = next_time, attempts + 1

    assert attempts == policy.max_attempts


@given(policies(), st.integers(1, 12), dices, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=60)))
def test_asking_for_a_wait_never_shortens_it(
    policy: RetryPolicy, attempts_made: int, dice: float, asked: timedelta
) -> None:
    unasked = policy.next_time(attempts_made, NOW, FAR, lambda: dice)
    answer = policy.next_time(attempts_made, NOW, FAR, lambda: dice, asked)

    assert (answer is None) == (unasked is None)
    assert unasked is None or answer is None or answer >= unasked


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_attempts": 0}, "NOTIFY_MAX_ATTEMPTS is 0, must be at least 1"),
        ({"max_attempts": -1}, "NOTIFY_MAX_ATTEMPTS is -1, must be at least 1"),
        ({"max_attempts": 9}, "NOTIFY_RETRY_WAITS has 9 waits, but NOTIFY_MAX_ATTEMPTS is 9: there must be 8"),
        ({"max_attempts": 11}, "NOTIFY_RETRY_WAITS has 9 waits, but NOTIFY_MAX_ATTEMPTS is 11: there must be 10"),
        ({"waits": (timedelta(0),) * 9}, "NOTIFY_RETRY_WAITS has a wait that is not longer than 0s"),
        ({"waits": (timedelta(seconds=-1),) * 9}, "NOTIFY_RETRY_WAITS has a wait that is not longer than 0s"),
        ({"jitter": -0.01}, "NOTIFY_RETRY_JITTER is -0.01, must be 0 to 0.5"),
        ({"jitter": 0.51}, "NOTIFY_RETRY_JITTER is 0.51, must be 0 to 0.5"),
        ({"jitter": float("nan")}, "NOTIFY_RETRY_JITTER is nan, must be 0 to 0.5"),
        ({"window": timedelta(hours=65)}, "does not fit NOTIFY_WINDOW of 2 days, 17:00:00"),
        ({"window": timedelta(hours=71, minutes=53)}, "at the worst jitter"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_and_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        replace(SPEC_7, **changes)


@pytest.mark.parametrize("jitter", [0, 0.5])
def test_both_ends_of_the_jitter_are_allowed(jitter: float) -> None:
    assert replace(SPEC_7, jitter=jitter, window=timedelta(days=5)).longest_total >= sum(DEFAULT_WAITS, timedelta(0))


def test_a_window_one_microsecond_longer_than_the_worst_timetable_fits() -> None:
    longest = SPEC_7.longest_total

    assert replace(SPEC_7, window=longest + timedelta(microseconds=1)).window > longest
    with pytest.raises(ValueError, match="does not fit"):
        replace(SPEC_7, window=longest)
