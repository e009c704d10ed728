"""The command `paylatch`. Owns names, options and exit codes; each command imports what it needs when it is run."""

# ruff: noqa: PLC0415  # so that a process starts fast, and no command waits for what another needs

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cli.demo.victim import Victim

DEFAULT_COUNT = 1_000
"""Orders a demonstration makes if it is given none."""

MAX_OF_A_KIND = 16
"""Processes of one kind in a demonstration; one machine has to carry them."""


def build() -> typer.Typer:
    """The command with all its commands."""
    app = typer.Typer(
        name="paylatch",
        help="Every settled payment reaches its order exactly once in effect, or stands visibly open with the reason.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for run in (up, demo, migrate, certs, payment_server, order_server, scheduler):
        app.command(run.__name__.replace("_", "-"))(run)
    # What stands behind these reads its options itself, even `--help`.
    unread = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    for hand_on in (reconcile, notify, exceptions, follow_ups, health, top):
        app.command(hand_on.__name__.replace("_", "-"), context_settings=unread)(hand_on)
    return app


def up(
    directory: Annotated[
        Path | None, typer.Option(help="Where the databases are.", show_default="paylatch-data, or the settings'")
    ] = None,
) -> None:
    """Run all three processes in the foreground, on SQLite."""
    from cli.output import told_failures
    from cli.up import up as run

    with told_failures():
        raise typer.Exit(run(directory))


def demo(
    orders: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A CSV of order_no, customer_id, order_date, quantity, amount_usd."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Without a file: how many orders to make.")] = DEFAULT_COUNT,
    kill: Annotated[
        Victim, typer.Option(help="The process to kill in the middle: the first of its kind.")
    ] = Victim.ORDER_SERVER,
    directory: Annotated[
        Path | None,
        typer.Option(help="Keep logs here, and the databases that no setting names.", show_default="a temporary one"),
    ] = None,
    order_servers: Annotated[
        int, typer.Option(min=1, max=MAX_OF_A_KIND, help="Order servers on the order database.")
    ] = 1,
    schedulers: Annotated[int, typer.Option(min=1, max=MAX_OF_A_KIND, help="Schedulers on the payment database.")] = 1,
) -> None:
    """Settle orders across the crash of a process, reconcile, and say whether all is well.

    PAYLATCH_PAYMENT_DATABASE_URL and PAYLATCH_ORDER_DATABASE_URL name the databases, which must hold no rows yet; by
    itself it makes SQLite files.

    Exit code 0: every payable order is paid, both sides agree. 1: they do not. 2: it could not be run.
    """
    from cli.demo.run import DemoOptions
    from cli.demo.run import demo as run
    from cli.output import told_failures

    with told_failures():
        raise typer.Exit(run(DemoOptions(orders, count, kill, directory, order_servers, schedulers)))


Processes = Annotated[
    int | None, typer.Option(min=1, help="On one port, a core for each.", envvar="PAYLATCH_SERVER_PROCESSES")
]


def payment_server(processes: Processes = None) -> None:
    """Run the payment server: takes payments and their results."""
    from payment_server.__main__ import main as run

    _set_processes(processes)
    raise typer.Exit(run())


def order_server(processes: Processes = None) -> None:
    """Run the order server: takes orders and notifications."""
    from order_server.__main__ import main as run

    _set_processes(processes)
    raise typer.Exit(run())


def _set_processes(processes: int | None) -> None:
    if processes is not None:
        os.environ["PAYLATCH_SERVER_PROCESSES"] = str(processes)


def scheduler() -> None:
    """Run the scheduler: tries again what has not reached its order."""
    from scheduler.__main__ import main as run

    raise typer.Exit(run())


def migrate() -> None:
    """Bring both databases to the current schema. Safe to run twice, and at the same time."""
    from cli.migrate import migrate_both
    from cli.output import told_failures
    from core.settings import load_settings

    with told_failures():
        for line in migrate_both(load_settings()):
            print(line)


def certs(
    directory: Annotated[Path, typer.Argument(help="A new directory for the certificates, their keys and the policy.")],
) -> None:
    """Make a development PKI: an authority, a certificate for each process, and a policy to go with them."""
    from cli.certs import write_certs
    from cli.output import told_failures
    from core.clock import SystemClock

    with told_failures():
        for line in write_certs(directory, SystemClock()):
            print(line)


def reconcile(context: typer.Context) -> None:
    """Compare payments and orders over RPC, both ways, and name every difference."""
    from cli.reconcile import reconcile_command

    _run_alone(context, reconcile_command)


def notify(context: typer.Context) -> None:
    """Notifications: which have not arrived, why, and trying them again."""
    from cli.notify import notify_app

    _hand_on(context, notify_app)


def exceptions(context: typer.Context) -> None:
    """Payments that could not simply be applied: listing and resolving them."""
    from cli.exceptions import exceptions_app

    _hand_on(context, exceptions_app)


def follow_ups(context: typer.Context) -> None:
    """What paid orders still need: listing, retrying and resolving it."""
    from cli.follow_ups import follow_ups_app

    _hand_on(context, follow_ups_app)


def health(context: typer.Context) -> None:
    """Ask the processes whether they can do their work."""
    from cli.health import health_command

    _run_alone(context, health_command)


def top(context: typer.Context) -> None:
    """A live view of backlogs, rates, targets and what needs a person."""
    from cli.top import top_command

    _run_alone(context, top_command)


def _run_alone(context: typer.Context, command: Callable[..., None]) -> None:
    """Run a command that reads its options itself, under the name by which it was called."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(context.args, prog_name=context.command_path)


def _hand_on(context: typer.Context, group: typer.Typer) -> None:
    """Run a group of commands under the name by which it was called."""
    parent, _, name = context.command_path.rpartition(" ")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.add_typer(group, name=name)
    app([name, *context.args], prog_name=parent)


def main() -> None:
    """Run the command that the command line names."""
    build()()


if __name__ == "__main__":
    main()
