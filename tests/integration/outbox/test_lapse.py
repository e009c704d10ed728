"""A lease that ended without a result: the holder died, or was killed by what it carried (SPEC 7)."""

import pytest

from core.rules.codes import ScheduleStatus
from core.rules.outcome import UNKNOWN
from tests.support.clock import START
from tests.support.outbox import APPLIED, LEASE, SILENCE, WAITS, Outbox, numbers, policy

NOTIFYING, FAILED, SUCCESS = ScheduleStatus


@pytest.fixture
def lapsed(outbox: Outbox) -> Outbox:
    """Three rows, of which a dead worker held the first."""
    outbox.policy = policy(batch_size=1)
    outbox.add(3)
    outbox.claimed(holder="dead")
    outbox.policy = policy()
    outbox.clock.advance(LEASE)
    return outbox


def test_whoever_claims_next_notes_the_lapse(lapsed: Outbox) -> None:
    lapsed.claimed()
    (attempt,) = lapsed.ledger(1)

    assert (attempt.number, attempt.code, attempt.made_by) == (1, UNKNOWN, "dead")
    assert (attempt.start_time, attempt.finish_time) == (START, START + LEASE)
    assert attempt.message == "lease lapsed: dead recorded no result"


def test_the_first_lapse_is_due_at_once_but_in_a_call_of_its_own(lapsed: Outbox) -> None:
    claims = [lapsed.claimed(), lapsed.claimed()]

    assert sorted(map(numbers, claims)) == [[1], [2, 3]]
    assert (lapsed.row(1).lapse_count, lapsed.row(1).notify_count) == (1, 2)


def test_many_first_lapses_are_claimed_one_by_one(outbox: Outbox) -> None:
    outbox.add(4)
    outbox.claimed(holder="dead")
    outbox.clock.advance(LEASE)

    assert sorted(numbers(outbox.claim()) for _ in range(4)) == [[1], [2], [3], [4]]
    assert outbox.claim() is None
    assert [len(outbox.ledger(number)) for number in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_from_the_second_lapse_a_row_waits_its_turn_in_the_list(outbox: Outbox) -> None:
    outbox.add()
    outbox.claimed()
    outbox.clock.advance(LEASE)
    outbox.claimed()
    outbox.clock.advance(LEASE)

    assert outbox.claim() is None
    row = outbox.row()
    assert (row.lapse_count, row.claim_token) == (2, None)
    assert row.next_notify_time == outbox.clock.now() + WAITS[1]
    outbox.wait_until_due()
    assert numbers(outbox.claim()) == [1]


def test_a_lapse_counts_against_the_budget(outbox: Outbox) -> None:
    outbox.policy = policy(max_attempts=2)
    outbox.add()
    outbox.claimed(holder="dead")
    outbox.clock.advance(LEASE)
    outbox.claimed(holder="dead too")
    outbox.clock.advance(LEASE)
    claimed, recorded = outbox.claim_and_tell()

    assert claimed is None
    assert [given_up.reason for given_up in recorded.given_up] == [
        "attempts used up: lease lapsed: dead too recorded no result"
    ]
    assert outbox.row().notify_status == FAILED
    assert [attempt.made_by for attempt in outbox.ledger()] == ["dead", "dead too"]


def test_the_only_attempt_of_a_budget_that_lapses_is_the_last(outbox: Outbox) -> None:
    outbox.policy = policy(max_attempts=1)
    outbox.add()
    outbox.claimed(holder="dead")
    outbox.clock.advance(LEASE)

    assert len(outbox.claim_and_tell()[1].given_up) == 1


def test_a_row_that_kills_every_sender_ends_with_a_person_and_its_neighbours_are_served(outbox: Outbox) -> None:
    outbox.add(20)
    served: set[int] = set()
    while outbox.row(1).notify_status == NOTIFYING:
        claimed = outbox.claim()
        if claimed is None:
            outbox.wait_until_due()
        elif 1 not in numbers(claimed):
            outbox.record(claimed, APPLIED)
            served.update(numbers(claimed))

    assert outbox.row(1).last_message == "attempts used up: lease lapsed: worker recorded no result"
    assert outbox.row(1).notify_count == 10
    assert served == set(range(2, 21))
    assert {outbox.row(number).notify_count for number in served} == {2}


def test_a_row_that_answers_again_starts_counting_its_lapses_anew(lapsed: Outbox) -> None:
    claimed = next(claim for claim in (lapsed.claimed(), lapsed.claimed()) if numbers(claim) == [1])
    lapsed.record(claimed, SILENCE)

    assert (lapsed.row(1).lapse_count, lapsed.row(1).batch_limit) == (0, None)


def test_lapses_are_noted_even_while_the_target_is_in_trouble(lapsed: Outbox) -> None:
    lapsed.target_failed(times=3)

    assert lapsed.claim() is None
    assert len(lapsed.ledger(1)) == 1
    assert lapsed.row(1).claim_token is None


def test_a_lapsed_row_that_does_not_fit_is_not_lost(lapsed: Outbox) -> None:
    lapsed.policy = policy(batch_size=1)
    claims = [numbers(lapsed.claim()) for _ in range(3)]

    assert sorted(claims) == [[1], [2], [3]]
