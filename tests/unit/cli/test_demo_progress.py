from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from cli.demo.board import Counts
from cli.demo.progress import shown
from tests.support.clock import TestClock


@pytest.fixture
def output() -> StringIO:
    return StringIO()


def test_where_there_is_no_terminal_a_line_comes_every_other_second_and_at_the_end(
    output: StringIO, clock: TestClock
) -> None:
    with shown(Console(file=output, width=120), clock) as progress:
        progress.begin("Payments settled", 10)
        progress.show(1, Counts(settled=1, paid=1))
        clock.advance(timedelta(seconds=2))
        progress.show(4, Counts(settled=4, paid=3, waiting=1))
        progress.show(5, Counts(settled=5, paid=3, waiting=2))
        progress.say("order-server killed")
        progress.show(10, Counts(settled=10, paid=10))
        progress.show(10, Counts(settled=10, paid=10))
    assert output.getvalue().splitlines() == [
        "Payments settled: 4 of 10  orders paid 3 · waiting 1",
        "order-server killed",
        "Payments settled: 10 of 10  orders paid 10 · waiting 0",
    ]


def test_on_a_terminal_each_stage_has_its_bar(output: StringIO, clock: TestClock) -> None:
    console = Console(file=output, width=160, force_terminal=True, color_system=None)
    with shown(console, clock) as progress:
        progress.begin("Orders created", 10)
        progress.show(10, Counts(tried=10))
        progress.begin("Payments settled", 10)
        progress.show(4, Counts(settled=4, paid=3, waiting=1))
    drawn = output.getvalue()
    assert "Orders created" in drawn
    assert "10/10" in drawn
    assert "orders paid 3 · waiting 1" in drawn
