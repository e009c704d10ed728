"""`paylatch reconcile`: reads the options, runs the comparison, shows the report, tells the shell."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from cli.clients import Clients
from cli.options import duration, resolved_address
from cli.output import console, count, print_json, told_failures
from cli.reconcile.report import Report, document
from cli.reconcile.run import DEFAULT_GRACE, DEFAULT_LIMIT, DEFAULT_OPERATOR, ReconcileOptions, reconcile
from cli.reconcile.sums import Counts
from cli.reconcile.view import show


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
    limit: Annotated[
        int, typer.Option(min=0, help="List at most so many of each kind; all are counted.")
    ] = DEFAULT_LIMIT,
    repair: Annotated[bool, typer.Option("--repair", help="Have tried again what is safe to try again.")] = False,
    operator: Annotated[str, typer.Option(help="With --repair: who asks. Recorded.")] = DEFAULT_OPERATOR,
    reason: Annotated[
        str | None, typer.Option(help="With --repair: why. Recorded.", show_default="what was found")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
) -> None:
    """Compare payments and orders over RPC, both ways, and name every difference.

    With --repair, payments that were given up for lack of an answer, lost by the order side or left without a schedule
    are delivered again; amounts, orders and payment exceptions are never touched.

    Exit code 0: clean. 1: something differs or stands open. 2: the comparison could not be made.
    """
    options = ReconcileOptions(grace=grace, limit=limit, repair=repair, operator=operator, reason=reason)
    with told_failures():
        payment, order = resolved_address(payment_address, "payment"), resolved_address(order_address, "order")
        with Clients.connect(payment, order) as clients:
            report = _watched(clients, options)
    if as_json:
        print_json(document(report))
    else:
        show(report, console())
    raise typer.Exit(report.exit_code)


def _watched(clients: Clients, options: ReconcileOptions) -> Report:
    """Run, and show on a terminal how far it is; nothing of it is left behind."""
    with Console(stderr=True).status("Comparing …") as status:

        def tell(counts: Counts) -> None:
            status.update(
                f"Compared {count(counts.payments, 'payment')} and {count(counts.notifies, 'notification')} …"
            )

        return reconcile(clients, options, tell)
