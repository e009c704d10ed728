"""Callers of the payment server: many at once, each with reports of its own. Owns their threads, and the rate."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import grpc

from benchmarks.backlog import PLATFORM, payment_code
from paylatch.payment.v1 import payment_enums_pb2, payment_service_pb2, payment_service_pb2_grpc

DEADLINE = 60.0

Call = Callable[[payment_service_pb2_grpc.PaymentServiceStub, Sequence[int]], None]
"""Reports the payments of these numbers."""


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
    call: Call,
) -> float:
    """Payments a second, if each caller calls with the parts of its share, one after the other, all at once."""

    def work(share: Sequence[Sequence[int]]) -> None:
        for part in share:
            call(stub, part)

    with grpc.insecure_channel(address) as channel:
        stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
        seconds = seconds_of([partial(work, share) for share in shares])
    return sum(len(part) for share in shares for part in share) / seconds


def seconds_of(works: Sequence[Callable[[], None]]) -> float:
    """How long it takes until all of these have ended, each on a thread of its own, started at the same time."""
    ready = threading.Barrier(len(works) + 1)
    errors: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        ready.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below, by whoever waits
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.monotonic() - began
