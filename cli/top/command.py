"""The command: one frame, or one after the other until somebody has seen enough. Owns the loop and the keyboard."""

import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from cli.clients import CannotRun, Clients
from cli.options import OrderAddress, PaymentAddress, duration, resolved_address
from cli.output import console, told_failures
from cli.top.sample import Sample, take
from cli.top.view import frame

HINT = "q leaves"
SHORTEST = timedelta(milliseconds=100)

Wait = Callable[[float], bool]
"""Waits that many seconds; True when somebody asks to leave before."""


def top_command(
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end, as into a pipe.")] = False,
    interval: Annotated[
        timedelta, typer.Option(parser=duration, metavar="DURATION", help="Between two looks.")
    ] = timedelta(seconds=2),
    payment_address: PaymentAddress = None,
    order_address: OrderAddress = None,
) -> None:
    """Watch backlogs, rates, targets, and what needs a person. q leaves.

    A server that goes away is shown as away, and its figures again when it is back. Into a pipe it prints one frame.
    """
    with told_failures():
        if interval < SHORTEST:
            raise typer.BadParameter(
                f"must be at least {SHORTEST.total_seconds() * 1_000:.0f}ms", param_hint="--interval"
            )
        payment, order = resolved_address(payment_address, "payment"), resolved_address(order_address, "order")
        with Clients.connect(payment, order) as clients:
            if once or not sys.stdout.isatty():
                print_once(take(clients), console())
                return
            with _keyboard() as wait:
                watch(lambda: take(clients), console(), interval, wait)


def print_once(sample: Sample, screen: Console) -> None:
    """Print one frame.

    Raises:
        CannotRun: a side did not answer: half a frame would look like all there is.
    """
    if sample.problems:
        raise CannotRun("; ".join(sample.problems))
    screen.print(frame(sample))


def watch(look: Callable[[], Sample], screen: Console, interval: timedelta, wait: Wait) -> None:
    """Draw one frame after the other in place, each compared with the last one that told of the outbox."""
    before: Sample | None = None
    with Live(console=screen, auto_refresh=False, screen=screen.is_terminal) as live:
        while True:
            now = look()
            live.update(frame(now, before, HINT), refresh=True)
            before = now if now.outbox is not None else before
            if wait(interval.total_seconds()):
                return


@contextmanager
def _keyboard() -> Iterator[Wait]:
    """Read single keys while the block runs; without a keyboard only Ctrl-C leaves."""
    if not sys.stdin.isatty():
        yield lambda seconds: threading.Event().wait(seconds)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield _is_told_to_leave
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _is_told_to_leave(seconds: float) -> bool:
    """Any other key than q has the next frame come at once."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and sys.stdin.read(1).lower() in {"q", ""}
