"""Putting a demonstration together: a fresh place, three processes, the run, the verdict. Owns what is cleaned up."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.clients import CannotRun, Clients
from cli.demo.accident import Accident, Damage
from cli.demo.board import Board
from cli.demo.conductor import Conductor, Times
from cli.demo.facts import gather
from cli.demo.orders import DemoOrder, make_orders, read_orders
from cli.demo.payers import Payers, Persistence
from cli.demo.progress import shown
from cli.demo.summary import Outcome, summarize
from cli.demo.verdict import Expected, checks
from cli.demo.victim import Victim
from cli.migrate import migrate_both
from cli.output import ExitCode, console, count
from cli.ports import free_addresses
from cli.processes import Fleet, Launch, environment, programs
from cli.reconcile import ReconcileOptions, reconcile
from core.clock import SystemClock
from core.settings import Settings, load_settings

_PAYMENT, _ORDER = "payment.db", "order.db"
_TERMINATED = 128 + signal.SIGTERM


def demo(orders_file: Path | None, made: int, victim: Victim, directory: Path | None) -> ExitCode:
    """Run a demonstration and tell of it; whether everything is settled and reconciled.

    orders_file: the orders; without one, `made` are made. directory: keeps databases and logs; without one they are
    removed at the end, unless something went wrong.

    Raises:
        BadOrders: the file cannot be understood.
        CannotRun: a process did not start, or was away for too long.
    """
    orders = read_orders(orders_file) if orders_file else make_orders(made)
    screen = console()
    with _sigterm_unwinding(), _workplace(directory, screen) as place:
        outcome = Demo(orders, victim, place.path, screen).run()
        summarize(outcome, screen)
        place.went_well = outcome.is_good
    return ExitCode.OK if outcome.is_good else ExitCode.NOT_ALL


class Demo:
    """One demonstration in its directory."""

    def __init__(self, orders: Sequence[DemoOrder], victim: Victim, directory: Path, screen: Console) -> None:
        self._orders = orders
        self._victim = victim
        self._directory = directory
        self._screen = screen
        self._clock = SystemClock()
        self._board = Board()
        self._persistence = Persistence(self._clock)

    def run(self) -> Outcome:
        """Start the processes, conduct the run, ask both sides what came of it."""
        overrides = _settings_of(self._directory)
        settings = load_settings(**overrides)
        for _ in migrate_both(settings):
            pass
        launch = Launch(environment(overrides), self._clock, self._directory)
        with Fleet(programs(settings), launch) as fleet:
            self._screen.print(f"{count(len(self._orders), 'order')}; starting the three processes")
            fleet.start()
            fleet.wait_serving()
            with Clients.connect(settings.payment_address, settings.order_address) as clients:
                times, damage = self._conduct(fleet, clients, settings)
                return self._judge(clients, times, damage)

    def _conduct(self, fleet: Fleet, clients: Clients, settings: Settings) -> tuple[Times, Damage]:
        payers = Payers(clients, settings.notify_targets[0], self._board, self._persistence)
        try:
            with shown(self._screen, self._clock) as progress:
                conductor = Conductor(clients, self._board, payers, progress, self._clock)
                return self._stages(conductor, fleet, _outlook(self._victim, settings))
        except BaseException:
            # Calls under way end at once, and with them their callers.
            self._persistence.stop()
            clients.close()
            raise
        finally:
            payers.stop()

    def _stages(self, conductor: Conductor, fleet: Fleet, outlook: str) -> tuple[Times, Damage]:
        now = self._clock.monotonic
        conductor.stock(self._goods)
        began = now()
        conductor.create(self._orders)
        created = now()
        reports = len(self._board.payable)
        victim = self._victim if reports else Victim.NONE
        accident = Accident(fleet, self._board, self._clock, victim, (reports + 1) // 2, outlook)
        conductor.pay(accident)
        reported = now()
        conductor.await_delivery(accident)
        return Times(began, created, reported, now()), accident.damage

    def _judge(self, clients: Clients, times: Times, damage: Damage) -> Outcome:
        payable, refused = self._board.payable, self._board.refused
        facts = gather(clients, payable)
        expected = Expected(payable, self._goods)
        return Outcome(
            orders=len(self._orders),
            payable=len(payable),
            refused=refused,
            attempts=facts.attempts,
            made_again=self._persistence.made_again,
            times=times,
            damage=damage,
            checks=list(checks(expected, facts)),
            report=reconcile(clients, ReconcileOptions(grace=timedelta(0))),
        )

    @property
    def _goods(self) -> int:
        """Units of goods on hand at the start: for every order, refused ones included."""
        return sum(order.quantity for order in self._orders if not order.is_voucher)


def _outlook(victim: Victim, settings: Settings) -> str:
    """Why healing takes what it takes: by design, a wait in the settings."""
    match victim:
        case Victim.ORDER_SERVER:
            return f"; calls it died in are made again after {_seconds(settings.notify_retry_waits[0])}"
        case Victim.PAYMENT_SERVER:
            return f"; what it had claimed is free again when its lease ends, within {_seconds(settings.notify_lease)}"
        case _:
            return ""


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"


def _settings_of(directory: Path) -> dict[str, str]:
    """What the demonstration needs of its own; all else is as the user set it."""
    payment, order, scheduler = free_addresses(3)
    return {
        "payment_database_url": f"sqlite:///{directory / _PAYMENT}",
        "order_database_url": f"sqlite:///{directory / _ORDER}",
        "payment_address": payment,
        "order_address": order,
        "scheduler_address": scheduler,
        "notify_targets": f"grpc://{order}",
    }


@dataclass(slots=True)
class Workplace:
    """Where databases and logs are. went_well: whether nobody will want to look at them."""

    path: Path
    went_well: bool = False


@contextmanager
def _workplace(given: Path | None, screen: Console) -> Iterator[Workplace]:
    """The given directory, with no databases in it yet, or one that is removed unless something went wrong."""
    place = Workplace(_unused(given) if given else Path(tempfile.mkdtemp(prefix="paylatch-demo-")))
    is_kept = True
    try:
        yield place
        is_kept = given is not None or not place.went_well
    except (KeyboardInterrupt, SystemExit):
        is_kept = given is not None
        raise
    finally:
        if is_kept:
            screen.print(f"databases and logs: {place.path}", soft_wrap=True)
        else:
            shutil.rmtree(place.path)


def _unused(given: Path) -> Path:
    directory = given.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    for name in (_PAYMENT, _ORDER):
        if (directory / name).exists():
            raise CannotRun(f"{directory / name} exists: the demonstration needs a directory without databases")
    return directory


@contextmanager
def _sigterm_unwinding() -> Iterator[None]:
    """Have SIGTERM clean up as Ctrl-C does."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        sys.exit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
