"""OPERATIONS.md as a test reads it: its commands and what it shows of their answers, so that neither drifts."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "OPERATIONS.md"

_CONSOLE = re.compile(r"(?:<!-- follow: ([\w ]+) -->\n)?```console\n(.*?)```", re.DOTALL)
_SQL = re.compile(r"<!-- sql: ([\w ]+) -->\n```sql\n(.*?)```", re.DOTALL)
_FIGURES = re.compile(r"\d[\d,.]*")
_ELLIPSIS = "…"


@dataclass(frozen=True)
class Step:
    """One command of the page. shown: the lines of its answer that stand there."""

    command: str
    shown: tuple[str, ...]

    def words(self, names: Mapping[str, str]) -> list[str]:
        """The command as a shell takes it apart, with the page's names replaced by those of a real system."""
        return [names.get(word, word) for word in shlex.split(self.command)]

    def missing(self, answer: str) -> list[str]:
        """What the page shows and `answer` has not. Figures, times and the width of columns may differ."""
        told = {_plain(line) for line in answer.splitlines()}
        return [line for line in self.shown if line.strip() != _ELLIPSIS and _plain(line) not in told]


def steps() -> list[Step]:
    """Every command of the page."""
    return [step for _, text in _CONSOLE.findall(PAGE.read_text()) for step in _steps(text)]


def steps_of(name: str) -> list[Step]:
    """The commands of the block of this name."""
    (text,) = (text for found, text in _CONSOLE.findall(PAGE.read_text()) if found == name)
    return list(_steps(text))


def sql_of(name: str) -> str:
    """The query of this name."""
    (text,) = (text for found, text in _SQL.findall(PAGE.read_text()) if found == name)
    return str(text)


def _steps(text: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield Step(command, tuple(shown))


def _plain(line: str) -> str:
    return " ".join(_FIGURES.sub("0", line).split())
