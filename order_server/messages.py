"""From values and rows to messages of the order contract. Decides nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.rpc.translate import to_timestamp
from core.rules.codes import OrderPaymentStatus, OrderStatus
from core.store.transaction import Row
from order_server import enums
from order_server.ledger import Notified
from order_server.notifies import NotifyView
from order_server.order_rows import Item, OrderView
from order_server.rules import StatusName
from paylatch.order.v1 import order_notify_service_pb2, order_payment_pb2, order_pb2


def order_message(order: OrderView) -> order_pb2.Order:
    """An order with its items."""
    paid_by = order.paid_by
    return order_pb2.Order(
        order_no=order.order_no,
        amount_minor=order.amount_minor,
        currency_code=order.currency_code,
        items=[_item_message(item) for item in order.items],
        order_status=enums.ORDER_STATUS.to_value(order.order_status),
        payment_status=enums.ORDER_PAYMENT_STATUS.to_value(order.payment_status),
        paid_platform_id=paid_by.platform_id if paid_by else None,
        paid_payment_code=paid_by.payment_code if paid_by else None,
        create_time=to_timestamp(order.create_time),
        update_time=to_timestamp(order.update_time),
    )


def _item_message(item: Item) -> order_pb2.OrderItem:
    return order_pb2.OrderItem(sku=item.sku, quantity=item.quantity, kind=enums.ITEM_KIND.to_value(item.kind))


def status_log_message(row: Row) -> order_pb2.OrderStatusLog:
    """One change of an order's status."""
    message = order_pb2.OrderStatusLog(
        order_no=row.order_no,
        operator=row.operator,
        description=row.description,
        create_time=to_timestamp(row.create_time),
    )
    if row.status_name is StatusName.ORDER_STATUS:
        message.order_status.from_status = enums.ORDER_STATUS.to_value(OrderStatus(row.from_status))
        message.order_status.to_status = enums.ORDER_STATUS.to_value(OrderStatus(row.to_status))
    else:
        statuses = enums.ORDER_PAYMENT_STATUS
        message.payment_status.from_status = statuses.to_value(OrderPaymentStatus(row.from_status))
        message.payment_status.to_status = statuses.to_value(OrderPaymentStatus(row.to_status))
    return message


def notified_message(answer: Notified) -> order_notify_service_pb2.OrderNotifyResponse:
    """The answer to a notification."""
    return order_notify_service_pb2.OrderNotifyResponse(
        disposition=enums.DISPOSITION.to_value(answer.disposition),
        is_repeated=answer.is_repeated,
        order_status=enums.ORDER_STATUS.to_value(answer.order_status),
        payment_status=enums.ORDER_PAYMENT_STATUS.to_value(answer.payment_status),
    )


def notify_message(view: NotifyView) -> order_payment_pb2.OrderPaymentNotify:
    """A notification on record, beside its order's present statuses."""
    notify, order = view
    return order_payment_pb2.OrderPaymentNotify(
        platform_id=notify.platform_id,
        payment_code=notify.payment_code,
        order_no=notify.order_no,
        outcome=enums.OUTCOME.to_value(notify.status),
        amount_minor=notify.amount_minor,
        currency_code=notify.currency_code,
        trade_no=notify.trade_no or None,
        settle_time=_optional_timestamp(notify.settle_time),
        disposition=enums.DISPOSITION.to_value(notify.disposition),
        create_time=to_timestamp(notify.create_time),
        order_status=enums.ORDER_STATUS.to_value(order.order_status),
        payment_status=enums.ORDER_PAYMENT_STATUS.to_value(order.payment_status),
        is_paying_key=view.is_paying_key,
        **_resolution(notify, enums.EXCEPTION_RESOLUTION),
    )


def exception_message(view: NotifyView) -> order_payment_pb2.PaymentException:
    """A payment exception, beside its order as it is now."""
    notify, order = view
    return order_payment_pb2.PaymentException(
        platform_id=notify.platform_id,
        payment_code=notify.payment_code,
        order_no=notify.order_no,
        disposition=enums.DISPOSITION.to_value(notify.disposition),
        amount_minor=notify.amount_minor,
        currency_code=notify.currency_code,
        order_amount_minor=order.amount_minor,
        order_currency_code=order.currency_code,
        order_status=enums.ORDER_STATUS.to_value(order.order_status),
        payment_status=enums.ORDER_PAYMENT_STATUS.to_value(order.payment_status),
        create_time=to_timestamp(notify.create_time),
        **_resolution(notify, enums.EXCEPTION_RESOLUTION),
    )


def follow_up_message(row: Row) -> order_pb2.OrderFollowUp:
    """A follow-up that went wrong."""
    return order_pb2.OrderFollowUp(
        order_no=row.order_no,
        name=row.name,
        sku=row.sku,
        wanted=row.wanted,
        done=row.done,
        error=row.error,
        create_time=to_timestamp(row.create_time),
        **_resolution(row, enums.FOLLOW_UP_RESOLUTION),
    )


def inventory_message(row: Row) -> order_pb2.InventoryItem:
    """The stock of a sku."""
    return order_pb2.InventoryItem(sku=row.sku, on_hand=row.on_hand)


def voucher_message(row: Row) -> order_pb2.Voucher:
    """A voucher."""
    return order_pb2.Voucher(
        code=row.code, order_no=row.order_no, sku=row.sku, create_time=to_timestamp(row.create_time)
    )


def _resolution(row: Row, resolutions: Any) -> Mapping[str, Any]:
    """The fields that tell how a row was closed; none while it is open."""
    if row.resolution is None:
        return {}
    return {
        "resolution": resolutions.to_value(row.resolution),
        "resolved_by": row.resolved_by,
        "resolve_time": to_timestamp(row.resolved_time),
        "resolve_reason": row.resolved_reason,
    }


def _optional_timestamp(time: datetime | None) -> Any:
    return None if time is None else to_timestamp(time)
