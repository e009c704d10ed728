"""What a run of reconciliation came to: for programs as lines of JSON, for a person in one sentence.

The shape is described in docs/reconcile.md, and stable.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cli.output import ExitCode, count, decimal_text, message_json, money, time_json
from cli.reconcile.findings import CLASS, Class, Finding, Findings
from cli.reconcile.pair import Window
from cli.reconcile.repair import RepairReport
from cli.reconcile.sums import Counts, Sum


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run found. repair: what `--repair` asked for; None without it."""

    start_time: datetime
    window: Window
    payment_address: str
    order_address: str
    counts: Counts
    sums: Mapping[str, Sum]
    findings: Findings
    repair: RepairReport | None = None

    @property
    def are_sums_equal(self) -> bool:
        """Whether all settled money is accounted for (FAULTS, invariant 8)."""
        return all(amounts.difference == 0 for amounts in self.sums.values())

    @property
    def is_clean(self) -> bool:
        """Whether there is no difference, nothing open, and no money unaccounted for."""
        return not self.findings.is_open and self.are_sums_equal

    @property
    def exit_code(self) -> ExitCode:
        """What the shell is told."""
        return ExitCode.OK if self.is_clean else ExitCode.NOT_ALL


def verdict(report: Report) -> str:
    """The run in one sentence."""
    if report.is_clean:
        return f"Clean: {_compared(report)}; nothing lost, nothing twice; {_money(report)}."
    differences = sum(report.findings.of_class(Class.DIFFERENCE).values())
    matters = sum(report.findings.of_class(Class.OPEN_MATTER).values())
    found = [count(differences, "difference")] if differences or not matters else []
    found += [count(matters, "open matter")] if matters else []
    return f"Not clean: {' and '.join(found)}; {_compared(report)}; {_money(report)}."


def finding_line(finding: Finding) -> dict[str, Any]:
    """One finding as one line of JSON."""
    pair = finding.pair
    return {
        "type": "finding",
        "kind": finding.kind.value,
        "class": CLASS[finding.kind].value,
        **pair.key._asdict(),
        "order_no": pair.order_no,
        "payment_side": {
            "payment": message_json(pair.payment) if pair.payment else None,
            "schedule": message_json(pair.schedule) if pair.schedule else None,
        },
        "order_side": {"notify": message_json(pair.notify) if pair.notify else None},
        "next_step": finding.step.words,
        "next_call": finding.step.call,
        "repair": finding.step.repair.value if finding.step.repair else None,
    }


def summary_line(report: Report) -> dict[str, Any]:
    """The whole run as the last line of JSON. Amounts in minor units are integers."""
    return {
        "type": "summary",
        "start_time": time_json(report.start_time),
        "since": time_json(report.window.since) if report.window.since else None,
        "until": time_json(report.window.until),
        "payment_address": report.payment_address,
        "order_address": report.order_address,
        "is_clean": report.is_clean,
        "verdict": verdict(report),
        "counts": asdict(report.counts),
        "sums": [_sum_json(currency, amounts) for currency, amounts in report.sums.items()],
        "difference_counts": report.findings.of_class(Class.DIFFERENCE),
        "open_matter_counts": report.findings.of_class(Class.OPEN_MATTER),
        "closed_counts": report.findings.of_class(Class.CLOSED),
        "repair": _repair_json(report.repair) if report.repair else None,
    }


def _compared(report: Report) -> str:
    counts = report.counts
    payments = count(counts.payments, "payment")
    waiting = f", {counts.on_their_way:,} on their way" if counts.on_their_way else ""
    if counts.delivered == counts.payments:
        return f"{payments}, all delivered{waiting}"
    return f"{payments}, {counts.delivered:,} delivered and {counts.undelivered:,} not{waiting}"


def _money(report: Report) -> str:
    if not report.sums:
        return "no money on either side"
    if report.are_sums_equal:
        return "sums equal: " + ", ".join(money(one.settled, currency) for currency, one in report.sums.items())
    wrong = [(currency, one) for currency, one in report.sums.items() if one.difference]
    return "SUMS DIFFER by " + ", ".join(money(one.difference, currency) for currency, one in wrong)


def _sum_json(currency: str, amounts: Sum) -> dict[str, Any]:
    minor = {**asdict(amounts), "difference": amounts.difference}
    return {
        "currency_code": currency,
        **{f"{name}_minor": value for name, value in minor.items()},
        **{name: decimal_text(value, currency) for name, value in minor.items()},
    }


def _repair_json(repair: RepairReport) -> dict[str, Any]:
    return {
        "operator": repair.operator,
        "asked": [{"repair": kind.value, **asdict(asked)} for kind, asked in repair.by_repair.items()],
        "refusals": [
            {**one.key._asdict(), "repair": one.repair.value, "reason": one.reason, "message": one.message}
            for one in repair.refusals
        ],
        "failures": repair.failures,
    }
