"""How long it takes from a payment's report to its order being paid: at a light load, and during a drain of old rows.

    python -m benchmarks.latency --engine postgresql --reports 300 --pause 20ms [--backlog 200000]

One caller reports a payment, then looks into the order database, past the server, until its order is paid; then it
pauses. To ask the server again and again would be half of its work.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import quantiles

import grpc

from benchmarks.backlog import order_no, settle_statistics, write_backlog, write_orders, write_payments
from benchmarks.calls import DEADLINE, report_of
from benchmarks.drain import is_left
from benchmarks.system import System, asking, fresh_databases
from core.rules.codes import OrderPaymentStatus
from core.settings import parse_duration
from paylatch.payment.v1 import payment_service_pb2_grpc

_LOOK_SECONDS = 0.001
_LOOK_AT_BACKLOG = 20


def latencies(engine: str, reports: int, pause: float, backlog: int, overrides: Mapping[str, str]) -> Sequence[float]:
    """Milliseconds from report to paid, of each payment; with a `backlog`, of those reported while it lasts."""
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
            measured: list[float] = []
            for number in fresh:
                if backlog and number % _LOOK_AT_BACKLOG == 0 and not is_left(urls):
                    break
                measured.append(_latency(payments, is_paid, number))
                threading.Event().wait(pause)
            return measured


def _latency(
    payments: payment_service_pb2_grpc.PaymentServiceStub, is_paid: Callable[[int], bool], number: int
) -> float:
    began = time.monotonic()
    payments.ReportPaymentResult(report_of(number), timeout=DEADLINE)
    while not is_paid(number):
        threading.Event().wait(_LOOK_SECONDS)
    return (time.monotonic() - began) * 1_000


@contextmanager
def _paid(url: str) -> Iterator[Callable[[int], bool]]:
    """Whether the order of a payment is paid, as the order database has it."""
    paid = f"payment_status = {int(OrderPaymentStatus.PAID)}"
    with asking(url) as ask:
        yield lambda number: bool(ask(f"SELECT {paid} FROM \"order\" WHERE order_no = '{order_no(number)}'")[0])


def main() -> None:
    """Measure, and print the quantiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--reports", type=int, default=300)
    parser.add_argument("--pause", type=lambda text: parse_duration(text).total_seconds(), default=0.02)
    parser.add_argument("--backlog", type=int, default=0, help="notifications that are drained meanwhile")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the processes")
    options = parser.parse_args()
    overrides = dict(setting.split("=", 1) for setting in options.set)
    taken = latencies(options.engine, options.reports, options.pause, options.backlog, overrides)
    cuts = quantiles(taken, n=100)
    print(f"p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(taken):.1f} ms")


if __name__ == "__main__":
    main()
