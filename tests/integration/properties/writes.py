"""For every RPC that writes: a call of it that changes rows, and what has to be there before, on keys of its own."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import Message

from core.store.database import Database
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.order.v1 import order_service_pb2 as orders
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.order.v1.order_notify_service_pb2 import BatchOrderNotifyRequest
from paylatch.payment.v1 import payment_enums_pb2 as payment_enums
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    AbandonNotifySchedulesRequest,
    PauseNotifyTargetRequest,
    ResumeNotifyTargetRequest,
    RetryNotifySchedulesRequest,
)
from paylatch.payment.v1.payment_service_pb2 import (
    BatchReportPaymentResultsRequest,
    CreatePaymentRequest,
    ReportPaymentResultRequest,
)
from tests.integration.order_server.order_side import ACT, FAILED, VOUCHER, OrderSide, item, notification
from tests.integration.payment_server.payment_side import PaymentSide
from tests.support.databases import run_sql
from tests.support.waiting import wait_until

PLATFORM = "alipay"
WHY: dict[str, Any] = {"operator": "alice", "reason": "as the test wants it"}


def order_calls(side: OrderSide) -> Mapping[str, Callable[[str], Message]]:
    """By RPC, and by case where one has several: prepares what has to be there, and gives the request. Called with
    the beginning of every key."""

    def new(tag: str) -> str:
        side.stock(f"{tag}book", 5)
        side.create(f"{tag}O", item(f"{tag}book", 2), item(f"{tag}gift", 1, VOUCHER))
        return f"{tag}O"

    def paid(tag: str) -> str:
        side.notify(f"{tag}P", new(tag))
        return f"{tag}O"

    def in_work(tag: str) -> str:
        side.orders.ProcessOrder(orders.ProcessOrderRequest(order_no=paid(tag), **ACT))
        return f"{tag}O"

    def mismatch(tag: str) -> dict[str, Any]:
        side.notify(f"{tag}P", new(tag), amount=999)
        return {"platform_id": PLATFORM, "payment_code": f"{tag}P", **WHY}

    def short(tag: str) -> dict[str, Any]:
        side.stock(f"{tag}book", 1)
        side.create(f"{tag}O", item(f"{tag}book", 2))
        side.notify(f"{tag}P", f"{tag}O")
        side.stock(f"{tag}book", 9)
        return {"order_no": f"{tag}O", "name": "take_inventory", "sku": f"{tag}book", **WHY}

    def many(tag: str) -> Message:
        requests = [notification(f"{tag}P", new(tag)), notification(f"{tag}Q", f"{tag}O")]
        requests += [notification(f"{tag}R", f"{tag}O", FAILED), notification(f"{tag}S", f"{tag}unknown")]
        return BatchOrderNotifyRequest(requests=requests)

    accepted, returned = order_enums.EXCEPTION_RESOLUTION_ACCEPTED, order_enums.EXCEPTION_RESOLUTION_RETURNED
    return {
        "CreateOrder": lambda tag: orders.CreateOrderRequest(
            order_no=f"{tag}O", amount_minor=1_000, currency_code="USD", items=[item(f"{tag}book", 2)]
        ),
        "StartPayment": lambda tag: orders.StartPaymentRequest(order_no=new(tag), **ACT),
        "ProcessOrder": lambda tag: orders.ProcessOrderRequest(order_no=paid(tag), **ACT),
        "CompleteOrder": lambda tag: orders.CompleteOrderRequest(order_no=in_work(tag), **ACT),
        "CancelOrder": lambda tag: orders.CancelOrderRequest(order_no=new(tag), **ACT),
        "ResolvePaymentException": lambda tag: orders.ResolvePaymentExceptionRequest(
            resolution=accepted, **mismatch(tag)
        ),
        "ResolvePaymentException returned": lambda tag: orders.ResolvePaymentExceptionRequest(
            resolution=returned, **mismatch(tag)
        ),
        "RetryOrderFollowUp": lambda tag: orders.RetryOrderFollowUpRequest(**short(tag)),
        "ResolveOrderFollowUp": lambda tag: orders.ResolveOrderFollowUpRequest(**short(tag)),
        "SetInventory": lambda tag: orders.SetInventoryRequest(sku=f"{tag}book", on_hand=7, **WHY),
        "OrderNotify": lambda tag: notification(f"{tag}P", new(tag)),
        "OrderNotify of a failure": lambda tag: notification(f"{tag}P", new(tag), FAILED),
        "BatchOrderNotify": many,
    }


def payment_calls(side: PaymentSide) -> Mapping[str, Callable[[str], Message]]:
    """As `order_calls`."""
    success, failed = payment_enums.PAYMENT_STATUS_SUCCESS, payment_enums.PAYMENT_STATUS_FAILED

    def report(tag: str, status: Any = success) -> ReportPaymentResultRequest:
        return ReportPaymentResultRequest(
            platform_id=PLATFORM, payment_code=f"{tag}P", status=status, trade_no=f"{tag}T"
        )

    def created(tag: str) -> str:
        side.create(payment_code=f"{tag}P", order_no=f"{tag}O")
        return tag

    def settled(tag: str) -> str:
        side.report(payment_code=f"{created(tag)}P")
        return tag

    def without_schedule(tag: str) -> list[PaymentKey]:
        settled(tag)
        run_sql(side.database, f"DELETE FROM notify_schedule WHERE payment_code = '{tag}P'")
        return [PaymentKey(platform_id=PLATFORM, payment_code=f"{tag}P")]

    def given_back(tag: str) -> list[PaymentKey]:
        held = f"SELECT 1 FROM notify_schedule WHERE payment_code = '{settled(tag)}P' AND claim_token IS NOT NULL"
        wait_until(lambda: not run_sql(side.database, held))
        return [PaymentKey(platform_id=PLATFORM, payment_code=f"{tag}P")]

    def target(tag: str, *, is_paused: bool) -> dict[str, Any]:
        """The one target, made so; the tag stands in the reason."""
        request = {"notify_url": side.notify_url, **WHY}
        with suppress(grpc.RpcError):  # it is so already
            if is_paused:
                side.schedules.PauseNotifyTarget(PauseNotifyTargetRequest(**request))
            else:
                side.schedules.ResumeNotifyTarget(ResumeNotifyTargetRequest(**request))
        return request | {"reason": f"{tag}why"}

    return {
        "CreatePayment": lambda tag: CreatePaymentRequest(**side.content(payment_code=f"{tag}P", order_no=f"{tag}O")),
        "ReportPaymentResult": lambda tag: report(created(tag)),
        "ReportPaymentResult of the opposite": lambda tag: report(settled(tag), failed),
        "BatchReportPaymentResults": lambda tag: BatchReportPaymentResultsRequest(
            requests=[report(created(tag)), report(tag, failed), report(f"{tag}unknown")]
        ),
        "RetryNotifySchedules": lambda tag: RetryNotifySchedulesRequest(
            action=payment_enums.RETRY_ACTION_RESTORE, keys=without_schedule(tag), **WHY
        ),
        "AbandonNotifySchedules": lambda tag: AbandonNotifySchedulesRequest(keys=given_back(tag), **WHY),
        "PauseNotifyTarget": lambda tag: PauseNotifyTargetRequest(**target(tag, is_paused=False)),
        "ResumeNotifyTarget": lambda tag: ResumeNotifyTargetRequest(**target(tag, is_paused=True)),
    }


# Drawn at random, given out by the database, or changed by the sender of notifications at any time.
_NOT_COMPARED = frozenset({"id", "payment_id", "change_id", "action_id"})
_COMPARED: Mapping[str, str] = {
    "voucher": "order_no, sku, create_time",
    "notify_schedule": "platform_id, payment_code, order_no, notify_url, notify_content, give_up_time, notify_status, "
    "handled_by, handled_reason",
    "notify_target": "notify_url, paused_by, paused_reason",
    "payment_result": "notify_status, disposition, create_time, update_time, "
    "(SELECT payment_code FROM payment WHERE payment.id = payment_id) AS payment_code",
}
_SENDERS_TABLES = frozenset({"notify_attempt", "schema_migration", "sqlite_sequence"})


class Rows:
    """The rows of a database, found by a tag that stands in them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.connected() as pool:
            tables = sorted({*pool.get_tables()} - _SENDERS_TABLES)
            self._queries = {
                table: f'SELECT {_COMPARED.get(table) or _compared(pool.get_columns(table))} FROM "{table}"'
                for table in tables
            }

    def having(self, tag: str) -> list[str]:
        """Those with `tag`, as text, with a star in its place."""
        rows = [f"{table}{row}" for table, query in self._queries.items() for row in run_sql(self._database, query)]
        return sorted(row.replace(tag, "*") for row in rows if tag in row)


def _compared(columns: Iterable[Any]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns if column.name not in _NOT_COMPARED)
