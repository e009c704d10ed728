"""docs/reconcile.md names the kinds as the code does."""

import re
from pathlib import Path

from cli.reconcile.findings import CLASS, MEANING, Class, Kind, Repair

PAGE = (Path(__file__).parents[3] / "docs" / "reconcile.md").read_text()
WORDS = {Class.OPEN_MATTER: "; an open matter |", Class.CLOSED: "; closed |"}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table that begins with this heading."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_has_each_kind_with_its_meaning_and_in_the_order_of_the_code() -> None:
    assert [(row[0], row[1]) for row in rows("kind")] == [(f"`{kind}`", MEANING[kind]) for kind in Kind]


def test_the_page_says_which_kinds_are_no_difference() -> None:
    for kind in Kind:
        (row,) = re.findall(rf"^\| `{kind}` .*$", PAGE, re.MULTILINE)
        assert [word in row for word in WORDS.values()] == [CLASS[kind] is class_ for class_ in WORDS]


def test_the_page_has_each_repair() -> None:
    assert [row[0] for row in rows("repair")] == [f"`{repair}`" for repair in Repair]
