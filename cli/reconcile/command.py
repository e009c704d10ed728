"""`paylatch reconcile`: reads the options, runs the comparison, shows the report, tells the shell."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.clients import Clients
from cli.options import duration, moment, resolved_address
from cli.output import console, count, print_json_line, told_failures
from cli.reconcile.findings import Finding
from cli.reconcile.progress import Progress
from cli.reconcile.report import Report, finding_line, summary_line
from cli.reconcile.run import (
    DEFAULT_GRACE,
    DEFAULT_LIMIT,
    DEFAULT_OPERATOR,
    Listener,
    ReconcileOptions,
    reconcile,
)
from cli.reconcile.view import show
from core.settings import load_settings


def reconcile_command(
    *,
    payment_address: Annotated[
        str | None, typer.Option(help="Payment server, host:port.", show_default="settings")
    ] = None,
    order_address: Annotated[str | None, typer.Option(help="Order server, host:port.", show_default="settings")] = None,
    grace: Annotated[
        timedelta,
        typer.Option(
            parser=duration, metavar="DURATION", show_default="60s", help="Leave out what was settled this recently."
        ),
    ] = DEFAULT_GRACE,
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Only what was settled from then on, UTC if no zone."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Only what was settled before.", show_default="the grace"),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Show at most so many of each kind; all are counted, and --json has all.")
    ] = DEFAULT_LIMIT,
    repair: Annotated[bool, typer.Option("--repair", help="Have tried again what is safe to try again.")] = False,
    operator: Annotated[str, typer.Option(help="With --repair: who asks. Recorded.")] = DEFAULT_OPERATOR,
    reason: Annotated[
        str | None, typer.Option(help="With --repair: why. Recorded.", show_default="what was found")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep in FILE how far it is; go on from there if it was interrupted."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each finding, and one for all.")] = False,
) -> None:
    """Compare payments and orders over RPC, both ways, and name every difference.

    With --repair, payments that were given up for lack of an answer, lost by the order side or left without a schedule
    are delivered again; amounts, orders and payment exceptions are never touched.

    Exit code 0: clean. 1: something differs or stands open. 2: the comparison could not be made.
    """
    options = ReconcileOptions(grace, since, until, limit, repair, operator, reason, resume)
    with told_failures():
        payment, order = resolved_address(payment_address, "payment"), resolved_address(order_address, "order")
        with Clients.connect(payment, order, load_settings().operator_address) as clients:
            report = _watched(clients, options, as_json=as_json)
    if as_json:
        print_json_line(summary_line(report))
    else:
        show(report, console())
    raise typer.Exit(report.exit_code)


def _watched(clients: Clients, options: ReconcileOptions, *, as_json: bool) -> Report:
    """Run, and show on a terminal how far it is; nothing of it is left behind."""
    with Console(stderr=True).status("Comparing …") as status:

        def tell(progress: Progress) -> None:
            counts, found = progress.tally.counts, progress.kinds.total()
            status.update(
                f"Compared {count(counts.payments, 'payment')} and {count(counts.notifies, 'notification')}, "
                f"found {found:,} …"
            )

        def print_finding(finding: Finding) -> None:
            if as_json:
                print_json_line(finding_line(finding))

        return reconcile(clients, options, Listener(print_finding, tell))
