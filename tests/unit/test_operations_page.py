"""OPERATIONS.md names only what is there: commands and their options, settings, log events; and every alarm."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.exceptions import exceptions_app
from cli.follow_ups import follow_ups_app
from cli.health import health_command
from cli.notify import notify_app
from cli.reconcile import reconcile_command
from core.settings import Settings
from tests.support.runbook import PAGE, steps

ROOT = PAGE.parent
PACKAGES = ("core", "payment_server", "order_server", "scheduler")
TEXT = PAGE.read_text()
EVENT = r"[a-z_]+\.[a-z_]+"
LEVELS = {"error", "exception", "warning", "info"}
UNITS = {"paylatch-payment-server", "paylatch-order-server", "paylatch-scheduler"}


def command_line() -> typer.Typer:
    """The operator's commands, with what stands behind them."""
    app = typer.Typer()
    app.command("reconcile")(reconcile_command)
    app.command("health")(health_command)
    for name, group in (("notify", notify_app), ("exceptions", exceptions_app), ("follow-ups", follow_ups_app)):
        app.add_typer(group, name=name)
    return app


def events(*levels: str) -> set[str]:
    """The events that the code logs at these levels."""
    return {name for level, name in _logged() if level in levels}


def _logged() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for module in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reloaded":
                    yield "error", f"{ast.literal_eval(node.args[0])}.reload_failed"
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield from _event(node.func.attr, [one.value for one in node.args if isinstance(one, ast.Constant)])


def _event(called: str, arguments: list[object]) -> Iterator[tuple[str, str]]:
    words = [word for word in arguments if isinstance(word, str)]
    # Either a logger's method, or a helper that is told the level.
    level, names = (called, words) if called in LEVELS else (words[0], words[1:]) if words else ("", [])
    if level in LEVELS and names and re.fullmatch(EVENT, names[0]):
        yield level, names[0]


@pytest.mark.parametrize("line", sorted({step.command for step in steps()}))
def test_every_command_is_one_that_exists_with_options_that_exist(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "systemctl":
        assert words[1] in UNITS
        return
    assert program == "paylatch"
    _parse(typer.main.get_command(command_line()), words)


def _parse(command: Any, words: list[str]) -> None:
    """As the command line would, without running anything; what it does not know raises."""
    context = command.make_context(command.name, words)
    if isinstance(command, typer.core.TyperGroup):
        _, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        _parse(found, rest)


def test_every_setting_is_one_that_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"`(?:PAYLATCH_)?([A-Z]+(?:_[A-Z]+)+)`", TEXT))
    not_settings = {"INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "ORDER_NOT_FOUND", "OUTCOME_CONFLICT"}
    kinds = {"CONTENT_DIFFERS", "OUTCOME_DIFFERS"}
    assert named - not_settings - kinds <= known
    assert {"NOTIFY_TARGETS", "NOTIFY_LEASE"} <= named


def test_every_event_is_one_that_is_logged() -> None:
    named = set(re.findall(rf"^\| `({EVENT})` \|", TEXT, re.MULTILINE))
    assert named - events(*LEVELS) == set()


def test_every_alarm_has_its_row() -> None:
    rows = dict(re.findall(rf"^\| `({EVENT})` \| (\w+) \|", TEXT, re.MULTILINE))
    alarms = events("error", "exception")
    assert {"notify.given_up", "order_notify.content_conflict", "rpc.crashed"} <= alarms
    assert alarms - rows.keys() == set()
    assert {rows[alarm] for alarm in alarms} == {"error"}


def test_every_link_goes_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in _headings(PAGE)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        assert not path or (ROOT / path).exists(), target
        assert path or anchor in headings, target


def _headings(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if line.startswith("#")]


def test_every_setting_is_documented() -> None:
    # What a server sets for its own processes is nobody else's to set.
    own = {"server_shares_port", "server_process_number"}
    documentation = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    missing = [name for name in Settings.model_fields if name.upper() not in documentation]
    assert set(missing) - own == set()
