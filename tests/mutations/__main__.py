"""`make mutations`: breaks the product on purpose, one mutation at a time, and shows what catches it.

Works in throw-away copies of the sources. Exit code 1 if a mutation survives, or no longer applies.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutations.hunt import CAUGHT
from tests.mutations.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
SOURCES = (
    "core",
    "payment_server",
    "order_server",
    "scheduler",
    "protos",
    "tests/simulation",
    "tests/support",
    "tests/mutations",
)
BOUND_SECONDS = 600


@dataclass(frozen=True)
class Verdict:
    """What became of a mutation."""

    mutation: Mutation
    is_caught: bool
    told: str


def main() -> int:
    """Try them all, or those that are named; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="words that the names of the wanted ones contain")
    only = parser.parse_args().only
    wanted = [mutation for mutation in MUTATIONS if not only or any(word in mutation.name for word in only)]
    console = Console()
    with ThreadPoolExecutor(os.cpu_count()) as pool, console.status("Breaking the product on purpose …"):
        verdicts = list(pool.map(try_one, wanted))
    console.print(_table(verdicts))
    survived = [verdict for verdict in verdicts if not verdict.is_caught]
    console.print(f"{len(verdicts) - len(survived)} of {len(verdicts)} caught")
    return 1 if survived or not verdicts else 0


def try_one(mutation: Mutation) -> Verdict:
    """Break a copy of the sources, and hunt in it."""
    missing = [edit.old for edit in mutation.edits if edit.old not in (ROOT / edit.file).read_text()]
    if missing:
        return Verdict(mutation, False, f"does not apply any more, its text is gone: {missing[0].strip()}")
    with tempfile.TemporaryDirectory(prefix="paylatch-mutation-") as directory:
        copy = Path(directory)
        _copy_sources(copy)
        for edit in mutation.edits:
            path = copy / edit.file
            path.write_text(path.read_text().replace(edit.old, edit.new))
        return _hunt(mutation, copy)


def _copy_sources(copy: Path) -> None:
    for source in SOURCES:
        shutil.copytree(ROOT / source, copy / source, ignore=shutil.ignore_patterns("__pycache__"))


def _hunt(mutation: Mutation, copy: Path) -> Verdict:
    path = os.pathsep.join([str(copy), str(copy / "protos")])
    run = subprocess.run(
        [sys.executable, "-m", "tests.mutations.hunt"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    told = run.stdout.strip()
    if run.returncode != 0:
        return Verdict(mutation, False, f"could not be tried: {run.stderr.strip().splitlines()[-1]}")
    return Verdict(mutation, told.startswith(CAUGHT), told or "SURVIVED")


def _table(verdicts: list[Verdict]) -> Table:
    table = Table(title="The product broken on purpose", title_justify="left")
    for column in ("mutation", "what it would do", "verdict"):
        table.add_column(column, overflow="fold")
    for verdict in verdicts:
        style = "green" if verdict.is_caught else "bold red"
        table.add_row(verdict.mutation.name, verdict.mutation.why, f"[{style}]{_short(verdict.told)}[/]")
    return table


def _short(told: str, longest: int = 160) -> str:
    return (told if len(told) <= longest else told[:longest] + " …").replace("[", "\\[")


if __name__ == "__main__":
    sys.exit(main())
