"""How long it takes from a payment's report to its order being paid: at a light load, and during a drain of old rows.

    python -m benchmarks.latency --engine postgresql --reports 300 --pause 20ms [--backlog 200000]

One caller reports a payment, then looks into the order database, past the server, until its order is paid; then it
pauses. To ask the server again and again would be half of its work.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import quantiles
from typing import NamedTuple

import grpc

from benchmarks.backlog import order_no, settle_statistics, write_backlog, write_orders, write_payments
from benchmarks.calls import DEADLINE, report_of
from benchmarks.drain import is_left
from benchmarks.options import new_parser, overrides_of
from benchmarks.system import System, asking, fresh_databases
from core.rules.codes import OrderPaymentStatus
from core.settings import parse_duration
from paylatch.payment.v1 import payment_service_pb2_grpc

_LOOK_SECONDS = 0.001
_LOOK_AT_BACKLOG = 20


class Latency(NamedTuple):
    """Milliseconds from a report to its answer, and until its order is paid."""

    answered: float
    paid: float


def latencies(engine: str, reports: int, pause: float, backlog: int, overrides: Mapping[str, str]) -> Sequence[Latency]:
    """Of each payment, one reported after the other; with a `backlog`, of those reported while it lasts."""
    fresh, old = range(1, reports + 1), range(reports + 1, reports + backlog + 1)
    with fresh_databases(engine) as urls, System(urls, **overrides) as system:
        target = system.settings.notify_targets[0]
        write_orders(urls, fresh)
        write_payments(urls, target, fresh, settled=False)
        write_backlog(urls, target, old)
        settle_statistics(urls)
        system.start("order-server", "payment-server", "scheduler")
        with grpc.insecure_channel(system.settings.payment_address) as channel, _paid(urls.order) as is_paid:
            payments = payment_service_pb2_grpc.PaymentServiceStub(channel)
            measured: list[Latency] = []
            for number in fresh:
                if backlog and number % _LOOK_AT_BACKLOG == 0 and not is_left(urls):
                    break
                measured.append(_latency(payments, is_paid, number))
                threading.Event().wait(pause)
            return measured


def _latency(
    payments: payment_service_pb2_grpc.PaymentServiceStub, is_paid: Callable[[int], bool], number: int
) -> Latency:
    began = time.monotonic()
    payments.ReportPaymentResult(report_of(number), timeout=DEADLINE)
    answered = time.monotonic()
    while not is_paid(number):
        threading.Event().wait(_LOOK_SECONDS)
    return Latency((answered - began) * 1_000, (time.monotonic() - began) * 1_000)


@contextmanager
def _paid(url: str) -> Iterator[Callable[[int], bool]]:
    """Whether the order of a payment is paid, as the order database has it."""
    paid = f"payment_status = {int(OrderPaymentStatus.PAID)}"
    with asking(url) as ask:
        yield lambda number: bool(ask(f"SELECT {paid} FROM \"order\" WHERE order_no = '{order_no(number)}'")[0])


def main() -> None:
    """Measure, and print the quantiles."""
    parser = new_parser(__doc__)
    parser.add_argument("--reports", type=int, default=300)
    parser.add_argument("--pause", type=lambda text: parse_duration(text).total_seconds(), default=0.02)
    parser.add_argument("--backlog", type=int, default=0, help="notifications that are drained meanwhile")
    options = parser.parse_args()
    overrides = overrides_of(options)
    taken = latencies(options.engine, options.reports, options.pause, options.backlog, overrides)
    for what, each in zip(Latency._fields, zip(*taken, strict=True), strict=True):
        cuts = quantiles(each, n=100)
        print(f"{what}: p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(each):.1f} ms")


if __name__ == "__main__":
    main()
