"""How long it takes from a payment's report to its order being paid: at a light load, and during a drain of old rows.

    python -m benchmarks.latency --engine postgresql --reports 300 --pause 20ms [--backlog 200000]

One caller reports a payment, then asks for its order again and again until it is paid; then it pauses.
"""

import argparse
import threading
import time
from collections.abc import Mapping, Sequence
from statistics import quantiles

import grpc

from benchmarks.backlog import order_no, settle_statistics, write_backlog, write_orders, write_payments
from benchmarks.calls import DEADLINE, report_of
from benchmarks.drain import is_left
from benchmarks.system import System, fresh_databases
from core.settings import parse_duration
from paylatch.order.v1 import order_enums_pb2, order_service_pb2, order_service_pb2_grpc
from paylatch.payment.v1 import payment_service_pb2_grpc

_PAID = order_enums_pb2.ORDER_PAYMENT_STATUS_PAID
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
        payment, order = system.settings.payment_address, system.settings.order_address
        with grpc.insecure_channel(payment) as payments, grpc.insecure_channel(order) as orders:
            reporting = payment_service_pb2_grpc.PaymentServiceStub(payments)
            asking = order_service_pb2_grpc.OrderServiceStub(orders)
            measured: list[float] = []
            for number in fresh:
                if backlog and number % _LOOK_AT_BACKLOG == 0 and not is_left(urls):
                    break
                measured.append(_latency(reporting, asking, number, pause))
            return measured


def _latency(
    payments: payment_service_pb2_grpc.PaymentServiceStub,
    orders: order_service_pb2_grpc.OrderServiceStub,
    number: int,
    pause: float,
) -> float:
    wanted = order_service_pb2.GetOrderRequest(order_no=order_no(number))
    began = time.monotonic()
    payments.ReportPaymentResult(report_of(number), timeout=DEADLINE)
    while orders.GetOrder(wanted, timeout=DEADLINE).order.payment_status != _PAID:
        threading.Event().wait(_LOOK_SECONDS)
    taken = time.monotonic() - began
    threading.Event().wait(pause)
    return taken * 1_000


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
