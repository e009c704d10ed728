"""OrderService: translates between messages and the use cases on orders. No rule, no SQL."""

import grpc

from core.logs import Logger
from core.rpc.items import item_failure
from core.rules.errors import InvalidInput, NotFound
from order_server import messages, requests
from order_server.notifies import NotifyView, OrderPaymentNotifies
from order_server.order_follow_ups import OrderFollowUps
from order_server.orders import Orders
from order_server.payment_exceptions import PaymentExceptions
from order_server.requests import next_page_token, page_request
from order_server.rules import PaymentKey
from order_server.stock import Stock
from paylatch.order.v1 import batch_pb2
from paylatch.order.v1 import order_service_pb2 as pb
from paylatch.order.v1 import order_service_pb2_grpc as pb_grpc

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["OrderService"].full_name


class OrderService(pb_grpc.OrderServiceServicer):
    """The RPCs for the owners of orders and for operators."""

    def __init__(
        self,
        orders: Orders,
        exceptions: PaymentExceptions,
        notifies: OrderPaymentNotifies,
        follow_ups: OrderFollowUps,
        stock: Stock,
        log: Logger,
    ) -> None:
        self._orders = orders
        self._exceptions = exceptions
        self._notifies = notifies
        self._follow_ups = follow_ups
        self._stock = stock
        self._log = log

    def CreateOrder(self, request: pb.CreateOrderRequest, context: grpc.ServicerContext) -> pb.CreateOrderResponse:
        """Create an order."""
        order = self._orders.create(requests.read_new_order(request))
        return pb.CreateOrderResponse(order=messages.order_message(order))

    def GetOrder(self, request: pb.GetOrderRequest, context: grpc.ServicerContext) -> pb.GetOrderResponse:
        """Read an order."""
        order = self._orders.get(requests.read_order_no(request))
        return pb.GetOrderResponse(order=messages.order_message(order))

    def ListOrders(self, request: pb.ListOrdersRequest, context: grpc.ServicerContext) -> pb.ListOrdersResponse:
        """Read a page of orders."""
        wanted, page = requests.read_order_list(request)
        found = self._orders.find(wanted, page_request(page))
        return pb.ListOrdersResponse(
            orders=[messages.order_message(order) for order in found.rows],
            next_page_token=next_page_token(page, found.last),
        )

    def StartPayment(self, request: pb.StartPaymentRequest, context: grpc.ServicerContext) -> pb.StartPaymentResponse:
        """Note that a payment was started."""
        order = self._orders.start_payment(requests.read_order_act(request))
        return pb.StartPaymentResponse(order=messages.order_message(order))

    def ProcessOrder(self, request: pb.ProcessOrderRequest, context: grpc.ServicerContext) -> pb.ProcessOrderResponse:
        """Take a paid order into work."""
        order = self._orders.process(requests.read_order_act(request))
        return pb.ProcessOrderResponse(order=messages.order_message(order))

    def CompleteOrder(
        self, request: pb.CompleteOrderRequest, context: grpc.ServicerContext
    ) -> pb.CompleteOrderResponse:
        """Finish an order in work."""
        order = self._orders.complete(requests.read_order_act(request))
        return pb.CompleteOrderResponse(order=messages.order_message(order))

    def CancelOrder(self, request: pb.CancelOrderRequest, context: grpc.ServicerContext) -> pb.CancelOrderResponse:
        """Cancel a new order."""
        order = self._orders.cancel(requests.read_order_act(request))
        return pb.CancelOrderResponse(order=messages.order_message(order))

    def ListOrderStatusLogs(
        self, request: pb.ListOrderStatusLogsRequest, context: grpc.ServicerContext
    ) -> pb.ListOrderStatusLogsResponse:
        """Read a page of the changes of an order's statuses."""
        order_no, page = requests.read_list_of_order(request)
        found = self._orders.status_logs(order_no, page_request(page))
        return pb.ListOrderStatusLogsResponse(
            order_status_logs=[messages.status_log_message(row) for row in found.rows],
            next_page_token=next_page_token(page, found.last),
        )

    def ListPaymentExceptions(
        self, request: pb.ListPaymentExceptionsRequest, context: grpc.ServicerContext
    ) -> pb.ListPaymentExceptionsResponse:
        """Read a page of payment exceptions."""
        wanted, page = requests.read_exception_list(request)
        found = self._exceptions.find(wanted, page_request(page))
        return pb.ListPaymentExceptionsResponse(
            payment_exceptions=[messages.exception_message(view) for view in found.rows],
            next_page_token=next_page_token(page, found.last),
        )

    def ResolvePaymentException(
        self, request: pb.ResolvePaymentExceptionRequest, context: grpc.ServicerContext
    ) -> pb.ResolvePaymentExceptionResponse:
        """Close a payment exception."""
        view = self._exceptions.resolve(requests.read_resolve(request))
        return pb.ResolvePaymentExceptionResponse(
            payment_exception=messages.exception_message(view), validate_only=request.validate_only
        )

    def ListOrderPaymentNotifies(
        self, request: pb.ListOrderPaymentNotifiesRequest, context: grpc.ServicerContext
    ) -> pb.ListOrderPaymentNotifiesResponse:
        """Read a page of notifications."""
        wanted, page = requests.read_notify_list(request)
        found = self._notifies.find(wanted, page_request(page))
        return pb.ListOrderPaymentNotifiesResponse(
            order_payment_notifies=[messages.notify_message(view) for view in found.rows],
            next_page_token=next_page_token(page, found.last),
        )

    def BatchGetOrderPaymentNotifies(
        self, request: pb.BatchGetOrderPaymentNotifiesRequest, context: grpc.ServicerContext
    ) -> pb.BatchGetOrderPaymentNotifiesResponse:
        """Read the notifications of many keys."""
        requests.check_batch(request.requests)
        read = [_read(key) for key in request.requests]
        found = iter(self._notifies.batch_get([key for key in read if isinstance(key, PaymentKey)]))
        answers = [next(found) if isinstance(key, PaymentKey) else key for key in read]
        return pb.BatchGetOrderPaymentNotifiesResponse(
            results=[self._result(key, answer) for key, answer in zip(request.requests, answers, strict=True)]
        )

    def _result(
        self, key: batch_pb2.PaymentKey, answer: NotifyView | NotFound | InvalidInput
    ) -> pb.BatchGetOrderPaymentNotifiesResult:
        result = pb.BatchGetOrderPaymentNotifiesResult(platform_id=key.platform_id, payment_code=key.payment_code)
        if isinstance(answer, Exception):
            result.error.CopyFrom(item_failure(self._log, answer))
        else:
            result.order_payment_notify.CopyFrom(messages.notify_message(answer))
        return result

    def ListOrderFollowUps(
        self, request: pb.ListOrderFollowUpsRequest, context: grpc.ServicerContext
    ) -> pb.ListOrderFollowUpsResponse:
        """Read a page of follow-ups."""
        wanted, page = requests.read_follow_up_list(request)
        found = self._follow_ups.find(wanted, page_request(page))
        return pb.ListOrderFollowUpsResponse(
            order_follow_ups=[messages.follow_up_message(row) for row in found.rows],
            next_page_token=next_page_token(page, found.last),
        )

    def RetryOrderFollowUp(
        self, request: pb.RetryOrderFollowUpRequest, context: grpc.ServicerContext
    ) -> pb.RetryOrderFollowUpResponse:
        """Try a follow-up again."""
        row = self._follow_ups.retry(requests.read_follow_up_act(request))
        return pb.RetryOrderFollowUpResponse(
            order_follow_up=messages.follow_up_message(row), validate_only=request.validate_only
        )

    def ResolveOrderFollowUp(
        self, request: pb.ResolveOrderFollowUpRequest, context: grpc.ServicerContext
    ) -> pb.ResolveOrderFollowUpResponse:
        """Close a follow-up as it is."""
        row = self._follow_ups.resolve(requests.read_follow_up_act(request))
        return pb.ResolveOrderFollowUpResponse(
            order_follow_up=messages.follow_up_message(row), validate_only=request.validate_only
        )

    def SetInventory(self, request: pb.SetInventoryRequest, context: grpc.ServicerContext) -> pb.SetInventoryResponse:
        """Set the stock of a sku."""
        row = self._stock.set(requests.read_set_stock(request))
        return pb.SetInventoryResponse(inventory=messages.inventory_message(row))

    def GetInventory(self, request: pb.GetInventoryRequest, context: grpc.ServicerContext) -> pb.GetInventoryResponse:
        """Read the stock of a sku."""
        row = self._stock.get(requests.read_sku(request))
        return pb.GetInventoryResponse(inventory=messages.inventory_message(row))

    def ListVouchers(self, request: pb.ListVouchersRequest, context: grpc.ServicerContext) -> pb.ListVouchersResponse:
        """Read a page of an order's vouchers."""
        order_no, page = requests.read_list_of_order(request)
        found = self._orders.vouchers(order_no, page_request(page))
        return pb.ListVouchersResponse(
            vouchers=[messages.voucher_message(row) for row in found.rows],
            next_page_token=next_page_token(page, found.last),
        )


def _read(key: batch_pb2.PaymentKey) -> PaymentKey | InvalidInput:
    try:
        return requests.read_payment_key(key)
    except InvalidInput as error:
        return error
