"""A report for a person, on a terminal. Draws; decides nothing."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.output import count, decimal_text, table, texts, time_text
from cli.reconcile.findings import MEANING, Finding
from cli.reconcile.repair import RepairReport
from cli.reconcile.report import Report, verdict
from cli.reconcile.words import order_side, payment_side


def show(report: Report, console: Console) -> None:
    """Draw the whole report; the verdict last."""
    console.print(_heading(report))
    if report.sums:
        console.print(_sums(report))
    if report.findings.total:
        console.print(_kinds(report))
    for number, finding in enumerate(report.findings.in_order, start=1):
        console.print(_finding(number, finding))
    hidden = report.findings.total - len(report.findings.listed)
    if hidden:
        console.print(Text(f"… and {hidden:,} more, not listed: --limit lists more of each kind\n"))
    if report.repair:
        _show_repair(report.repair, console)
    console.print(Text(verdict(report), style="bold green" if report.is_clean else "bold red"))


def _heading(report: Report) -> Text:
    counts = report.counts
    compared = (
        f"Compared {count(counts.payments, 'payment')} settled before {time_text(report.settled_before)} "
        f"({counts.succeeded:,} succeeded, {counts.failed:,} failed) at {report.payment_address} "
        f"with {count(counts.notifies, 'notification')} at {report.order_address}"
    )
    return Text(compared)


def _sums(report: Report) -> Table:
    figures = ("settled", "applied", "open exceptions", "resolved", "not delivered", "difference")
    drawn = table("currency", *figures, title="Money", right=figures)
    for currency, one in report.sums.items():
        amounts = (
            one.settled,
            one.applied,
            one.exceptions_open,
            one.exceptions_resolved,
            one.undelivered,
            one.difference,
        )
        cells = [decimal_text(amount, currency, separator=",") for amount in amounts]
        drawn.add_row(*texts([currency, *cells]), style="red" if one.difference else None)
    return drawn


def _kinds(report: Report) -> Table:
    drawn = table("kind", "count", "what it means", title="Differences and open matters", right=("count",))
    for kind, number in {**report.difference_counts, **report.open_matter_counts}.items():
        drawn.add_row(*texts([kind, f"{number:,}", MEANING[kind]]))
    return drawn


def _finding(number: int, finding: Finding) -> Padding:
    drawn = Table.grid(padding=(0, 1))
    drawn.add_column(justify="right", style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    title = Text.assemble((finding.kind.value, "bold"), f"  {finding.pair.key}  order {finding.pair.order_no}")
    rows = [
        ("payment side", payment_side(finding.pair)),
        ("order side", order_side(finding.pair)),
        ("next", finding.step.words),
        ("call", finding.step.call),
    ]
    drawn.add_row(Text(str(number)), title)
    for name, words in rows:
        if words:
            drawn.add_row(*texts([name, words]))
    return Padding(drawn, (0, 0, 1, 0))


def _show_repair(repair: RepairReport, console: Console) -> None:
    drawn = table("repair", "asked", "done", "refused", "unknown", title="Repairs asked for")
    for kind, asked in repair.by_repair.items():
        drawn.add_row(*texts([kind, asked.asked, asked.changed, asked.refused, asked.unknown]))
    if repair.by_repair:
        console.print(drawn)
    for refusal in repair.refusals:
        console.print(*texts([f"{refusal.repair} {refusal.key}: {refusal.reason}: {refusal.message}"]))
    for failure in repair.failures:
        console.print(*texts([f"a call failed, and may have been carried out: {failure}"]))
    asked_for = f"Repair: {count(repair.changed, 'payment')} delivered again; run reconcile later to see them arrive."
    console.print(Text(asked_for if repair.by_repair else "Repair: there was nothing it may touch."))
