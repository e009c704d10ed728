"""Follow-ups (SPEC 6): done with the payment, never undoing it, listed until somebody deals with them."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from core.rules.codes import ItemKind
from core.rules.errors import Unavailable
from core.store.transaction import LostRace, Transaction
from order_server.compose import FOLLOW_UPS
from order_server.follow_ups import Need, Unmet
from order_server.issue_vouchers import IssueVouchers
from order_server.tables import Voucher
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from tests.integration.order_server.order_side import (
    APPLIED,
    DECISION,
    PAID_PAID,
    VOUCHER,
    OrderSide,
    StartOrderSide,
    item,
    notification,
    refused,
)

RETRIED, CLOSED = enums.FOLLOW_UP_RESOLUTION_RETRIED, enums.FOLLOW_UP_RESOLUTION_CLOSED


class Broken:
    """A follow-up for goods that writes, then raises what it is told, as long as it is told."""

    name = "broken"
    kind = ItemKind.GOODS

    def __init__(self, *errors: Exception, only_for: str | None = None) -> None:
        self.errors = list(errors)
        self.only_for = only_for

    def carry_out(self, tx: Transaction, needs: Sequence[Need]) -> Sequence[Unmet]:
        for need in needs:
            tx.insert(
                Voucher,
                [{"code": f"trace-{need.order_no}", "order_no": need.order_no, "sku": need.sku, "create_time": tx.now}],
            )
        if self.errors and self.only_for in (None, *(need.order_no for need in needs)):
            raise self.errors[0]
        return []


def _retry(order_no: str, name: str, sku: str, **more: Any) -> pb.RetryOrderFollowUpRequest:
    return pb.RetryOrderFollowUpRequest(order_no=order_no, name=name, sku=sku, **(DECISION | more))


def _close(order_no: str, name: str, sku: str, **more: Any) -> pb.ResolveOrderFollowUpRequest:
    return pb.ResolveOrderFollowUpRequest(order_no=order_no, name=name, sku=sku, **(DECISION | more))


def _key(row: order_pb2.OrderFollowUp) -> tuple[str, str, str]:
    return row.order_no, row.name, row.sku


def test_a_paid_order_takes_its_goods_and_gets_its_vouchers(side: OrderSide) -> None:
    side.stock("book", 10)
    side.create("O-1", item("book", 2), item("book", 1), item("gift", 3, VOUCHER), item("unstocked", 5))

    side.notify()

    assert side.on_hand("book") == 7
    codes = [voucher.code for voucher in side.vouchers()]
    assert len(set(codes)) == 3
    assert all(len(code) == 32 for code in codes)
    assert {voucher.sku for voucher in side.vouchers()} == {"gift"}
    assert not side.follow_ups(include_resolved=True)


def test_a_repeated_notification_takes_nothing_again(side: OrderSide) -> None:
    side.stock("book", 10)
    side.create("O-1", item("book", 2), item("gift", 1, VOUCHER))
    for _ in range(3):
        side.notify()

    assert side.on_hand("book") == 8
    assert len(side.vouchers()) == 1


def test_a_shortage_takes_nothing_of_that_sku_and_is_listed(side: OrderSide) -> None:
    side.stock("scarce", 4)
    side.stock("plenty", 10)
    side.create("O-1", item("scarce", 5), item("plenty", 5), item("gift", 1, VOUCHER))

    assert side.notify().disposition == APPLIED

    assert side.statuses() == PAID_PAID
    assert (side.on_hand("scarce"), side.on_hand("plenty")) == (4, 5)
    assert len(side.vouchers()) == 1
    (row,) = side.follow_ups()
    assert _key(row) == ("O-1", "take_inventory", "scarce")
    assert (row.wanted, row.done, row.error) == (5, 0, "short of scarce: 5 wanted, 4 on hand")
    assert not row.HasField("resolution")
    assert [line["sku"] for line in side.events("order_follow_up.open")] == ["scarce"]


def test_in_a_batch_the_last_piece_goes_to_the_first(side: OrderSide) -> None:
    side.stock("last", 1)
    for number in range(4):
        side.create(f"O-{number}", item("last", 1), item("gift", 1, VOUCHER))

    side.batch(*(notification(f"P-{number}", f"O-{number}") for number in (2, 0, 1, 3)))

    assert side.on_hand("last") == 0
    assert [row.order_no for row in side.follow_ups()] == ["O-3", "O-1", "O-0"]
    assert [len(side.vouchers(f"O-{number}")) for number in range(4)] == [1, 1, 1, 1]


def test_of_many_orders_at_once_exactly_as_many_get_a_piece_as_there_are(side: OrderSide) -> None:
    side.stock("a", 8)
    side.stock("b", 8)
    for number in range(20):
        skus = ("a", "b") if number % 2 else ("b", "a")
        side.create(f"O-{number}", *(item(sku, 1) for sku in skus))

    calls = [side.notifies.OrderNotify.future(notification(f"P-{number}", f"O-{number}")) for number in range(20)]

    assert {call.result().disposition for call in calls} == {APPLIED}
    assert (side.on_hand("a"), side.on_hand("b")) == (0, 0)
    assert len(side.follow_ups()) == 24


def test_an_error_never_undoes_the_payment_and_leaves_no_trace_of_itself(start_order_side: StartOrderSide) -> None:
    side = start_order_side((Broken(RuntimeError("no\x00 connection to the warehouse" + "!" * 5_000)), *FOLLOW_UPS))
    side.stock("book", 5)
    side.create("O-1", item("book", 2))

    assert side.notify().disposition == APPLIED

    assert side.statuses() == PAID_PAID
    assert not side.vouchers(), "what the broken one wrote is undone"
    assert side.on_hand("book") == 3, "the other follow-up is done"
    (row,) = side.follow_ups()
    assert _key(row) == ("O-1", "broken", "book")
    assert row.error.startswith("no  connection to the warehouse!")
    assert len(row.error.encode()) <= 2_048
    assert side.events("order_follow_up.error")[0]["order_no"] == "O-1"


def test_in_a_batch_only_the_order_with_the_error_is_left_undone(start_order_side: StartOrderSide) -> None:
    side = start_order_side((Broken(RuntimeError("not this one"), only_for="O-2"),))
    for number in range(5):
        side.create(f"O-{number}", item("book", 1))

    side.batch(*(notification(f"P-{number}", f"O-{number}") for number in range(5)))

    assert [_key(row) for row in side.follow_ups()] == [("O-2", "broken", "book")]
    assert [len(side.vouchers(f"O-{number}")) for number in range(5)] == [1, 1, 0, 1, 1]
    assert {side.statuses(f"O-{number}") for number in range(5)} == {PAID_PAID}


def test_a_violated_constraint_is_the_follow_ups_error_and_says_no_sql(start_order_side: StartOrderSide) -> None:
    side = start_order_side((IssueVouchers(lambda: "the same for all"),))
    side.create("O-1", item("gift", 2, VOUCHER))

    assert side.notify().disposition == APPLIED

    (row,) = side.follow_ups()
    assert (row.wanted, row.done, row.error) == (2, 0, "the database refused it")


def test_a_race_inside_a_follow_up_runs_the_whole_transaction_again(start_order_side: StartOrderSide) -> None:
    broken = Broken(LostRace("somebody was faster"))
    side = start_order_side((broken,))
    side.create("O-1", item("book", 1))

    refusal = refused(side.notifies.OrderNotify, notification())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "CONTENDED")
    assert side.order().order_status == enums.ORDER_STATUS_NEW

    broken.errors.clear()
    assert side.notify().disposition == APPLIED
    assert not side.follow_ups()


def test_the_words_of_an_error_made_for_people_are_kept(start_order_side: StartOrderSide) -> None:
    side = start_order_side((Broken(Unavailable("the printer is out of paper", reason="PRINTER")),))
    side.create("O-1", item("book", 1))

    side.notify()

    assert side.follow_ups()[0].error == "the printer is out of paper"


def test_a_retry_does_what_is_missing_and_closes_the_row(side: OrderSide) -> None:
    side.stock("scarce", 4)
    side.create("O-1", item("scarce", 5))
    side.notify()
    side.stock("scarce", 7)

    row = side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce")).order_follow_up

    assert (row.wanted, row.done, row.resolution) == (5, 5, RETRIED)
    assert (row.resolved_by, row.resolve_reason) == (DECISION["operator"], DECISION["reason"])
    assert side.on_hand("scarce") == 2
    assert not side.follow_ups()
    assert list(side.follow_ups(include_resolved=True)) == [row]


def test_a_retry_again_does_nothing_and_answers_the_row(side: OrderSide) -> None:
    side.stock("scarce", 0)
    side.create("O-1", item("scarce", 5))
    side.notify()
    side.stock("scarce", 20)
    first = side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce"))

    again = side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce", operator="bob"))

    assert again == first
    assert side.on_hand("scarce") == 15


def test_a_retry_that_fails_leaves_the_row_open_with_the_new_error(side: OrderSide) -> None:
    side.stock("scarce", 4)
    side.create("O-1", item("scarce", 5))
    side.notify()
    side.stock("scarce", 3)

    row = side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce")).order_follow_up

    assert (row.done, row.error) == (0, "short of scarce: 5 wanted, 3 on hand")
    assert not row.HasField("resolution")
    assert list(side.follow_ups()) == [row]
    assert side.on_hand("scarce") == 3


def test_a_retry_of_a_follow_up_this_server_does_not_have_leaves_it_open(start_order_side: StartOrderSide) -> None:
    with_it = start_order_side((Broken(RuntimeError("down")),))
    with_it.create("O-1", item("book", 1))
    with_it.notify()
    without_it = start_order_side(())

    row = without_it.orders.RetryOrderFollowUp(_retry("O-1", "broken", "book")).order_follow_up

    assert row.error == "this order server has no follow-up broken"
    assert not row.HasField("resolution")


def test_many_retries_at_once_do_it_once(side: OrderSide) -> None:
    side.stock("scarce", 0)
    side.create("O-1", item("scarce", 1))
    side.notify()
    side.stock("scarce", 10)

    calls = [side.orders.RetryOrderFollowUp.future(_retry("O-1", "take_inventory", "scarce")) for _ in range(20)]

    assert {call.result().order_follow_up.done for call in calls} == {1}
    assert side.on_hand("scarce") == 9


def test_a_dry_run_of_a_retry_tells_what_would_happen_and_takes_nothing(side: OrderSide) -> None:
    side.stock("scarce", 0)
    side.create("O-1", item("scarce", 1))
    side.notify()
    side.stock("scarce", 10)

    answer = side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce", validate_only=True))

    assert answer.validate_only
    assert (answer.order_follow_up.done, answer.order_follow_up.resolution) == (1, RETRIED)
    assert side.on_hand("scarce") == 10
    assert len(side.follow_ups()) == 1


def test_closing_keeps_what_is_missing_and_is_the_same_the_second_time(side: OrderSide) -> None:
    side.stock("scarce", 0)
    side.create("O-1", item("scarce", 1))
    side.notify()
    assert side.orders.ResolveOrderFollowUp(_close("O-1", "take_inventory", "scarce", validate_only=True)).validate_only
    assert len(side.follow_ups()) == 1

    first = side.orders.ResolveOrderFollowUp(_close("O-1", "take_inventory", "scarce"))
    again = side.orders.ResolveOrderFollowUp(_close("O-1", "take_inventory", "scarce", operator="bob"))

    row = first.order_follow_up
    assert (row.resolution, row.done, row.wanted, row.resolved_by) == (CLOSED, 0, 1, "alice")
    assert again == first
    assert not side.follow_ups()
    side.stock("scarce", 1)
    assert side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce")).order_follow_up == row
    assert side.on_hand("scarce") == 1


def test_what_a_retry_has_done_can_not_be_closed(side: OrderSide) -> None:
    side.stock("scarce", 0)
    side.create("O-1", item("scarce", 1))
    side.notify()
    side.stock("scarce", 1)
    side.orders.RetryOrderFollowUp(_retry("O-1", "take_inventory", "scarce"))

    refusal = refused(side.orders.ResolveOrderFollowUp, _close("O-1", "take_inventory", "scarce"))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_RESOLVED")
    assert [precondition.subject for precondition in refusal.preconditions] == ["O-1/take_inventory/scarce"]


def test_an_unknown_follow_up_is_not_found(side: OrderSide) -> None:
    side.create()
    for call, request in (
        (side.orders.RetryOrderFollowUp, _retry("O-1", "take_inventory", "a")),
        (side.orders.ResolveOrderFollowUp, _close("O-1", "take_inventory", "a")),
    ):
        refusal = refused(call, request)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "FOLLOW_UP_NOT_FOUND")


def test_follow_ups_are_filtered_and_paged(start_order_side: StartOrderSide) -> None:
    side = start_order_side((Broken(RuntimeError("down")), *FOLLOW_UPS))
    side.stock("scarce", 0)
    for order_no in ("O-1", "O-2"):
        side.create(order_no, item("scarce", 1))
        side.notify(f"P-{order_no}", order_no)

    assert [_key(row)[:2] for row in side.follow_ups(order_no="O-2")] == [("O-2", "take_inventory"), ("O-2", "broken")]
    assert [row.order_no for row in side.follow_ups(name="broken")] == ["O-2", "O-1"]
    first = side.orders.ListOrderFollowUps(pb.ListOrderFollowUpsRequest(page_size=3))
    rest = side.follow_ups(page_size=3, page_token=first.next_page_token)
    assert [_key(row) for row in rest] == [("O-1", "broken", "scarce")]


def test_a_batch_of_orders_without_items_costs_one_read_for_all_follow_ups(
    side: OrderSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        side.create(f"O-{number}")
    statements = _counted(monkeypatch)

    side.batch(*(notification(f"P-{number}", f"O-{number}") for number in range(50)))

    assert statements == ["order", "order_payment_notify", "order_item"]


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables read by key, as they are read; a read any other way fails."""
    read: list[str] = []
    by_keys = Transaction.by_keys

    def counting(self: Transaction, model: Any, *arguments: Any, **more: Any) -> Any:
        read.append(model._meta.table_name)
        return by_keys(self, model, *arguments, **more)

    def no_other(*_arguments: Any, **_more: Any) -> Any:
        raise AssertionError("a read that is not set-based")

    monkeypatch.setattr(Transaction, "by_keys", counting)
    monkeypatch.setattr(Transaction, "rows", no_other)
    monkeypatch.setattr(Transaction, "savepoint", no_other)
    return read


