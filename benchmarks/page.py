"""BENCHMARKS.md and its charts, written from the JSON of one run: no figure in them is typed by hand.

Owns the words around the figures. They say what was done and what limits it, never how much it was. After a change of
the words, `python -m benchmarks.page` writes it again from the published figures.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.charts import bars, lines
from benchmarks.measurement import number
from benchmarks.promises import TIMES_BEST_PEER, NotMeasured, Run, ceiling_beside_peers, promises
from benchmarks.suite import POSTGRESQL

_ROOT = Path(__file__).parent.parent
PAGE = _ROOT / "BENCHMARKS.md"
CHARTS = _ROOT / "docs" / "benchmarks"
RESULTS = CHARTS / "results.json"

_INTRODUCTION = """\
# Benchmarks

Everything on this page was measured by one command, `make bench`, in one run on one machine, and is written from that
run's figures ([results.json](docs/benchmarks/results.json)); a test holds the two together. All processes, PostgreSQL
and the callers share the machine's cores. Variants take turns, round after round; a figure is the median of its
rounds.
"""
_DRAIN = """\
## Draining a backlog

A backlog is in the tables, committed. For paylatch: scheduler → `BatchOrderNotify` → order database → acknowledge,
real processes on their default settings, both databases on the same PostgreSQL, every row of the specification
written. For a peer: its own tables on the same PostgreSQL, its own worker, and for each job one `OrderNotify` to an
order service that does nothing at all: no order database, no order. That service runs on Node.js, where a bare call
costs least. A peer's time starts with its first call and ends when the last job is recorded as done.

Each peer competes with the best of the settings tried below, all from its own documentation; the sources stand in its
program under [benchmarks/peers](benchmarks/peers). "One BatchOrderNotify a fetch" is pg-boss with the batch call
written by hand, where a job that fails takes its whole batch with it; it is shown because a user could do it, and it
still does nothing on the order side. "SQL alone" writes the same rows in the same three transactions a batch,
set-based, without a scheduler, a call or a check: what PostgreSQL gives on this machine.
"""
_DRAIN_LIMITS = """\
**What limits it.** CPU: the two cores are busy with the work below, most of it PostgreSQL's own. Peers are limited by
round trips and by one call, one claim or one completion for each job.
"""
_BEYOND = """\
**What cannot be had here.** The same SQL alone, at its best, is {ceiling} the best peer. So nothing that writes these
rows can be {wanted} the best peer on this machine, however little it does beside them; a peer's job is one row.
"""
_BATCH_SIZE = """\
## By batch size

The same drain with `PAYLATCH_NOTIFY_BATCH_SIZE`. Small batches pay three commits and a call for few rows; beyond some
hundred rows, what each row costs is all that is left.
"""
_PROCESSES = """\
## By processes

The same drain with several processes of the order server (`PAYLATCH_SERVER_PROCESSES`) and several schedulers. Where
more of them bring nothing, the cores are used up: PostgreSQL runs on the same ones.
"""
_REPORTS = """\
## Reports

`ReportPaymentResult` by 32 callers with one call at a time each, first attempts being sent meanwhile. "One
transaction each" is the same server without groups; "bare echo" is a server that only answers, with as many threads.
In batches: `BatchReportPaymentResults` of 500, two callers.

**What limits it.** CPU again. A report that is answered is on its way: while reports come, their first attempts are
sent, taken down by the order server and acknowledged, on the same two cores. An echo does nothing of that, so what it
is beside is a payment's whole way to its order, not its first transaction alone. The callers, too, share the cores.
What the sum below leaves of the cores is waiting: one group is committed at a time, its leader waits for PostgreSQL and
for Python's lock, and those who come meanwhile wait for it. In batches most is PostgreSQL's: a payment settled, its
result and its schedule inserted, each with its indexes.
"""
_LATENCY = """\
## From reported to paid

One caller reports a payment, looks into the order database until its order is paid, pauses 20 ms. "During a drain"
does the same while the scheduler drains old rows through the same order server.

**What limits it.** The way is a call, a transaction on the payment side, a second call, and a transaction on the order
side: two durable commits (below, under "what nothing here gets past"), and before each some eight statements, each a
round trip. SQLite is a library: what PostgreSQL takes longer is those round trips. Up to the report's answer is one
half of the way.
"""
_GROWTH = """\
## With finished rows in the tables

