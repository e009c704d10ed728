"""BatchOrderNotify (SPEC 5): each item answered on its own, in its order, whatever its neighbours are."""

import itertools
from contextlib import AbstractContextManager
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.rules.errors import Unavailable
from core.store.database import Database
from paylatch.order.v1 import order_notify_service_pb2 as notify_pb2
from tests.integration.order_server.order_side import (
    AMOUNT_MISMATCH,
    APPLIED,
    DUPLICATE_PAYMENT,
    FAILED,
    NEW_FAILED,
    NEW_UNPAID,
    PAID_PAID,
    SUCCESS,
    OrderSide,
    notification,
    refused,
)
from tests.support.databases import refusing

NOT_FOUND, INVALID_ARGUMENT, ALREADY_EXISTS, INTERNAL = 5, 3, 6, 13


def _outcomes(results: Any) -> list[Any]:
    """Per item: its disposition and whether it repeats, or the code of its error."""
    return [
        result.error.code if result.HasField("error") else (result.response.disposition, result.response.is_repeated)
        for result in results
    ]


def _poisoned(side: OrderSide, payment_code: str) -> AbstractContextManager[None]:
    """Makes the database itself fail on one notification."""
    return refusing(side.database, "order_payment_notify", "payment_code", payment_code)


def test_every_item_is_answered_under_its_own_key_in_the_order_of_the_requests(side: OrderSide) -> None:
    for number in range(500):
        side.create(f"O-{number}")

    results = side.batch(*(notification(f"P-{number}", f"O-{number}") for number in range(500)))

    assert [result.payment_code for result in results] == [f"P-{number}" for number in range(500)]
    assert {result.platform_id for result in results} == {"alipay"}
    assert _outcomes(results) == [(APPLIED, False)] * 500
    assert side.sql('SELECT count(*) FROM "order" WHERE order_status = 2 AND payment_status = 2') == [(500,)]
    assert side.sql("SELECT count(*) FROM order_status_log") == [(1_000,)]


def test_bad_items_are_answered_with_their_own_errors_and_their_neighbours_are_served(side: OrderSide) -> None:
    for order_no in ("O-1", "O-2"):
        side.create(order_no)
    side.notify("P-1", "O-1")

    results = side.batch(
        notification("P-0", "O-0"),
        notification("P-1", "O-1", amount=5),
        notification("", "", 7, 0, "ABC", trade_no="T" * 129),
        notification("P-2", "O-2"),
    )

    assert _outcomes(results) == [NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT, (APPLIED, False)]
    assert [result.error.reason for result in results] == ["ORDER_NOT_FOUND", "NOTIFY_DIFFERS", "INVALID_FIELDS", ""]
    for field in ("payment_code", "order_no", "outcome", "amount_minor", "currency_code", "trade_no"):
        assert f"{field}: " in results[2].error.message
    assert side.statuses("O-2") == PAID_PAID


def test_an_item_that_crashes_fails_alone_and_tells_nothing_internal(side: OrderSide) -> None:
    for number in range(20):
        side.create(f"O-{number}")

    with _poisoned(side, "P-7"):
        results = side.batch(*(notification(f"P-{number}", f"O-{number}") for number in range(20)))

    outcomes = _outcomes(results)
    assert outcomes.pop(7) == INTERNAL
    assert outcomes == [(APPLIED, False)] * 19
    assert "secret" not in results[7].error.message
    assert results[7].error.reason == "INTERNAL"
    (crash,) = side.events("rpc.crashed")
    assert crash["error_id"] in results[7].error.message
    assert crash["payment_code"] == "P-7"
    assert side.statuses("O-7") == NEW_UNPAID
    assert [line["items"] for line in side.events("order_notify.batch_split")] == [20]


def test_a_notification_that_crashes_alone_is_an_internal_error(side: OrderSide) -> None:
    side.create()

    with _poisoned(side, "P-1"):
        refusal = refused(side.notifies.OrderNotify, notification())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in refusal.message


def test_items_of_one_order_act_in_their_order(side: OrderSide) -> None:
    side.create()

    results = side.batch(
        notification("P-1", amount=999),
        notification("P-2", outcome=FAILED),
        notification("P-3"),
        notification("P-4"),
        notification("P-5", outcome=FAILED),
    )

    assert [result.response.disposition for result in results] == [
        AMOUNT_MISMATCH,
        APPLIED,
        APPLIED,
        DUPLICATE_PAYMENT,
        5,
    ]
    statuses = [(result.response.order_status, result.response.payment_status) for result in results]
    assert statuses == [NEW_UNPAID, NEW_FAILED, PAID_PAID, PAID_PAID, PAID_PAID]
    assert [change.WhichOneof("change") for change in side.status_log()] == [
        "payment_status",
        "order_status",
        "payment_status",
    ]


