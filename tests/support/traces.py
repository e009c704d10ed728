"""What a real process asked of the kernel, in its order: which bytes it wrote, synced and sent. Owns running strace."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.processes import environment
from tests.support.servers import ALL_REQUIRED

_CALLS = "pwrite64,write,fdatasync,fsync,sendmsg,sendto"
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<rest>.*)$")
_BEGUN = re.compile(r"^(?P<name>\w+)\(\d+<(?P<file>[^>]*)>(?P<arguments>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>.*= 0$")
_SYNCS = frozenset({"fdatasync", "fsync"})
_SENDS = frozenset({"sendmsg", "sendto", "write"})


@contextmanager
def traced(module: str, settings: Mapping[str, str], trace: Path) -> Iterator[None]:
    """`python -m module` under strace, which writes to `trace`, until the end of the `with`."""
    process = subprocess.Popen(
        [_strace(), "-f", "-y", "-s", "65536", "-e", f"trace={_CALLS}", "-o", str(trace), sys.executable, "-m", module],
        env=environment(settings),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_sent(trace: Iterable[str], mark: str) -> bool:
    """Whether `mark` was sent to anybody."""
    return "sent" in _history(trace, mark, "")


def is_synced_before_it_is_sent(trace: Iterable[str], mark: str, file: str) -> bool:
    """Whether `mark` was written to `file`, and `file` synced after that, before `mark` was sent to anybody.

    mark: text that is both stored and answered. file: how the file's name ends.
    """
    history = _history(trace, mark, file)
    before = history[: history.index("sent")] if "sent" in history else history
    return "written" in before and "synced" in before[before.index("written") :]


def _history(trace: Iterable[str], mark: str, file: str) -> list[str]:
    """What befell `mark` and `file`, in order: written, synced, sent. A sync counts from its end."""
    history: list[str] = []
    syncing: set[str] = set()
    for line in trace:
        thread, rest = _parts(line)
        begun = _BEGUN.match(rest)
        if begun is None:
            if _RESUMED.match(rest) and thread in syncing:
                history.append("synced")
                syncing.discard(thread)
        elif begun["name"] in _SYNCS and begun["file"].endswith(file):
            history += ["synced"] if rest.endswith("= 0") else []
            syncing |= {thread} if rest.endswith("<unfinished ...>") else set()
        elif mark in begun["arguments"]:
            history += _step(begun, file)
    return history


def _step(call: "re.Match[str]", file: str) -> list[str]:
    if call["name"] == "pwrite64" and call["file"].endswith(file):
        return ["written"]
    is_socket = call["file"].startswith(("socket:", "TCP"))
    return ["sent"] if call["name"] in _SENDS and is_socket else []


def _parts(line: str) -> tuple[str, str]:
    match = _LINE.match(line.rstrip("\n"))
    return (match["thread"], match["rest"]) if match else ("", line)


def _strace() -> str:
    found = shutil.which("strace")
    if found is None:
        told = "strace is not there: install it (Debian, Ubuntu: apt-get install strace; Fedora: dnf install strace)"
        (pytest.fail if ALL_REQUIRED else pytest.skip)(told)
    return found
