"""A report for a person, on a terminal. Draws; decides nothing."""

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from cli.clients import chunks
from cli.output import count, decimal_text, say, table, texts, time_text
from cli.reconcile.findings import MEANING, Class, Finding
from cli.reconcile.repair import RepairReport
from cli.reconcile.report import Report, verdict
from cli.reconcile.sums import Sum
from cli.reconcile.words import order_side, payment_side

_CURRENCIES_A_TABLE = 3


def show(report: Report, to: Console) -> None:
    """Draw the whole report; the verdict last."""
    say(to, _heading(report))
    for currencies in chunks(report.sums, _CURRENCIES_A_TABLE):
        to.print(_sums({currency: report.sums[currency] for currency in currencies}))
    if report.findings.total:
        to.print(_kinds(report))
    for number, finding in enumerate(report.findings.in_order, start=1):
        _show_finding(number, finding, to)
    hidden = report.findings.total - len(report.findings.listed)
    if hidden:
        say(to, f"… and {hidden:,} more, not listed here: --json lists all")
        to.print()
    if report.repair:
        _show_repair(report.repair, to)
    say(to, verdict(report), "bold green" if report.is_clean else "bold red")


def _heading(report: Report) -> str:
    counts = report.counts
    since = f"from {time_text(report.window.since)} on and " if report.window.since else ""
    return (
        f"Compared {count(counts.payments, 'payment')} settled {since}before {time_text(report.window.until)} "
        f"({counts.succeeded:,} succeeded, {counts.failed:,} failed) at {report.payment_address} "
        f"with {count(counts.notifies, 'notification')} at {report.order_address}"
    )


def _sums(sums: Mapping[str, Sum]) -> Table:
    drawn = table("money", *sums, right=tuple(sums))
    rows: Mapping[str, Callable[[Sum], int]] = {
        "settled by the payment side": lambda one: one.settled,
        "applied to orders": lambda one: one.applied,
        "payment exceptions, open": lambda one: one.exceptions_open,
        "payment exceptions, resolved": lambda one: one.exceptions_resolved,
        "not delivered": lambda one: one.undelivered,
        "unaccounted for": lambda one: one.difference,
    }
    for name, figure in rows.items():
        cells = [decimal_text(figure(one), currency, separator=",") for currency, one in sums.items()]
        drawn.add_row(*texts([name, *cells]), end_section=name.startswith("settled"))
    if any(one.difference for one in sums.values()):
        drawn.rows[-1].style = "red"
    return drawn


def _kinds(report: Report) -> Table:
    drawn = table("kind", "count", "what it means", right=("count",))
    for kinds in map(report.findings.of_class, Class):
        for kind, number in kinds.items():
            drawn.add_row(*texts([kind, f"{number:,}", MEANING[kind]]))
    return drawn


def _show_finding(number: int, finding: Finding, to: Console) -> None:
    say(to, f"{number}. {finding.kind}  {finding.pair.key}  order {finding.pair.order_no}", "bold")
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    drawn.add_row(*texts(["payment side", payment_side(finding.pair)]))
    drawn.add_row(*texts(["order side", order_side(finding.pair)]))
    drawn.add_row(*texts(["next", finding.step.words]))
    to.print(Padding(drawn, (0, 0, 0, 3)))
    # Not in the grid, which would break it into lines that cannot be pasted.
    if finding.step.call:
        say(to, f"   {finding.step.call}", whole=True)
    to.print()


def _show_repair(repair: RepairReport, to: Console) -> None:
    if not repair.by_repair:
        say(to, "Repair: there was nothing it may touch.")
        return
    figures = ("asked", "done", "refused", "unknown")
    drawn = table("repair", *figures, right=figures)
    for kind, asked in repair.by_repair.items():
        cells = [f"{figure:,}" for figure in (asked.asked, asked.changed, asked.refused, asked.unknown)]
        drawn.add_row(*texts([kind, *cells]))
    to.print(drawn)
    for refusal in repair.refusals:
        say(to, f"{refusal.repair} {refusal.key}: {refusal.reason}: {refusal.message}")
    for failure in repair.failures:
        say(to, f"A call failed and may have been carried out: {failure}")
    say(to, f"Repair: {count(repair.changed, 'payment')} will be delivered again; run reconcile later to see.")
