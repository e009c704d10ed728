"""The commands of operators are those of SPEC 10, and alike: each speaks JSON; who changes something says why."""

from typing import Any

import pytest
import typer

from cli.exceptions import exceptions_app
from cli.follow_ups import follow_ups_app
from cli.health import health_command
from cli.notify import notify_app
from cli.reconcile import reconcile_command

LOOKING = {
    "notify": {"list", "show", "explain", "targets"},
    "exceptions": {"list"},
    "follow-ups": {"list"},
}
CHANGING = {
    "notify": {"retry", "abandon", "pause", "resume"},
    "exceptions": {"resolve"},
    "follow-ups": {"retry", "resolve"},
}
GROUPS = {"notify": notify_app, "exceptions": exceptions_app, "follow-ups": follow_ups_app}


def commands(group: str) -> dict[str, Any]:
    """The commands of a group, by name."""
    found: Any = typer.main.get_command(GROUPS[group])
    return dict(found.commands)


def options(command: Any) -> dict[str, bool]:
    """Each option of a command, and whether it must be given."""
    return {name: parameter.required for parameter in command.params for name in parameter.opts if name[:2] == "--"}


@pytest.mark.parametrize("group", GROUPS)
def test_the_commands_of_a_group_are_those_of_the_specification(group: str) -> None:
    assert commands(group).keys() == LOOKING[group] | CHANGING[group]


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_speaks_json(group: str) -> None:
    assert [name for name, command in commands(group).items() if "--json" not in options(command)] == []


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in CHANGING for name in sorted(CHANGING[group])])
def test_what_changes_something_must_be_told_who_and_why_and_has_a_dry_run(group: str, name: str) -> None:
    found = options(commands(group)[name])
    assert (found["--operator"], found["--reason"]) == (True, True)
    assert found["--dry-run"] is False


@pytest.mark.parametrize("command", [reconcile_command, health_command])
def test_the_commands_that_stand_alone_speak_json_too(command: Any) -> None:
    app = typer.Typer()
    app.command()(command)
    assert "--json" in options(typer.main.get_command(app))
