import threading
from datetime import timedelta

import pytest

from core.outbox.claim import claim
from core.outbox.lease import Claim
from core.outbox.operate import Act
from core.outbox.record import Recorded
from core.rules.codes import ScheduleStatus
from core.rules.outcome import UNAVAILABLE, TryAgain
from core.store.transaction import Transaction
from tests.support.clock import START
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import (
    APPLIED,
    LEASE,
    MOMENT,
    SILENCE,
    WINDOW,
    Outbox,
    notification,
    numbers,
    policy,
    whole_call_failed,
)
from tests.support.rows import OTHER_TARGET, TARGET

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def test_a_claim_takes_due_rows_by_due_time_then_id(outbox: Outbox) -> None:
    outbox.add(5)
    outbox.set(4, next_notify_time=START - 2 * SECOND)
    outbox.set(2, next_notify_time=START - SECOND)
    outbox.set(3, next_notify_time=START + MOMENT)

    assert numbers(outbox.claim()) == [4, 2, 1, 5]


def test_a_lower_id_that_committed_late_is_claimed_too(outbox: Outbox) -> None:
    outbox.add(2)
    outbox.set(1, next_notify_time=START + SECOND)
    assert numbers(outbox.claim()) == [2]

    outbox.set(1, next_notify_time=START)
    assert numbers(outbox.claim()) == [1]


def test_a_claim_pushes_the_due_time_ahead_by_the_lease_and_counts_the_attempt(outbox: Outbox) -> None:
    outbox.add()
    outbox.clock.advance(SECOND)
    claimed = outbox.claimed(holder="scheduler@b")
    row = outbox.row()

    assert (row.next_notify_time, row.claim_time) == (START + SECOND + LEASE, START + SECOND)
    assert (row.claimed_by, row.claim_token) == ("scheduler@b", claimed.rows[0].lease.token)
    assert (row.notify_count, row.attempt_count) == (1, 1)
    assert row.notify_status == ScheduleStatus.NOTIFYING


def test_a_claim_carries_what_a_call_and_its_record_need(outbox: Outbox) -> None:
    outbox.add()
    claimed = outbox.claimed()
    (row,) = claimed.rows

    assert claimed.target == TARGET
    assert (row.key, row.attempt, row.claim_time) == (("alipay", "P-1"), 1, START)
    assert row.content == notification(1).content
    assert (row.schedule_id, row.payment_id) == (outbox.row().id, 1)


def test_a_claim_takes_at_most_a_batch_and_the_next_goes_on_there(outbox: Outbox) -> None:
    outbox.policy = policy(batch_size=2)
    outbox.add(5)

    assert [numbers(outbox.claim()) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


def test_what_is_held_is_nobody_elses_until_the_lease_ends(outbox: Outbox) -> None:
    outbox.add()
    outbox.claimed()

    assert outbox.claim() is None
    outbox.clock.advance(LEASE - MOMENT)
    assert outbox.claim() is None
    outbox.clock.advance(MOMENT)
    assert numbers(outbox.claim()) == [1]


def test_every_claim_has_a_token_of_its_own(outbox: Outbox) -> None:
    outbox.add()
    first = outbox.claimed().rows[0].lease.token
    outbox.clock.advance(LEASE)

    assert outbox.claimed().rows[0].lease.token != first


@pytest.mark.parametrize("status", [ScheduleStatus.FAILED, ScheduleStatus.SUCCESS])
def test_only_rows_that_are_being_delivered_are_claimed(outbox: Outbox, status: ScheduleStatus) -> None:
    outbox.add()
    outbox.set(notify_status=status)

    assert outbox.claim() is None


def test_a_row_past_its_window_is_left_to_the_expiry_pass(outbox: Outbox) -> None:
    outbox.add()
    outbox.clock.advance(WINDOW - MOMENT)
    assert numbers(outbox.claim()) == [1]

    outbox.clock.advance(LEASE)
    assert outbox.claim() is None


def test_only_the_targets_own_rows_are_claimed(outbox: Outbox) -> None:
    outbox.add(2)
    outbox.add(1, OTHER_TARGET)

    assert numbers(outbox.claim(OTHER_TARGET)) == [3]
    assert numbers(outbox.claim(TARGET)) == [1, 2]
    assert outbox.claim("grpc://nobody:1") is None


def test_a_target_that_is_not_on_the_allow_list_is_not_claimed(outbox: Outbox) -> None:
    outbox.add()
    outbox.policy = policy(targets=frozenset({OTHER_TARGET}))

    assert outbox.claim() is None
    assert outbox.row().notify_count == 0


def test_one_targets_backlog_delays_no_other(outbox: Outbox) -> None:
    outbox.policy = policy(batch_size=10)
    outbox.add(50)
    outbox.target_failed(times=3)
    outbox.add(1, OTHER_TARGET)

    assert outbox.claim(TARGET) is None
    assert numbers(outbox.claim(OTHER_TARGET)) == [51]


def test_of_many_workers_each_row_is_claimed_by_one_a_lease(outbox: Outbox) -> None:
    outbox.policy = policy(batch_size=7)
    outbox.add(100)
    claims: list[Claim] = []

    def work(holder: str) -> None:
        while (claimed := outbox.claim(holder=holder)) is not None:
            claims.append(claimed)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(number for claimed in claims for number in numbers(claimed)) == list(range(1, 101))
    assert {row.claim_token for row in outbox.rows()} == {claimed.rows[0].lease.token for claimed in claims}
    assert [row.notify_count for row in outbox.rows()] == [1] * 100


def test_rows_of_a_call_that_failed_come_again_in_halves_down_to_one(outbox: Outbox) -> None:
    outbox.add(8)
    sizes = []
    for _ in range(4):
        claimed = outbox.claimed()
        sizes.append(len(claimed.rows))
        outbox.record(claimed, whole_call_failed(claimed))
        _make_all_due(outbox)

    assert sizes == [8, 4, 2, 1]


def test_a_row_with_a_limit_never_shares_a_call_with_more_rows(outbox: Outbox) -> None:
    outbox.add(5)
    outbox.set(2, batch_limit=1)
    outbox.set(4, batch_limit=3)
    outbox.set(5, batch_limit=4)

    assert numbers(outbox.claim()) == [1, 3, 4]
    assert numbers(outbox.claim()) == [2]
    assert numbers(outbox.claim()) == [5]


def test_a_limit_is_gone_when_the_row_has_failed_on_its_own_account(outbox: Outbox) -> None:
    outbox.add()
    outbox.set(batch_limit=1)
    outbox.fail()

    assert outbox.row().batch_limit is None


def test_a_poison_row_at_the_head_uses_up_its_own_budget_and_not_its_neighbours(outbox: Outbox) -> None:
    outbox.add(64)
    waiting = set(range(1, 65))
    while waiting > {1}:
        claimed = outbox.claim()
        if claimed is None:
            outbox.wait_until_due(max(waiting))
        elif 1 in numbers(claimed):
            outbox.record(claimed, whole_call_failed(claimed))
        else:
            outbox.record(claimed, APPLIED)
            waiting -= set(numbers(claimed))

    assert all(outbox.row(number).notify_count <= 7 for number in range(2, 65))


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_claim_whose_commit_was_unknown_holds_its_rows_once(outbox: Outbox, way: Commit) -> None:
    outbox.add(3)
    with commits(outbox.database, [way]):
        claimed = outbox.claimed()

    assert numbers(claimed) == [1, 2, 3]
    assert {row.claim_token for row in outbox.rows()} == {claimed.rows[0].lease.token}
    assert [row.notify_count for row in outbox.rows()] == [1, 1, 1]
    assert [row.attempt for row in claimed.rows] == [1, 1, 1]
    assert outbox.record(claimed, APPLIED).acknowledged == 3


def test_a_claim_that_was_rolled_back_leaves_the_rows_free(outbox: Outbox) -> None:
    outbox.add()
    before = outbox.row()

    def work(tx: Transaction) -> None:
        assert claim(tx, TARGET, outbox.lease(), outbox.policy, Recorded()) is not None
        raise ValueError("killed before the commit")

    with pytest.raises(ValueError, match="killed"):
        outbox.database.transact(work)
    assert outbox.row() == before


def test_a_failed_row_is_claimed_again_when_its_wait_is_over(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), SILENCE)

    outbox.clock.advance(timedelta(seconds=15) - MOMENT)
    assert outbox.claim() is None
    outbox.clock.advance(MOMENT)
    assert outbox.claimed().rows[0].attempt == 2


