"""How many reports the payment server takes: grouped, one transaction each, in batches; and a bare echo beside them.

    python -m benchmarks.report --engine postgresql --reports 4000 --rounds 3

The order server runs, so that first attempts are made meanwhile, as in production. All variants take turns in each
round. 32 callers, each with one call at a time; batches are of 500, by two callers.
"""

import argparse
from collections.abc import Callable, Mapping
from statistics import median

from benchmarks import calls
from benchmarks.backlog import settle_statistics, write_orders, write_payments
from benchmarks.system import System, fresh_databases
from cli.processes import Program

CALLERS = 32
BATCH = 500
BATCH_CALLERS = 2


def grouped(engine: str, reports: int, overrides: Mapping[str, str], module: str = "payment_server") -> float:
    """Reports a second of callers that come at the same time."""
    with fresh_databases(engine) as urls, System(urls, **overrides) as system:
        shares = [[range(1, reports + 1)[caller::CALLERS]] for caller in range(CALLERS)]
        _prepare(system, reports, module)
        return calls.rate_of(system.settings.payment_address, shares, calls.report_each)


def ungrouped(engine: str, reports: int, overrides: Mapping[str, str]) -> float:
    """The same, with a transaction for each."""
    return grouped(engine, reports, overrides, "benchmarks.ungrouped_server")


def echo(engine: str, reports: int, overrides: Mapping[str, str]) -> float:
    """The same calls, answered by a server that does nothing."""
    return grouped(engine, reports, overrides, "benchmarks.echo_server")


def batched(engine: str, reports: int, overrides: Mapping[str, str]) -> float:
    """Payments a second, reported in batches."""
    with fresh_databases(engine) as urls, System(urls, **overrides) as system:
        total = reports * 10
        _prepare(system, total, "payment_server")
        parts = [range(start, min(start + BATCH, total + 1)) for start in range(1, total + 1, BATCH)]
        shares = [parts[caller::BATCH_CALLERS] for caller in range(BATCH_CALLERS)]
        return calls.rate_of(system.settings.payment_address, shares, calls.report_batch)


VARIANTS: Mapping[str, Callable[[str, int, Mapping[str, str]], float]] = {
    "grouped": grouped,
    "one transaction each": ungrouped,
    "bare echo": echo,
    "batches of 500": batched,
}


def _prepare(system: System, payments: int, module: str) -> None:
    numbers = range(1, payments + 1)
    write_orders(system.urls, numbers)
    write_payments(system.urls, system.settings.notify_targets[0], numbers, settled=False)
    settle_statistics(system.urls)
    system.start("order-server")
    system.start_program(Program("payment-server", module, system.settings.payment_address))


def main() -> None:
    """Measure, and print a line for each variant of each round and one of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--reports", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the processes")
    options = parser.parse_args()
    overrides = dict(setting.split("=", 1) for setting in options.set)
    measured: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, measure in VARIANTS.items():
            measured[name].append(measure(options.engine, options.reports, overrides))
            print(f"{name}: {measured[name][-1]:.0f} /s", flush=True)
    print("medians:", {name: round(median(rates)) for name, rates in measured.items()})


if __name__ == "__main__":
    main()