def test_stock_is_replaced_and_who_did_it_why_is_kept_and_logged(side: OrderSide) -> None:
    refusal = refused(side.orders.GetInventory, pb.GetInventoryRequest(sku="new"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "INVENTORY_NOT_FOUND")

    side.stock("new", 3)
    side.stock("new", 5)

    assert side.on_hand("new") == 5
    assert side.sql("SELECT updated_by, reason FROM inventory") == [(DECISION["operator"], DECISION["reason"])]
    assert [(line["before"], line["on_hand"]) for line in side.events("inventory.set")] == [(None, 3), (3, 5)]


def test_vouchers_of_an_order_are_paged_oldest_first_and_an_unknown_order_is_not_found(side: OrderSide) -> None:
    side.create("O-1", item("gift", 5, VOUCHER))
    side.notify()
    first = side.orders.ListVouchers(pb.ListVouchersRequest(order_no="O-1", page_size=3))
    rest = side.orders.ListVouchers(
        pb.ListVouchersRequest(order_no="O-1", page_size=3, page_token=first.next_page_token)
    )

    assert [*first.vouchers, *rest.vouchers] == list(side.vouchers())
    refusal = refused(side.orders.ListVouchers, pb.ListVouchersRequest(order_no="O-9"))
    assert refusal.reason == "ORDER_NOT_FOUND"
