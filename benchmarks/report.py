"""How many reports the payment server takes: grouped, one transaction each, in batches; and a bare echo beside them.

    python -m benchmarks.report --engine postgresql --reports 4000 --rounds 3

The order server runs, so that first attempts are made meanwhile, as in production. All variants take turns in each
round. 32 callers, each with one call at a time; batches are of 500, by two callers. The CPU time goes up to when the
last report is answered: what first attempts take meanwhile is in it, those that are left then are not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import calls
from benchmarks.backlog import settle_statistics, write_orders, write_payments
from benchmarks.options import new_parser, overrides_of
from benchmarks.system import System, fresh_databases
from cli.processes import Program

CALLERS = 32
BATCH = 500
BATCH_CALLERS = 2


@dataclass(frozen=True, slots=True)
class Reported:
    """rate: payments a second. cpu: microseconds a payment, by process, the callers' among them."""

    rate: float
    cpu: Mapping[str, float]


def grouped(engine: str, reports: int, overrides: Mapping[str, str], module: str = "payment_server") -> Reported:
    """Reports of callers that come at the same time."""
    shares = [[range(1, reports + 1)[caller::CALLERS]] for caller in range(CALLERS)]
    return _reported(engine, reports, overrides, module, shares, calls.report_each)


def ungrouped(engine: str, reports: int, overrides: Mapping[str, str]) -> Reported:
    """The same, with a transaction for each."""
    return grouped(engine, reports, overrides, "benchmarks.ungrouped_server")


def echo(engine: str, reports: int, overrides: Mapping[str, str]) -> Reported:
    """The same calls, answered by a server that does nothing."""
    return grouped(engine, reports, overrides, "benchmarks.echo_server")


def batched(engine: str, reports: int, overrides: Mapping[str, str]) -> Reported:
    """Ten times as many payments, reported in batches."""
    total = reports * 10
    parts = [range(start, min(start + BATCH, total + 1)) for start in range(1, total + 1, BATCH)]
    shares = [parts[caller::BATCH_CALLERS] for caller in range(BATCH_CALLERS)]
    return _reported(engine, total, overrides, "payment_server", shares, calls.report_batch)


VARIANTS: Mapping[str, Callable[[str, int, Mapping[str, str]], Reported]] = {
    "grouped": grouped,
    "one transaction each": ungrouped,
    "bare echo": echo,
    "batches of 500": batched,
}


def _reported(
    engine: str,
    payments: int,
    overrides: Mapping[str, str],
    module: str,
    shares: Sequence[Sequence[Sequence[int]]],
    call: calls.Call,
) -> Reported:
    with fresh_databases(engine) as urls, System(urls, **overrides) as system:
        _prepare(system, payments, module)
        before, own = system.cpu(), time.process_time()
        rate = calls.rate_of(system.settings.payment_address, shares, call)
        own = time.process_time() - own
        taken = {name: seconds - before.get(name, 0.0) for name, seconds in system.cpu().items()}
        return Reported(rate, {name: each / payments * 1e6 for name, each in {**taken, "callers": own}.items()})


def _prepare(system: System, payments: int, module: str) -> None:
    numbers = range(1, payments + 1)
    write_orders(system.urls, numbers)
    write_payments(system.urls, system.settings.notify_targets[0], numbers, settled=False)
    settle_statistics(system.urls)
    system.start("order-server")
    system.start_program(Program("payment-server", module, system.settings.payment_address))


def main() -> None:
    """Measure, and print a line for each variant of each round and one of medians."""
    parser = new_parser(__doc__)
    parser.add_argument("--reports", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    overrides = overrides_of(options)
    measured: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, measure in VARIANTS.items():
            reported = measure(options.engine, options.reports, overrides)
            measured[name].append(reported.rate)
            cpu = ", ".join(f"{process} {taken:.0f}" for process, taken in reported.cpu.items())
            print(f"{name}: {reported.rate:.0f} /s | cpu µs each: {cpu}", flush=True)
    print("medians:", {name: round(median(rates)) for name, rates in measured.items()})


if __name__ == "__main__":
    main()
