"""The one command: measures everything in one run, prints tables, writes JSON, the page and its charts.

    python -m benchmarks [--short] [--only drain,latency] [--rounds 3] [--out build/benchmarks] [--publish]

`make bench` runs it. Nothing is needed beforehand: the peers are installed, PostgreSQL is the one of this machine or
one of its own, and every database that was made is gone in the end. --publish writes BENCHMARKS.md and its charts.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, versions
from benchmarks.measurement import Result, shown, take_turns
from benchmarks.page import RESULTS, publish, table_of_promises
from benchmarks.suite import FULL, SHORT, Suite


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 if something could not be."""
    options = _options(arguments)
    scale = SHORT if options.short else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    if options.finished is not None:
        scale = replace(scale, finished=(0, *options.finished))
    started = datetime.now(UTC)
    run: dict[str, Any] = {
        "made": started.strftime("%Y-%m-%d %H:%M UTC"),
        "short": options.short,
        "machine": machine(),
        "versions": versions(),
        "scale": asdict(scale),
        "measurements": {},
    }
    began = time.monotonic()
    _measure(run, Suite(scale), options.only)
    run["minutes"] = round((time.monotonic() - began) / 60, 1)
    _write(run, options.out)
    if options.publish:
        publish(run)
    return 1 if any("error" in result for _, _, result in _results(run)) else 0


def _measure(run: dict[str, Any], suite: Suite, only: Sequence[str]) -> None:
    for name, make in suite.measurements().items():
        if not only or name in only:
            run["measurements"][name] = take_turns(make(), lambda line: print(line, flush=True))
            run["settings"] = suite.settings


def _write(run: dict[str, Any], directory: Path) -> None:
    print()
    for name, variant, result in _results(run):
        print(f"{name:12} {variant:58} {result.get('error') or shown(result['median'])}")
    if not run["short"]:
        print("", *table_of_promises(run), sep="\n")
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / RESULTS.name
    written.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{run['minutes']} minutes; all figures: {written}")


def _results(run: dict[str, Any]) -> Sequence[tuple[str, str, Result]]:
    measurements = run["measurements"].items()
    return [(name, variant, result) for name, results in measurements for variant, result in results.items()]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few rows of each: whether it still runs, no figures")
    parser.add_argument("--only", type=_names, default=(), metavar="NAME,…", help=f"of: {', '.join(_known())}")
    parser.add_argument("--rounds", type=int, help=f"of what takes turns; {FULL.rounds} by default")
    parser.add_argument("--finished", type=_counts, metavar="ROWS,…", help="rows already in the tables, for growth")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="directory of the JSON")
    parser.add_argument("--publish", action="store_true", help="write BENCHMARKS.md, its charts and its JSON as well")
    options = parser.parse_args(arguments)
    if options.publish and (options.short or options.only):
        parser.error("--publish is of a whole run, not with --short or --only: the page leaves nothing out")
    return options


def _known() -> Sequence[str]:
    return list(Suite(SHORT).measurements())


def _names(text: str) -> Sequence[str]:
    names = text.split(",")
    if unknown := set(names) - set(_known()):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: known are {', '.join(_known())}")
    return names


def _counts(text: str) -> Sequence[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