def test_items_of_one_key_act_in_their_order(side: OrderSide) -> None:
    side.create()

    results = side.batch(notification(), notification(), notification(amount=5), notification())

    assert _outcomes(results) == [(APPLIED, False), (APPLIED, True), ALREADY_EXISTS, (APPLIED, True)]


def test_a_batch_again_is_repeated_item_by_item(side: OrderSide) -> None:
    for number in range(10):
        side.create(f"O-{number}")
    batch = [notification(f"P-{number}", f"O-{number}") for number in range(10)]
    side.batch(*batch[:4])

    assert _outcomes(side.batch(*batch)) == [(APPLIED, True)] * 4 + [(APPLIED, False)] * 6


@pytest.mark.parametrize("count", [0, 501])
def test_an_empty_or_too_long_batch_is_refused_as_a_whole(side: OrderSide, count: int) -> None:
    requests = [notification(f"P-{number}") for number in range(count)]

    refusal = refused(side.notifies.BatchOrderNotify, notify_pb2.BatchOrderNotifyRequest(requests=requests))

    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["requests"])


def test_a_batch_of_nothing_but_invalid_items_is_answered_item_by_item(side: OrderSide) -> None:
    assert _outcomes(side.batch(notification(""), notification("P 1"))) == [INVALID_ARGUMENT] * 2


def test_overlapping_batches_at_once_apply_every_payment_once(side: OrderSide) -> None:
    for number in range(100):
        side.create(f"O-{number}")
    requests = [notification(f"P-{number}", f"O-{number}") for number in range(100)]
    batches = [requests[start:] + requests[:start] for start in range(0, 100, 5)]

    calls = [
        side.notifies.BatchOrderNotify.future(notify_pb2.BatchOrderNotifyRequest(requests=batch)) for batch in batches
    ]
    outcomes = [outcome for call in calls for outcome in _outcomes(call.result().results)]

    assert outcomes.count((APPLIED, False)) == 100
    assert outcomes.count((APPLIED, True)) == 1_900


FACTS = st.tuples(
    st.integers(1, 4),  # payment code
    st.sampled_from([SUCCESS, FAILED]),
    st.sampled_from([1_000, 1_000, 999]),
    st.integers(1, 2),  # order
)


def _one_content_per_key(facts: list[Any]) -> list[Any]:
    return list({fact[0]: fact for fact in facts}.values())


RUN = itertools.count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(FACTS, min_size=1, max_size=6).map(_one_content_per_key), data=st.data())
def test_any_arrival_duplication_and_batching_ends_in_the_same_statuses(
    side: OrderSide, facts: list[Any], data: st.DataObject
) -> None:
    sent = data.draw(st.permutations(facts + facts))
    sizes = st.integers(1, len(sent))
    ends = []
    for arrival in (sent, facts):
        run = next(RUN)
        for number in (1, 2):
            side.create(f"O-{run}-{number}")
        requests = [
            notification(f"P-{run}-{code}", f"O-{run}-{number}", outcome, amount)
            for code, outcome, amount, number in arrival
        ]
        while requests:
            size = data.draw(sizes)
            side.batch(*requests[:size])
            del requests[:size]
        ends.append([side.statuses(f"O-{run}-{number}") for number in (1, 2)])
        for number in (1, 2):
            _at_most_one_applied_success_and_one_if_any_fits(side, f"O-{run}-{number}")

    assert ends[0] == ends[1]


def _at_most_one_applied_success_and_one_if_any_fits(side: OrderSide, order_no: str) -> None:
    successes = f"FROM order_payment_notify WHERE order_no = '{order_no}' AND status = 1"
    ((applied,),) = side.sql(f"SELECT count(*) {successes} AND disposition = 1")
    ((fitting,),) = side.sql(f"SELECT count(*) {successes} AND amount_minor = 1000")
    assert applied == min(fitting, 1)
    assert (side.statuses(order_no) == PAID_PAID) is (applied == 1)


def test_a_database_that_is_away_fails_the_batch_as_a_whole(side: OrderSide, monkeypatch: pytest.MonkeyPatch) -> None:
    side.create()

    def away(_self: Database, _work: Any) -> Any:
        raise Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")

    monkeypatch.setattr(Database, "transact", away)

    request = notify_pb2.BatchOrderNotifyRequest(requests=[notification("P-1"), notification("P-2")])
    assert refused(side.notifies.BatchOrderNotify, request).code is grpc.StatusCode.UNAVAILABLE
