"""Putting a demonstration together: a place for it, the processes, the run, the verdict."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.clients import Clients
from cli.demo.accident import Accident, Damage
from cli.demo.board import Board
from cli.demo.conductor import Conductor, Times
from cli.demo.facts import gather
from cli.demo.orders import DemoOrder, make_orders, read_orders
from cli.demo.payers import Payers, Persistence
from cli.demo.place import Place, demo_place
from cli.demo.progress import shown
from cli.demo.summary import Outcome, summarize
from cli.demo.verdict import Expected, checks
from cli.demo.victim import Victim
from cli.migrate import migrate_both, url_of
from cli.output import ExitCode, console, count
from cli.ports import free_addresses
from cli.processes import Fleet, Launch, Program, environment, programs
from cli.reconcile import ReconcileOptions, reconcile
from core.clock import SystemClock
from core.logs import make_logger
from core.rpc.outgoing import Outgoing
from core.settings import Settings, load_settings
from core.store.dialect.engines import engine_of
from core.store.migrate import Schema

_TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a demonstration is made of.

    orders_file: the orders; without one, `count` are made. victim: the first process of this kind is killed.
    directory: keeps the logs, and the databases that no setting names; without one they are removed at the end, unless
    something went wrong. order_servers, schedulers: how many of each, on the same databases; one or more.
    """

    orders_file: Path | None
    count: int
    victim: Victim
    directory: Path | None
    order_servers: int
    schedulers: int


def demo(options: DemoOptions) -> ExitCode:
    """Run a demonstration and tell of it; whether everything is settled and reconciled.

    Raises:
        BadOrders: the file cannot be understood.
        CannotRun: a database holds rows or is away; a process did not start, or was away for too long.
    """
    orders = read_orders(options.orders_file) if options.orders_file else make_orders(options.count)
    screen = console()
    with _sigterm_unwinding(), demo_place(options.directory, screen) as place:
        outcome = Demo(orders, options, place, screen).run()
        summarize(outcome, screen)
        place.went_well = outcome.is_good
    return ExitCode.OK if outcome.is_good else ExitCode.NOT_ALL


class Demo:
    """One demonstration in its place."""

    def __init__(self, orders: Sequence[DemoOrder], options: DemoOptions, place: Place, screen: Console) -> None:
        self._orders = orders
        self._options = options
        self._place = place
        self._screen = screen
        self._clock = SystemClock()
        self._board = Board()
        self._persistence = Persistence(self._clock)

    def run(self) -> Outcome:
        """Start the processes, conduct the run, ask both sides what came of it."""
        payment, *others = free_addresses(1 + self._options.order_servers + self._options.schedulers)
        order_servers, schedulers = others[: self._options.order_servers], others[self._options.order_servers :]
        overrides = {
            **self._place.database_urls,
            "payment_address": payment,
            "order_address": order_servers[0],
            "scheduler_address": schedulers[0],
            "notify_targets": ",".join(f"{load_settings().scheme}://{address}" for address in order_servers),
        }
        settings = load_settings(**overrides)
        for _ in migrate_both(settings):
            pass
        cast = programs(settings, schedulers[1:], order_servers[1:])
        shown = Outgoing.of(settings, self._clock, make_logger("demo"))
        launch = Launch(environment(overrides), self._clock, self._place.directory, outgoing=shown)
        with Fleet(cast, launch) as fleet:
            self._screen.print(self._opening(settings, cast), soft_wrap=True)
            fleet.start()
            fleet.wait_serving()
            with Clients.connect(
                settings.payment_address, settings.order_address, settings.operator_address
            ) as clients:
                times, damage = self._conduct(fleet, clients, settings)
                return self._judge(clients, times, damage)

    def _opening(self, settings: Settings, cast: Sequence[Program]) -> str:
        names = ", ".join(program.name for program in cast)
        engines = " and ".join(dict.fromkeys(engine_of(url_of(schema, settings)) for schema in Schema))
        return f"{count(len(self._orders), 'order')} on {engines}; starting {names}"

    def _conduct(self, fleet: Fleet, clients: Clients, settings: Settings) -> tuple[Times, Damage]:
        payers = Payers(clients, settings.notify_targets, self._board, self._persistence)
        try:
            with shown(self._screen, self._clock) as progress:
                conductor = Conductor(clients, self._board, payers, progress, self._clock)
                return self._stages(conductor, fleet, _outlook(self._options.victim, settings))
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
        victim = self._options.victim if reports else Victim.NONE
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
