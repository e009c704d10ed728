"""Callers of the payment server: many at once, each with reports of its own. Owns their threads, and the rate."""

import threading
import time
from collections.abc import Callable, Sequence

import grpc

from benchmarks.backlog import PLATFORM, payment_code
from paylatch.payment.v1 import payment_enums_pb2, payment_service_pb2, payment_service_pb2_grpc

DEADLINE = 60.0


def report_of(number: int) -> payment_service_pb2.ReportPaymentResultRequest:
    """The report that the payment of this number succeeded."""
    return payment_service_pb2.ReportPaymentResultRequest(
        platform_id=PLATFORM,
        payment_code=payment_code(number),
        status=payment_enums_pb2.PAYMENT_STATUS_SUCCESS,
        trade_no=f"T{number:020}",
    )


def report_each(stub: payment_service_pb2_grpc.PaymentServiceStub, numbers: Sequence[int]) -> None:
    """One call after the other."""
    for number in numbers:
        stub.ReportPaymentResult(report_of(number), timeout=DEADLINE)


def report_batch(stub: payment_service_pb2_grpc.PaymentServiceStub, numbers: Sequence[int]) -> None:
    """One call for all; each must have been taken."""
    requests = [report_of(number) for number in numbers]
    request = payment_service_pb2.BatchReportPaymentResultsRequest(requests=requests)
    response = stub.BatchReportPaymentResults(request, timeout=DEADLINE)
    refused = [result for result in response.results if not result.HasField("response")]
    if refused:
        raise RuntimeError(f"refused: {refused[0]}")


def rate_of(
    address: str,
    shares: Sequence[Sequence[Sequence[int]]],
    call: Callable[[payment_service_pb2_grpc.PaymentServiceStub, Sequence[int]], None],
) -> float:
    """Payments a second, if each caller calls with the parts of its share, one after the other, all at once."""
    ready = threading.Barrier(len(shares) + 1)
    errors: list[Exception] = []

    def work(share: Sequence[Sequence[int]]) -> None:
        try:
            ready.wait()
            for part in share:
                call(stub, part)
        except Exception as error:  # noqa: BLE001 - raised below, by whoever waits
            errors.append(error)

    with grpc.insecure_channel(address) as channel:
        stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
        threads = [threading.Thread(target=work, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
    if errors:
        raise errors[0]
    return sum(len(part) for share in shares for part in share) / seconds
