"""The set-based statements every store is written in, and their empty, doubled and hostile cases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.rules.errors import Contended
from core.store.database import Database
from core.store.transaction import Row
from tests.support.clock import START
from tests.support.databases import REFUSED
from tests.support.parcels import LOSE, SEND, Parcel, ParcelStatus, pack, packed, parcels
from tests.support.parcels import numbers as numbers_in

# A day from either end of the calendar, so that every zone has a UTC instant.
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones())  # noqa: DTZ001 - bounds are local

NUMBER, SENDER = Parcel.number, Parcel.sender


def _found(database: Database, *wanted: Any, keys: Any = (NUMBER,)) -> list[Row]:
    return database.read(lambda tx: tx.by_keys(Parcel, keys, wanted))


def _insert(database: Database, *rows: dict[str, Any]) -> None:
    database.transact(lambda tx: tx.insert(Parcel, rows))


def _send(database: Database, *rows: dict[str, Any], **guard: Any) -> None:
    database.transact(lambda tx: tx.compare_and_set(Parcel.status, SEND, rows, key=Parcel.id, guard=guard))


def test_no_keys_find_no_rows(database: Database) -> None:
    pack(database, "P-1")

    assert _found(database) == []


def test_keys_find_their_rows_and_no_others(database: Database) -> None:
    pack(database, "P-1", "P-2", "P-3")

    assert sorted(row.number for row in _found(database, ["P-1"], ["P-3"], ["P-4"])) == ["P-1", "P-3"]


def test_a_key_of_two_columns_is_matched_as_a_pair(database: Database) -> None:
    _insert(database, packed("1"), packed("2"), packed("1", sender="bert"), packed("2", sender="bert"))

    rows = _found(database, ("anna", "1"), ("bert", "2"), keys=(SENDER, NUMBER))
    assert sorted((row.sender, row.number) for row in rows) == [("anna", "1"), ("bert", "2")]


def test_a_key_asked_for_twice_is_found_once(database: Database) -> None:
    pack(database, "P-1")

    assert len(_found(database, ["P-1"], ["P-1"], ("P-1",))) == 1


def test_keys_are_compared_byte_by_byte(database: Database) -> None:
    pack(database, "p-1", "P-1")

    assert [row.number for row in _found(database, ["P-1"])] == ["P-1"]
    assert [row.number for row in _found(database, ["p-1"])] == ["p-1"]


def test_a_key_is_a_value_and_never_sql(database: Database) -> None:
    hostile = "x'; DROP TABLE parcel; --"
    pack(database, hostile, "P-1", '"P"')

    assert [row.number for row in _found(database, [hostile], ["' OR '1'='1"])] == [hostile]
    assert len(_found(database, ['"P"'])) == 1


def test_a_thousand_keys_are_found_at_once(database: Database) -> None:
    pack(database, *(f"P-{number}" for number in range(1_000)))

    rows = _found(database, *(("anna", f"P-{number}") for number in range(1_000)), keys=(SENDER, NUMBER))
    assert len(rows) == 1_000


def test_a_key_with_a_part_missing_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="shorter"):
        _found(database, ("anna",), keys=(SENDER, NUMBER))


def test_rows_come_back_as_what_was_put_in(database: Database) -> None:
    sent_time = datetime(2026, 3, 1, 20, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=8)))
    _insert(database, packed("P-1", sent_time=sent_time, note="grüße"), packed("P-2", sent_time=None, note=None))

    first, second = sorted(_found(database, ["P-1"], ["P-2"]), key=lambda row: str(row.number))
    assert (first.status, first.note) == (ParcelStatus.PACKED, "grüße")
    assert isinstance(first.status, ParcelStatus)
    assert first.sent_time == sent_time
    assert first.sent_time.tzinfo is UTC
    assert (second.sent_time, second.note, second.weight) == (None, None, None)
    assert database.read(lambda tx: tx.rows(Parcel.select().order_by(Parcel.id))) == [first, second]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(st.lists(instants, max_size=20))
def test_any_instants_are_read_back_as_themselves_and_in_their_order(
    database: Database, written: list[datetime]
) -> None:
    database.transact(lambda tx: tx.change(Parcel.delete()))
    _insert(database, *(packed(str(number), sent_time=instant) for number, instant in enumerate(written)))
    read = database.read(lambda tx: tx.rows(Parcel.select(Parcel.sent_time).order_by(Parcel.sent_time)))

    assert [row.sent_time for row in read] == sorted(instant.astimezone(UTC) for instant in written)


def test_inserting_nothing_does_nothing(database: Database) -> None:
    _insert(database)

    assert numbers_in(database) == []


def test_all_rows_are_inserted_or_none(database: Database) -> None:
    pack(database, "P-2")

    with pytest.raises(Contended):
        _insert(database, packed("P-1"), packed("P-2"), packed("P-3"))
    assert numbers_in(database) == ["P-2"]


def test_rows_with_other_columns_than_the_first_are_refused(database: Database) -> None:
    with pytest.raises(KeyError, match="weight"):
        _insert(database, packed("P-1", weight=1), packed("P-2"))
    assert numbers_in(database) == []


def test_a_column_that_is_not_there_is_refused(database: Database) -> None:
    with pytest.raises(KeyError, match="colour"):
        _insert(database, packed("P-1", colour="red"))


def test_only_rows_with_a_free_key_are_inserted_and_counted(database: Database) -> None:
    pack(database, "P-1", "P-3")
    rows = [packed(number, note="new") for number in ("P-1", "P-2", "P-3", "P-4", "P-4")]

    assert database.transact(lambda tx: tx.insert_new(Parcel, rows, key=[NUMBER])) == 2
    assert sorted((row.number, row.note) for row in parcels(database) if row.note) == [("P-2", "new"), ("P-4", "new")]
    assert len(parcels(database)) == 4


def test_none_is_inserted_when_all_keys_are_taken_or_there_are_none(database: Database) -> None:
    pack(database, "P-1")

    assert database.transact(lambda tx: tx.insert_new(Parcel, [packed("P-1")], key=[NUMBER])) == 0
    assert database.transact(lambda tx: tx.insert_new(Parcel, [], key=[NUMBER])) == 0


@pytest.mark.parametrize("nonsense", [{"status": 9}, {"number": ""}, {"number": "x" * 65}, {"note": "x" * 21}])
def test_nonsense_is_refused_and_not_taken_for_a_race(database: Database, nonsense: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=REFUSED):
        _insert(database, packed("P-1") | nonsense)
    assert numbers_in(database) == []


def test_a_move_is_made_for_every_row_with_its_own_columns(database: Database) -> None:
    one, other, third = pack(database, "P-1", "P-2", "P-3")
    _send(database, {"id": one, "note": "a", "sent_time": START}, {"id": other, "note": "b", "sent_time": None})

    assert [(row.status, row.note, row.sent_time) for row in parcels(database)] == [
        (ParcelStatus.SENT, "a", START),
        (ParcelStatus.SENT, "b", None),
        (ParcelStatus.PACKED, None, None),
    ]
    assert third


def test_a_move_of_no_rows_does_nothing(database: Database) -> None:
    pack(database, "P-1")
    _send(database)

    assert parcels(database)[0].status == ParcelStatus.PACKED


@pytest.mark.parametrize("lost", ["moved already", "not there", "named twice"])
def test_a_move_is_made_for_all_rows_or_for_none(database: Database, lost: str) -> None:
    one, other = pack(database, "P-1", "P-2")
    if lost == "moved already":
        _send(database, {"id": other})
    second = {"moved already": other, "not there": 999, "named twice": one}[lost]

    with pytest.raises(Contended):
        _send(database, {"id": one}, {"id": second})
    assert parcels(database)[0].status == ParcelStatus.PACKED


def test_a_move_writes_only_over_the_state_it_comes_from(database: Database) -> None:
    (one,) = pack(database, "P-1")

    with pytest.raises(Contended):
        database.transact(lambda tx: tx.compare_and_set(Parcel.status, LOSE, [{"id": one}], key=Parcel.id))
    _send(database, {"id": one})
    database.transact(lambda tx: tx.compare_and_set(Parcel.status, LOSE, [{"id": one}], key=Parcel.id))
    assert parcels(database)[0].status == ParcelStatus.LOST


def test_a_guarded_move_is_made_only_of_rows_that_are_as_guarded(database: Database) -> None:
    (one,) = pack(database, "P-1")
    database.transact(lambda tx: tx.change(Parcel.update(note="fragile")))

    with pytest.raises(Contended):
        _send(database, {"id": one}, note="sturdy")
    _send(database, {"id": one}, note="fragile")
    assert parcels(database)[0].status == ParcelStatus.SENT


def test_a_move_can_be_found_by_any_unique_key(database: Database) -> None:
    pack(database, "P-1", "P-2")
    database.transact(lambda tx: tx.compare_and_set(Parcel.status, SEND, [{"number": "P-2"}], key=Parcel.number))

    assert [row.status for row in parcels(database)] == [ParcelStatus.PACKED, ParcelStatus.SENT]


def test_a_change_tells_how_many_rows_it_changed(database: Database) -> None:
    pack(database, "P-1", "P-2")

    assert database.transact(lambda tx: tx.change(Parcel.update(note="x").where(Parcel.number == "P-1"))) == 1
    assert database.transact(lambda tx: tx.change(Parcel.delete())) == 2
    assert database.transact(lambda tx: tx.change(Parcel.delete())) == 0


def test_one_row_is_the_first_or_none(database: Database) -> None:
    assert database.read(lambda tx: tx.row(Parcel.select())) is None
    pack(database, "P-1", "P-2")
    row = database.read(lambda tx: tx.row(Parcel.select().order_by(Parcel.number.desc())))

    assert row is not None
    assert row.number == "P-2"
    assert database.read(lambda tx: tx.count(Parcel.select())) == 2
