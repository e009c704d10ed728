"""`python -m benchmarks.echo_server`: a bare gRPC server on the payment server's address, which only answers.

The ceiling of what a call can cost: the same messages, as many threads, nothing done. Answers reports, and the order
side's notifications, alone and in batches.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from core.settings import load_settings
from paylatch.order.v1 import order_enums_pb2, order_notify_service_pb2, order_notify_service_pb2_grpc
from paylatch.payment.v1 import payment_pb2, payment_service_pb2

_ANSWER = order_notify_service_pb2.OrderNotifyResponse(disposition=order_enums_pb2.DISPOSITION_APPLIED)


def echo(
    request: payment_service_pb2.ReportPaymentResultRequest, context: grpc.ServicerContext
) -> payment_service_pb2.ReportPaymentResultResponse:
    """The answer to a report: its own key."""
    payment = payment_pb2.Payment(platform_id=request.platform_id, payment_code=request.payment_code)
    return payment_service_pb2.ReportPaymentResultResponse(payment=payment)


def handler_of_reports() -> grpc.GenericRpcHandler:
    """Of PaymentService, and of this one method."""
    method = grpc.unary_unary_rpc_method_handler(
        echo,
        payment_service_pb2.ReportPaymentResultRequest.FromString,
        payment_service_pb2.ReportPaymentResultResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("paylatch.payment.v1.PaymentService", {"ReportPaymentResult": method})


class EchoNotify(order_notify_service_pb2_grpc.OrderNotifyServiceServicer):
    """Answers every notification as applied."""

    def OrderNotify(  # noqa: N802 - gRPC's name
        self, request: order_notify_service_pb2.OrderNotifyRequest, context: grpc.ServicerContext
    ) -> order_notify_service_pb2.OrderNotifyResponse:
        """One."""
        return _ANSWER

    def BatchOrderNotify(  # noqa: N802 - gRPC's name
        self, request: order_notify_service_pb2.BatchOrderNotifyRequest, context: grpc.ServicerContext
    ) -> order_notify_service_pb2.BatchOrderNotifyResponse:
        """Many, each with its key."""
        results = [
            order_notify_service_pb2.BatchOrderNotifyResult(
                platform_id=item.platform_id, payment_code=item.payment_code, response=_ANSWER
            )
            for item in request.requests
        ]
        return order_notify_service_pb2.BatchOrderNotifyResponse(results=results)


def main() -> int:
    """Serve until killed."""
    settings = load_settings()
    server = grpc.server(ThreadPoolExecutor(settings.server_workers), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([handler_of_reports()])
    order_notify_service_pb2_grpc.add_OrderNotifyServiceServicer_to_server(EchoNotify(), server)
    serving = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    server.add_insecure_port(settings.payment_address)
    server.start()
    serving.set("", health_pb2.HealthCheckResponse.SERVING)
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main())
