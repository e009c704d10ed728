from pathlib import Path

import pytest

from core.rules import diagrams
from core.rules.life_cycles import ALL, LifeCycle


def _section(life_cycle: LifeCycle) -> str:
    return diagrams.page().split(f"## {life_cycle.name}\n")[1].split("\n## ")[0]


def test_the_documentation_is_as_the_code_is() -> None:
    assert diagrams.difference(diagrams.PAGE.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize("life_cycle", ALL, ids=lambda life_cycle: life_cycle.name)
def test_every_move_is_drawn(life_cycle: LifeCycle) -> None:
    arrows = [line.strip() for line in _section(life_cycle).splitlines() if "-->" in line]
    drawn = {
        (states.split(" --> ")[0], event, states.split(" --> ")[1])
        for states, _, events in (arrow.partition(": ") for arrow in arrows)
        for event in events.split(" | ")
    }
    start = ("[*]", "", next(iter(life_cycle.meanings)).name)

    assert drawn == {start} | {(move.from_.name, move.event, move.to.name) for move in life_cycle.moves}


@pytest.mark.parametrize("life_cycle", ALL, ids=lambda life_cycle: life_cycle.name)
def test_every_state_is_listed_with_its_code_and_meaning(life_cycle: LifeCycle) -> None:
    section = _section(life_cycle)

    for state, meaning in life_cycle.meanings.items():
        assert f'state "{int(state)} {state.name}" as {state.name}' in section
        assert f"| {int(state)} | {state.name} | {meaning} |" in section


def test_the_check_names_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "life-cycles.md"
    written.write_text(diagrams.page().replace("NEW --> CANCELLED", "PAID --> CANCELLED"), encoding="utf-8")
    monkeypatch.setattr(diagrams, "PAGE", written)

    assert diagrams.main(["--check"]) == 1
    told = capsys.readouterr().out
    assert "-  PAID --> CANCELLED: cancel" in told
    assert "+  NEW --> CANCELLED: cancel" in told
    assert "make diagrams" in told


def test_the_check_fails_when_there_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "PAGE", tmp_path / "docs" / "life-cycles.md")

    assert diagrams.main(["--check"]) == 1


def test_a_page_just_written_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "PAGE", tmp_path / "docs" / "life-cycles.md")

    assert diagrams.main([]) == 0
    assert diagrams.main(["--check"]) == 0
