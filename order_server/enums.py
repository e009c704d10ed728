"""The enums of the order contract and the codes they stand for."""

from core.rpc.translate import EnumMap
from core.rules.codes import (
    Disposition,
    ExceptionResolution,
    ItemKind,
    NotifyOutcome,
    OrderPaymentStatus,
    OrderStatus,
)
from order_server.rules import FollowUpResolution
from paylatch.order.v1 import order_enums_pb2 as pb

ORDER_STATUS = EnumMap(
    pb.OrderStatus,
    {
        pb.ORDER_STATUS_NEW: OrderStatus.NEW,
        pb.ORDER_STATUS_PAID: OrderStatus.PAID,
        pb.ORDER_STATUS_PROCESSING: OrderStatus.PROCESSING,
        pb.ORDER_STATUS_COMPLETED: OrderStatus.COMPLETED,
        pb.ORDER_STATUS_CANCELLED: OrderStatus.CANCELLED,
    },
)
ORDER_PAYMENT_STATUS = EnumMap(
    pb.OrderPaymentStatus,
    {
        pb.ORDER_PAYMENT_STATUS_UNPAID: OrderPaymentStatus.UNPAID,
        pb.ORDER_PAYMENT_STATUS_PAYING: OrderPaymentStatus.PAYING,
        pb.ORDER_PAYMENT_STATUS_PAID: OrderPaymentStatus.PAID,
        pb.ORDER_PAYMENT_STATUS_FAILED: OrderPaymentStatus.FAILED,
    },
)
OUTCOME = EnumMap(
    pb.PaymentOutcome,
    {
        pb.PAYMENT_OUTCOME_SUCCESS: NotifyOutcome.SUCCESS,
        pb.PAYMENT_OUTCOME_FAILED: NotifyOutcome.FAILED,
    },
)
DISPOSITION = EnumMap(
    pb.Disposition,
    {
        pb.DISPOSITION_APPLIED: Disposition.APPLIED,
        pb.DISPOSITION_DUPLICATE_PAYMENT: Disposition.DUPLICATE_PAYMENT,
        pb.DISPOSITION_ORDER_CANCELLED: Disposition.ORDER_CANCELLED,
        pb.DISPOSITION_AMOUNT_MISMATCH: Disposition.AMOUNT_MISMATCH,
        pb.DISPOSITION_IGNORED: Disposition.IGNORED,
    },
)
EXCEPTION = EnumMap(
    pb.Disposition,
    {
        pb.DISPOSITION_DUPLICATE_PAYMENT: Disposition.DUPLICATE_PAYMENT,
        pb.DISPOSITION_ORDER_CANCELLED: Disposition.ORDER_CANCELLED,
        pb.DISPOSITION_AMOUNT_MISMATCH: Disposition.AMOUNT_MISMATCH,
    },
)
EXCEPTION_RESOLUTION = EnumMap(
    pb.ExceptionResolution,
    {
        pb.EXCEPTION_RESOLUTION_RETURNED: ExceptionResolution.RETURNED,
        pb.EXCEPTION_RESOLUTION_ACCEPTED: ExceptionResolution.ACCEPTED,
    },
)
ITEM_KIND = EnumMap(
    pb.ItemKind,
    {
        pb.ITEM_KIND_GOODS: ItemKind.GOODS,
        pb.ITEM_KIND_VOUCHER: ItemKind.VOUCHER,
    },
)
FOLLOW_UP_RESOLUTION = EnumMap(
    pb.FollowUpResolution,
    {
        pb.FOLLOW_UP_RESOLUTION_RETRIED: FollowUpResolution.RETRIED,
        pb.FOLLOW_UP_RESOLUTION_CLOSED: FollowUpResolution.CLOSED,
    },
)
