import re
import shlex

from google.protobuf import json_format

from cli.greeting import greeting
from core.settings import Settings
from paylatch.order.v1.order_service_pb2 import CreateOrderRequest, GetOrderRequest
from paylatch.payment.v1.payment_service_pb2 import CreatePaymentRequest, ReportPaymentResultRequest

REQUESTS = {
    "paylatch.order.v1.OrderService/CreateOrder": CreateOrderRequest,
    "paylatch.payment.v1.PaymentService/CreatePayment": CreatePaymentRequest,
    "paylatch.payment.v1.PaymentService/ReportPaymentResult": ReportPaymentResultRequest,
    "paylatch.order.v1.OrderService/GetOrder": GetOrderRequest,
}


def test_each_call_can_be_pasted_and_is_one_the_servers_understand() -> None:
    settings = Settings()
    calls = [shlex.split(line) for line in greeting(settings).splitlines() if "grpcurl" in line]
    assert [call[-1] for call in calls] == list(REQUESTS)
    for command, plaintext, data, message, address, method in calls:
        assert (command, plaintext, data) == ("grpcurl", "-plaintext", "-d")
        assert address == (settings.order_address if ".order." in method else settings.payment_address)
        json_format.Parse(message, REQUESTS[method]())


def test_every_address_is_told() -> None:
    settings = Settings()
    addresses = (settings.payment_address, settings.order_address, settings.scheduler_address)
    assert all(re.search(rf"\b{re.escape(address)}\b", greeting(settings)) for address in addresses)
