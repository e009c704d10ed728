from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rich.console import Console

from cli.demo.accident import Damage
from cli.demo.board import Refused
from cli.demo.conductor import Times
from cli.demo.orders import DemoOrder
from cli.demo.summary import Outcome, summarize, verdict
from cli.demo.verdict import Check
from cli.demo.victim import Victim
from cli.reconcile import Report
from cli.reconcile.findings import Findings
from cli.reconcile.pair import Window
from cli.reconcile.sums import Counts, Sum

HOLDS, FAILS = Check("orders paid", "2 of 2", holds=True), Check("orders paid", "1 of 2", holds=False)
DAMAGE = Damage(Victim.SCHEDULER, reports=1, killed=11.0, serving=14.0, waiting=1, healed=14.5)


def outcome(checks: Sequence[Check] = (HOLDS,), settled: int = 100, damage: Damage = DAMAGE) -> Outcome:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    sums = {"USD": Sum(settled=settled, applied=100)}
    return Outcome(
        orders=3,
        payable=2,
        refused=[Refused(DemoOrder("A-0", 0, 1), "amount_minor: is 0")],
        attempts={1: 1, 2: 1},
        made_again=4,
        times=Times(began=10.0, created=10.5, reported=12.5, delivered=14.5),
        damage=damage,
        checks=checks,
        report=Report(
            moment,
            Window(None, moment, None),
            "127.0.0.1:1",
            "127.0.0.1:2",
            Counts(payments=2),
            sums,
            Findings(limit=0),
        ),
    )


def drawn(shown: Outcome) -> str:
    output = StringIO()
    summarize(shown, Console(file=output, width=200))
    return output.getvalue()


def test_it_passes_only_if_every_check_holds_and_reconcile_is_clean() -> None:
    assert verdict(outcome()).startswith("PASSED: 2 of 3 orders payable, every one paid exactly once, 1 refused;")
    assert verdict(outcome(checks=[FAILS])) == "FAILED: not as it must be: orders paid."
    assert verdict(outcome(settled=101)) == "FAILED: not as it must be: reconciliation."
    assert [outcome().is_good, outcome(checks=[FAILS]).is_good, outcome(settled=101).is_good] == [True, False, False]


def test_it_tells_what_was_killed_when_and_how_long_healing_took() -> None:
    told = _rows(drawn(outcome()))
    assert told["killed"] == "scheduler (SIGKILL), 1.0 s in, right after report 1 was answered"
    assert told["away"] == "3.0 s, from the kill until it served again"
    assert told["healed"] == "0.5 s later, with 1 settled payment to deliver when it was back"


def test_it_tells_counts_rates_and_what_was_refused() -> None:
    told = _rows(drawn(outcome()))
    assert told["orders read"] == "3: 2 payable, 1 refused"
    assert told["reports answered"] == "2 in 2.0 s (1/s), 16 callers"
    assert told["calls made again"] == "4"
    assert told["attempts"] == "1 for 1 delivery; 2 for 1 delivery"
    assert told["A-0"] == "amount_minor: is 0"


def test_nothing_killed_is_told_too() -> None:
    assert _rows(drawn(outcome(damage=Damage(Victim.NONE, reports=1))))["killed"] == "nothing"


def _rows(text: str) -> dict[str, Any]:
    """The two-column rows of every table, by their first cell."""
    cells = [line.strip().split("  ", maxsplit=1) for line in text.splitlines()]
    return {row[0]: row[1].strip() for row in cells if len(row) == 2}