The drain beside rows that were finished before, on both sides, in tables and indexes. Limited by the indexes that
have to know every key; finished rows leave the index that claims read.
"""
_MEMORY = """\
## Memory

Resident memory of the bigger of scheduler and order server, looked at twice a second during the longest drain. A
batch is all that either holds.
"""
_START = """\
## Starting

From the start of a process to health SERVING, on migrated databases, seconds. Importing is most of it.
"""
_CEILINGS = """\
## What nothing here gets past

Measured in the same run. Bare calls: a Python server that parses and answers. Durable commits: a transaction of two
small statements.
"""
_REPEAT = """\
## Repeating it

    make bench                       # everything; writes build/benchmarks/results.json
    make bench ARGS=--publish        # … and this page
    make bench ARGS='--only drain,settings --rounds 5'
    make bench ARGS='--short'        # a few rows of each, in about a minute: whether it still runs

It uses the PostgreSQL on 127.0.0.1:5432 (user postgres) or the one that `PAYLATCH_BENCHMARK_POSTGRES_URL` names, with
the settings it finds; without one, it starts its own. The peers are installed at pinned versions beside their
programs. All databases it made are gone in the end. A measurement that fails says so in its table, and the command
ends with 1.
"""


def publish(run: dict[str, Any]) -> None:
    """Write the page, its charts and the figures they come from."""
    CHARTS.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(run))
    for name, chart in charts(run).items():
        (CHARTS / name).write_text(chart)


def page(run: dict[str, Any]) -> str:
    """BENCHMARKS.md."""
    measured = run["measurements"]
    parts = [
        _INTRODUCTION,
        _made(run),
        "## The figures to hold\n\n" + "\n".join(table_of_promises(run)) + "\n",
        _DRAIN,
        _chart(run, "drain.svg", "Notifications a second"),
        _rates(measured.get("drain", {}), beside=POSTGRESQL),
        _settings(run),
        _DRAIN_LIMITS,
        _cpu(run, "drain", "CPU a notification", [POSTGRESQL]),
        _beyond(run),
        _BATCH_SIZE,
        _chart(run, "batch-size.svg", "Throughput by batch size"),
        _rates(measured.get("batch size", {})),
        _PROCESSES,
        _rates(measured.get("processes", {})),
        _REPORTS,
        _chart(run, "reports.svg", "Payments a second"),
        _rates(measured.get("reports", {}), beside="bare echo"),
        _cpu(run, "reports", "CPU a payment", list(measured.get("reports", {}))),
        _LATENCY,
        _chart(run, "latency.svg", "Latency in milliseconds"),
        _figures(measured.get("latency", {}), ("p50", "p90", "p99", "worst", "answered, p50"), " ms"),
        _GROWTH,
        _chart(run, "growth.svg", "Throughput by finished rows"),
        _rates(measured.get("growth", {}), beside="0"),
        _MEMORY,
        _chart(run, "memory.svg", "Resident memory over time"),
        _START,
        _figures(measured.get("start", {}), ("payment-server", "order-server", "scheduler"), " s"),
        _CEILINGS,
        _rates(measured.get("ceilings", {})),
        _REPEAT,
    ]
    return "\n".join(part for part in parts if part)


def table_of_promises(run: dict[str, Any]) -> Sequence[str]:
    """SPEC 11, and whether it holds."""
    told = {True: "holds", False: "**does not hold**", None: ""}
    rows = [(made.what, made.least, made.measured, told[made.holds]) for made in promises(Run(run))]
    return _table(("what", "at least", "measured", ""), rows)


def charts(run: dict[str, Any]) -> Mapping[str, str]:
    """By file name; only of what was measured."""
    measured = run["measurements"]
    drawn: dict[str, str] = {}
    for name, title, unit in (("drain", "Draining a backlog", "notifications/s"), ("reports", "Reports", "payments/s")):
        if rates := _medians(measured.get(name, {}), "rate"):
            drawn[f"{name}.svg"] = bars(
                title, unit, dict(sorted(rates.items(), key=lambda each: -each[1])), _OURS[name]
            )
    for name, along in (("batch size", "notifications in a batch"), ("growth", "finished rows in the tables before")):
        if rates := _medians(measured.get(name, {}), "rate"):
            title = "Draining a backlog, notifications/s"
            drawn[f"{name.replace(' ', '-')}.svg"] = lines(
                title, along, list(rates), {"paylatch, PostgreSQL": list(rates.values())}
            )
    if p50 := _medians(measured.get("latency", {}), "p50"):
        p99 = _medians(measured["latency"], "p99")
        both = {f"{name}, {part}": values[name] for name in p50 for part, values in (("p50", p50), ("p99", p99))}
        drawn["latency.svg"] = bars("From reported to paid", "ms", both, "PostgreSQL")
    for result in measured.get("memory", {}).values():
        if "rounds" in result:
            over_time = result["rounds"][-1]["memory over time"]
            places = [f"{at / 2:.0f} s" for at in range(len(over_time))]
            drawn["memory.svg"] = lines("Resident memory, MiB", "time", places, {"the bigger process": over_time})
    return drawn


_CPU = "cpu of "

_OURS = {"drain": "paylatch", "reports": "grouped"}
"""Which bars stand out."""


def _made(run: dict[str, Any]) -> str:
    described = ", ".join(f"{name} {value}" for name, value in run["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
    short = (
        "\n\n**A short run: it shows that everything runs, and no figure of it means anything.**"
        if run["short"]
        else ""
    )
    return f"Made {run['made']}, in {run['minutes']} minutes. Machine: {described}.\nVersions: {versions}.{short}\n"


def _chart(run: dict[str, Any], name: str, alt: str) -> str:
    return f"![{alt}](docs/benchmarks/{name})\n" if name in charts(run) else ""


def _beyond(run: dict[str, Any]) -> str:
    try:
        ceiling = ceiling_beside_peers(Run(run))
    except NotMeasured:
        return ""
    if ceiling >= TIMES_BEST_PEER:
        return ""
    return _BEYOND.format(ceiling=f"{ceiling:.1f} ×", wanted=f"{TIMES_BEST_PEER} ×")


def _settings(run: dict[str, Any]) -> str:
    tried = run["measurements"].get("settings", {})
    if not tried:
        return ""
    rows = [(name, _cell(result, "rate", "/s")) for name, result in tried.items()]
    best = "; ".join(f"{peer}: {_shown(chosen)}" for peer, chosen in run["settings"].items())
    table = _lines_of(("peer and setting", "rate"), rows)
    return f"Settings tried, once each:\n\n{table}\nThe best, which compete: {best}.\n"


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _cpu(run: dict[str, Any], measurement: str, what: str, variants: Sequence[str]) -> str:
    """Which process took how much CPU: the profile of a figure that CPU limits."""
    measured = run["measurements"].get(measurement, {})
    taken = {
        variant: {
            name.removeprefix(_CPU): value
            for name, value in measured.get(variant, {}).get("median", {}).items()
            if name.startswith(_CPU)
        }
        for variant in variants
    }
    names = list(dict.fromkeys(name for of_variant in taken.values() for name in of_variant))
    rows = [(name, *(_microseconds(of_variant, name) for of_variant in taken.values())) for name in names]
    rows.append(("all of them", *(f"{sum(of_variant.values()):.0f} µs" for of_variant in taken.values())))
    return _lines_of((what, *variants), rows) if names else ""


def _microseconds(taken: Mapping[str, float], name: str) -> str:
    return f"{taken[name]:.0f} µs" if name in taken else ""


def _rates(results: Mapping[str, Any], beside: str = "") -> str:
    base = results.get(beside, {}).get("median", {}).get("rate")
    rows = []
    for name, result in results.items():
        ratio = f"{result['median']['rate'] / base:.2f}" if base and "median" in result else ""
        rows.append((name, _cell(result, "rate", "/s"), ratio, _range(result)))
    if not rows:
        return ""
    return _lines_of(("", "median", f"beside {beside}" if base else "", "rounds"), rows)


def _figures(results: Mapping[str, Any], names: Sequence[str], unit: str) -> str:
    rows = [(variant, *(_cell(result, name, unit) for name in names)) for variant, result in results.items()]
    return _lines_of(("", *names), rows) if rows else ""


def _cell(result: Mapping[str, Any], name: str, unit: str) -> str:
    return f"{number(result['median'][name])}{unit}" if "median" in result else f"failed: {result['error']}"


def _range(result: Mapping[str, Any]) -> str:
    return " · ".join(number(each["rate"]) for each in result.get("rounds", ()))


def _medians(results: Mapping[str, Any], name: str) -> dict[str, float]:
    return {variant: result["median"][name] for variant, result in results.items() if "median" in result}


def _lines_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_table(head, rows)) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    publish(json.loads(RESULTS.read_text()))
