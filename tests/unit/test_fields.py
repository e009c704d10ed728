from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.codes import ScheduleStatus
from core.store.fields import CodeField, UtcDateTimeField

TIME = UtcDateTimeField()
STATUS = CodeField(ScheduleStatus)

zones = st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
# A day from either end of the calendar, so that every zone has a UTC instant.
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones | st.timezones())  # noqa: DTZ001 - bounds are local


@given(instants)
def test_every_instant_comes_back_as_the_same_in_utc(instant: datetime) -> None:
    read = TIME.python_value(TIME.db_value(instant))

    assert read == instant.astimezone(UTC)
    assert read is not None
    assert read.tzinfo is UTC


@given(instants, instants)
def test_the_order_of_what_is_stored_is_the_order_of_time(one: datetime, other: datetime) -> None:
    stored, other_stored = str(TIME.db_value(one)), str(TIME.db_value(other))

    assert len(stored) == len(other_stored) == len("2026-03-01 12:00:00.000000")
    assert (stored < other_stored) == (one.astimezone(UTC) < other.astimezone(UTC))


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        TIME.db_value(datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point


def test_a_driver_that_reads_instants_itself_and_drops_the_zone_is_understood() -> None:
    naive = datetime(2026, 3, 1, 12, 30)  # noqa: DTZ001 - as PostgreSQL's and MariaDB's drivers give it

    assert TIME.python_value(naive) == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_no_instant_stays_none() -> None:
    assert TIME.db_value(None) is None
    assert TIME.python_value(None) is None


@pytest.mark.parametrize("status", ScheduleStatus)
def test_a_code_is_stored_as_its_number_and_comes_back_as_itself(status: ScheduleStatus) -> None:
    assert STATUS.db_value(status) == status.value
    assert STATUS.python_value(status.value) is status


def test_a_number_that_is_no_code_is_refused_when_read() -> None:
    with pytest.raises(ValueError, match="9 is not a valid ScheduleStatus"):
        STATUS.python_value(9)


def test_no_code_stays_none() -> None:
    assert STATUS.db_value(None) is None
    assert STATUS.python_value(None) is None
