"""The life cycles as a page of the documentation: `python -m core.rules.diagrams` writes it, `--check` compares it.

Owns docs/life-cycles.md, all of it. Everything on it comes from core/rules/life_cycles.py; the only part of the rules
that touches a file, and only as a command.
"""

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

from transitions import State
from transitions.extensions import GraphMachine

from core.rules.life_cycles import ALL, LifeCycle

PAGE = Path(__file__).parents[2] / "docs" / "life-cycles.md"

_INTRODUCTION = """\
# Life cycles

<!-- Written by `make diagrams` from core/rules/life_cycles.py; `make diagrams-check` holds the two together. -->

There is no other way to change a status. Each change is written as `UPDATE … SET status = <to> WHERE status = <from>`;
if no row was changed, somebody else was faster, and the transaction is run again. An event that is not drawn from a
state is refused with `FAILED_PRECONDITION`, which names the state and the events that are legal in it.
"""


class _DrawnState(State):
    """A state with the label it is drawn with."""

    def __init__(self, name: str, label: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.label = label


class _Drawing(GraphMachine):
    """A machine that is only drawn."""

    state_cls = _DrawnState


def page() -> str:
    """The whole page, as it must be for the life cycles as they are."""
    return "\n".join([_INTRODUCTION, *(_section(life_cycle) for life_cycle in ALL)])


def _section(life_cycle: LifeCycle) -> str:
    states = [f"| {int(state)} | {state.name} | {meaning} |" for state, meaning in life_cycle.meanings.items()]
    return "\n".join(
        [
            f"## {life_cycle.name}\n",
            *("```mermaid", mermaid(life_cycle), "```\n"),
            *("| code | state | meaning |", "|---|---|---|", *states, ""),
        ]
    )


def mermaid(life_cycle: LifeCycle) -> str:
    """The life cycle drawn by transitions, from the moves of its machine."""
    drawing = _Drawing(
        states=[{"name": state.name, "label": f"{int(state)} {state.name}"} for state in life_cycle.meanings],
        initial=next(iter(life_cycle.meanings)).name,
        transitions=[[move.event, move.from_.name, move.to.name] for move in life_cycle.moves],
        auto_transitions=False,
        graph_engine="mermaid",
        title=f"title: {life_cycle.name}",
    )
    drawn = drawing.get_combined_graph().draw(None) or ""
    # Without colours of its own it reads on light and on dark pages.
    colours = ("classDef ", "Class ")
    return "\n".join(line for line in drawn.splitlines() if line.strip() and not line.strip().startswith(colours))


def difference(written: str) -> str:
    """How the written page differs from the life cycles, as a unified diff; empty if it does not."""
    lines = difflib.unified_diff(
        written.splitlines(), page().splitlines(), "as written", "as core/rules/life_cycles.py has it", lineterm=""
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with `--check` tell how it differs."""
    parser = argparse.ArgumentParser(prog="python -m core.rules.diagrams", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not as the code is")
    if parser.parse_args(arguments).check:
        return _check()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def _check() -> int:
    differing = difference(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "")
    if differing:
        print(f"{differing}\n{PAGE.name} is not as the code is: run `make diagrams`")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