def _make_all_due(outbox: Outbox) -> None:
    for row in outbox.rows():
        if row.notify_status == ScheduleStatus.NOTIFYING and row.claim_token is None:
            outbox.set(row.payment_id, next_notify_time=outbox.clock.now())


@pytest.mark.parametrize("is_held", [True, False])
def test_a_clock_that_was_ahead_and_is_set_back_keeps_no_row_waiting(outbox: Outbox, is_held: bool) -> None:
    outbox.clock.set_wall_clock(START + 365 * DAY)
    outbox.add()
    claimed = outbox.claimed()
    if not is_held:
        outbox.record(claimed, SILENCE)
    outbox.clock.set_wall_clock(START)

    assert numbers(outbox.claim()) == [1]


def test_what_is_due_goes_before_what_a_wrong_clock_keeps_waiting(outbox: Outbox) -> None:
    outbox.clock.set_wall_clock(START + 365 * DAY)
    outbox.add()
    outbox.record(outbox.claimed(), SILENCE)
    outbox.clock.set_wall_clock(START)
    outbox.add()

    assert [numbers(outbox.claim()), numbers(outbox.claim())] == [[2], [1]]


def test_a_long_wait_the_receiver_asked_for_is_no_sign_of_a_wrong_clock(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), TryAgain(UNAVAILABLE, "in two days", wait=2 * DAY))

    assert outbox.claim() is None
    outbox.clock.advance(2 * DAY)
    assert numbers(outbox.claim()) == [1]


def test_a_row_that_had_all_its_attempts_is_given_up_and_never_called(outbox: Outbox) -> None:
    outbox.policy = policy(max_attempts=1)
    outbox.add()
    outbox.claimed()
    outbox.clock.advance(LEASE)
    outbox.operate(Act.DUE_NOW, 1)

    claimed, recorded = outbox.claim_and_tell()
    assert claimed is None
    assert [given_up.reason for given_up in recorded.given_up] == [
        "attempts used up: lease lapsed: worker recorded no result"
    ]
    assert (outbox.row().notify_status, outbox.row().notify_count) == (ScheduleStatus.FAILED, 1)


def test_rows_that_had_more_attempts_than_are_allowed_now_are_given_up(outbox: Outbox) -> None:
    outbox.add()
    outbox.fail(3)
    outbox.policy = policy(max_attempts=3)
    outbox.wait_until_due()

    assert outbox.claim() is None
    assert outbox.row().last_message == f"attempts used up: {SILENCE.message}"
