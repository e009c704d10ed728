"""`paylatch up`: all three processes in the foreground, on the embedded default. Owns when they start and stop.

They stop on Ctrl-C or SIGTERM, or when one of them dies: payment server first, then scheduler, then order server.
"""

import sys
import threading
from pathlib import Path

from cli.greeting import greeting
from cli.migrate import migrate_both
from cli.processes import STOP_BOUND, Child, DidNotServe, Fleet, Launch, environment, programs
from core.clock import SystemClock
from core.logs import Logger, make_logger
from core.rpc.lifecycle import StopRequests, StopStep, run_until_signal
from core.rpc.outgoing import Outgoing
from core.settings import Settings, load_settings

DIRECTORY = Path("paylatch-data")
"""Where the databases are, unless told otherwise."""

_LEFT_OVER_SECONDS = 5.0


def up(directory: Path | None) -> int:
    """Run until told to stop; gives back the exit code: 0, or 1 if a process died.

    Raises:
        BadSetting: a setting is not allowed.
        CannotRun: a database cannot be opened.
    """
    overrides = embedded(directory)
    settings = load_settings(**overrides)
    for line in migrate_both(settings):
        sys.stdout.write(f"{line}\n")
    return Up(settings, make_logger("up", settings.log_format, settings.log_level)).run(environment(overrides))


def embedded(directory: Path | None) -> dict[str, str]:
    """What stands in for settings nobody made: databases in `directory`, and the order server as the one target.

    A directory that is given stands above the settings, one that is not below them.
    """
    made = load_settings()
    here = (directory or DIRECTORY).absolute()
    overrides = {
        name: f"sqlite:///{here / side}.db"
        for name, side in (("payment_database_url", "payment"), ("order_database_url", "order"))
        if directory is not None or name not in made.model_fields_set
    }
    if overrides:
        here.mkdir(parents=True, exist_ok=True)
    if "notify_targets" not in made.model_fields_set:
        overrides["notify_targets"] = f"{made.scheme}://{made.order_address}"
    return overrides


class Up:
    """The three processes, from their start to the end of the last."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        self._settings = settings
        self._programs = programs(settings)
        self._log = log
        self._requests = StopRequests()
        self._stopping = threading.Event()

    def run(self, children: dict[str, str]) -> int:
        """Start them with this environment, and stop them when told to. Only in the main thread."""
        clock = SystemClock()
        launch = Launch(children, clock, _repeat, self._on_end, Outgoing.of(self._settings, clock, self._log))
        with Fleet(self._programs, launch) as fleet:
            fleet.start()
            threading.Thread(target=self._greet, args=(fleet,), name="greet", daemon=True).start()
            steps = [
                StopStep(one.name, STOP_BOUND + _LEFT_OVER_SECONDS, fleet[one.name].stop) for one in self._programs
            ]
            return run_until_signal(self._log, [StopStep("begin", 1, self._stopping.set), *steps], self._requests)

    def _on_end(self, child: Child) -> None:
        if self._stopping.is_set():
            return
        self._log.error("process.died", name=child.program.name, exit_code=child.exit_code)
        self._requests.ask(f"{child.program.name} died", exit_code=1)

    def _greet(self, fleet: Fleet) -> None:
        """Tell how to call them, once they can be called."""
        try:
            fleet.wait_serving()
        except DidNotServe as error:
            self._requests.ask(str(error), exit_code=1)
        else:
            sys.stdout.write(greeting(self._settings))
            sys.stdout.flush()


def _repeat(name: str, line: str) -> None:
    sys.stderr.write(f"{name:<14} | {line}\n")
