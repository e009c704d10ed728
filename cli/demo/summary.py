"""The end of a demonstration for a person: figures, what was refused and checked, one plain verdict. Draws only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cli.demo.accident import Damage
from cli.demo.board import Refused
from cli.demo.conductor import Times
from cli.demo.payers import CALLERS
from cli.demo.verdict import Check
from cli.demo.victim import Victim
from cli.output import count, table, texts
from cli.reconcile import Report, show


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a demonstration came to."""

    orders: int
    payable: int
    refused: Sequence[Refused]
    attempts: Mapping[int, int]
    made_again: int
    times: Times
    damage: Damage
    checks: Sequence[Check]
    report: Report

    @property
    def is_good(self) -> bool:
        """Whether everything is as it must be."""
        return self.report.is_clean and all(check.holds for check in self.checks)


def summarize(outcome: Outcome, console: Console) -> None:
    """Draw it; the verdict last."""
    console.print()
    show(outcome.report, console)
    console.print()
    figures = table("figure", "", title="The run")
    for name, told in _figures(outcome):
        figures.add_row(*texts([name, told]))
    console.print(figures)
    _show_refused(outcome.refused, console)
    checked = table("checked", "found", "", title="What had to be so")
    for check in outcome.checks:
        checked.add_row(*texts([check.what, check.told, "yes" if check.holds else "NO"]), style=_style(check.holds))
    console.print(checked)
    console.print(Text(verdict(outcome), style="bold green" if outcome.is_good else "bold red"))


def verdict(outcome: Outcome) -> str:
    """The run in one sentence."""
    if outcome.is_good:
        return (
            f"PASSED: {outcome.payable:,} of {count(outcome.orders, 'order')} payable, every one paid exactly once, "
            f"{len(outcome.refused):,} refused; nothing lost, nothing twice, the sums equal to the cent."
        )
    failed = [check.what for check in outcome.checks if not check.holds]
    failed += [] if outcome.report.is_clean else ["reconciliation"]
    return f"FAILED: not as it must be: {', '.join(failed)}."


def _figures(outcome: Outcome) -> Iterator[tuple[str, str]]:
    times = outcome.times
    creating, reporting = times.created - times.began, times.reported - times.created
    yield "orders read", f"{outcome.orders:,}: {outcome.payable:,} payable, {len(outcome.refused):,} refused"
    yield "orders and payments created", _rate(outcome.orders, creating)
    yield "reports answered", f"{_rate(outcome.payable, reporting)}, {CALLERS} callers"
    yield "delivered after the last report", f"within {times.delivered - times.reported:.1f} s"
    yield "first report to last delivery", _rate(outcome.payable, times.delivered - times.created)
    yield from _accident(outcome.damage, times)
    yield "calls made again", f"{outcome.made_again:,}"
    yield "attempts", _attempts(outcome.attempts)
    yield "duration", f"{times.delivered - times.began:.1f} s"


def _accident(damage: Damage, times: Times) -> Iterator[tuple[str, str]]:
    if damage.victim is Victim.NONE or damage.killed is None:
        yield "killed", "nothing"
        return
    when = f"{damage.killed - times.began:.1f} s in, right after report {damage.reports:,} was answered"
    yield "killed", f"{damage.victim} (SIGKILL), {when}"
    if damage.healed is None:
        yield "healed", "no"
        return
    yield "away", f"{damage.seconds_away:.1f} s, from the kill until it served again"
    waiting = count(damage.waiting, "settled payment")
    yield "healed", f"{damage.seconds_healing:.1f} s later, with {waiting} to deliver when it was back"


def _attempts(attempts: Mapping[int, int]) -> str:
    told = [f"{tries} for {count(number, 'delivery', 'deliveries')}" for tries, number in sorted(attempts.items())]
    return "; ".join(told) or "none"


def _rate(number: int, seconds: float) -> str:
    return f"{number:,} in {seconds:.1f} s ({number / seconds:,.0f}/s)" if seconds > 0 else f"{number:,}"


def _show_refused(refused: Sequence[Refused], console: Console) -> None:
    if not refused:
        return
    drawn = table("order", "refused, in the server's words", title="Refused")
    for one in refused:
        drawn.add_row(*texts([one.order.order_no, one.error]))
    console.print(drawn)


def _style(holds: bool) -> str | None:
    return None if holds else "bold red"
