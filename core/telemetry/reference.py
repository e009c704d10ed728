"""The metrics as a table of the documentation: `python -m core.telemetry.reference` writes it, `--check` compares it.

Owns what stands between the two marks in docs/telemetry.md, from core/telemetry/catalogue.py. Only a command.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from core.telemetry.catalogue import EVERY_PROCESS, PROCESSES, SENDERS, Metric

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
BEGIN = "<!-- The metrics: written by `make diagrams` from core/telemetry/catalogue.py -->\n"
END = "<!-- The end of the metrics -->\n"


def tables() -> str:
    """The metrics of every process, of those that deliver, and of each alone."""
    shared = {*EVERY_PROCESS, *SENDERS}
    own = [(f"Of the {name}", [metric for metric in PROCESSES[name] if metric not in shared]) for name in PROCESSES]
    groups = [("Of every process", EVERY_PROCESS), ("Of payment server and scheduler", SENDERS), *own]
    return "\n".join(_table(title, metrics) for title, metrics in groups)


def with_tables(page: str) -> str:
    """The page, with the metrics as they are.

    Raises:
        ValueError: one of the marks is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{PAGE.name} must have the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _table(title: str, metrics: Iterable[Metric]) -> str:
    rows = [f"| `{m.name}` | {m.kind.value} | {', '.join(m.labels)} | {m.help} |" for m in metrics]
    return "\n".join([f"### {title}\n", "| metric | kind | labels | meaning |", "|---|---|---|---|", *rows, ""])


def main(arguments: list[str] | None = None) -> int:
    """Write the tables, or with `--check` tell whether they are as the catalogue has them."""
    parser = argparse.ArgumentParser(prog="python -m core.telemetry.reference", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not as the code is")
    is_check = parser.parse_args(arguments).check
    written = PAGE.read_text(encoding="utf-8")
    if is_check and written != with_tables(written):
        sys.stderr.write(f"{PAGE.name} is not as core/telemetry/catalogue.py: run `make diagrams`\n")
        return 1
    if not is_check:
        PAGE.write_text(with_tables(written), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
