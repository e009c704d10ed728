"""What every process does the same way: read its settings, name itself, and end with a line a person understands.

Owns exit codes: 0 stopped in order, 1 it could not serve, 2 a setting is wrong. Knows no service.
"""

import gc
import os
import secrets
import socket
import sys
from collections.abc import Callable

from core.clock import Clock, SystemClock
from core.logs import Logger, make_logger, without_secrets
from core.rpc.server import CannotListen
from core.rules.errors import Unavailable
from core.settings import BadSetting, Settings, load_settings
from core.store.migrate import WrongSchema

Serve = Callable[[Settings, Clock, Logger], int]
"""Composes a process and runs it until it is told to stop; answers its exit code."""

COULD_NOT_SERVE = 1
BAD_SETTING = 2

_YOUNG = 50_000
"""Containers made and not freed yet, from which on garbage is looked for: more than the rows of a few batches are."""


def run_process(name: str, serve: Serve) -> int:
    """Run `serve` with the settings of the environment, and give back the exit code."""
    try:
        settings = load_settings()
    except BadSetting as error:
        return _refuse(name, error, BAD_SETTING)
    log = make_logger(name, settings.log_format, settings.log_level)
    _look_for_garbage_seldom()
    try:
        return serve(settings, SystemClock(), log)
    except BadSetting as error:
        return _refuse(name, error, BAD_SETTING)
    except (WrongSchema, CannotListen) as error:
        return _refuse(name, error, COULD_NOT_SERVE)
    except Unavailable as error:
        return _refuse(name, f"{error} ({error.__cause__})", COULD_NOT_SERVE)


def _look_for_garbage_seldom() -> None:
    """A batch is thousands of rows, none of them in a cycle: Python's own pace would walk over them again and again.

    What was imported is never walked over any more.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def holder_name(name: str) -> str:
    """Who holds a claim, for people: process, machine and process id; for certainty, something of its own."""
    return f"{name}@{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


def _refuse(name: str, why: object, code: int) -> int:
    sys.stderr.write(without_secrets(f"{name}: {why}\n"))
    return code
