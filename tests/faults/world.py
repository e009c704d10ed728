"""One running system under fault, on one kind of database: its processes, and everything that stands between them.

    payment server, scheduler → proxy → relay → order server
    each process              → a proxy of its own → its database, where that is a server

Owns what it starts, and counts every signal it sends.
"""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from cli.clients import PaymentSide
from cli.ports import free_addresses
from core.clock import SystemClock
from core.outbox.tables import NotifyTarget
from core.store.transaction import Transaction
from tests.faults.backends import Databases, PostgreSqlServers, SqliteFiles
from tests.faults.customer import Answer, Customer
from tests.faults.proxy import Proxy, Way
from tests.faults.relay import Relay
from tests.faults.trapped import CLOCK, POISON
from tests.faults.traps import Point, Trap, Traps
from tests.support.databases import opened
from tests.support.processes import BOUND, IMPATIENT, System, eventually

SETTINGS = {**IMPATIENT, "notify_batch_size": "500"}

NO_ROOM = "payment-server-2"
"""The payment server without room for more than one first attempt: what is reported together is left to schedulers."""

_COUNTED_CHUNKS = ("held", "lost", "corrupted", "delayed")

_MODULES = {
    "payment-server": "tests.faults.trapped.payment_server",
    "scheduler": "tests.faults.trapped.scheduler",
    "order-server": "tests.faults.trapped.order_server",
}


class World:
    """See the module. A context: at its end everything is killed. settings: on top of SETTINGS, of every process."""

    def __init__(
        self,
        databases: Databases,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        payment_servers: int = 1,
        schedulers: int = 1,
        order_servers: int = 1,
        targets: Sequence[str] = (),
        payment_database: str = "",
    ) -> None:
        self._open = ExitStack()
        directory.mkdir()
        self.directory = directory
        self.databases = databases
        self.payment_url = payment_database or databases.create(directory, "payment")
        self.order_url = databases.create(directory, "order")
        front, other = free_addresses(2)
        self.target, self.other_target = f"grpc://{front}", f"grpc://{other}"
        self.system = System(
            directory,
            {**SETTINGS, "notify_targets": ",".join([self.target, self.other_target, *targets]), **(settings or {})},
            payment_url=self.payment_url,
            order_url=self.order_url,
            payment_servers=payment_servers,
            schedulers=schedulers,
            order_servers=order_servers,
        )
        self.settings = self.system.settings
        self._open.callback(self.system.kill)
        self.relay = Relay(self.settings.order_address)
        self._open.callback(self.relay.close)
        self.proxy = Proxy(self.relay.address, front)
        self._open.callback(self.proxy.close)
        if order_servers > 1:
            self._open.callback(Proxy(self.system.addresses["order-server-2"], other).close)
        self._links: dict[str, Proxy] = {}
        self._started: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.payment_database = self._open.enter_context(opened(self.payment_url, SystemClock()))
        self.order_database = self._open.enter_context(opened(self.order_url, SystemClock()))
        self.customer = self._open.enter_context(Customer(self.settings, self.target))
        if payment_servers > 1:
            self.without_room = PaymentSide.at(self.system.addresses[NO_ROOM])
            self._open.callback(self.without_room.server.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.counts["stale failures refused"] += sum(
            len(self.events(name, "notify.stale")) for name in self.system.addresses
        )
        for what in _COUNTED_CHUNKS:
            self.counts[f"chunks {what}"] += self.proxy.counts[what]
        self._open.close()

    @property
    def has_server(self) -> bool:
        """Whether the databases are a server's, to which there are connections that can break."""
        return self.databases.name != "sqlite"

    @property
    def promised_seconds(self) -> float:
        """Within what everything heals: lease + longest due wait + one poll (FAULTS, invariant 7)."""
        longest = max(self.settings.notify_retry_waits) * (1 + self.settings.notify_retry_jitter)
        return (self.settings.notify_lease + longest + self.settings.scheduler_poll_interval).total_seconds()

    def start(self, *names: str, **settings: str) -> None:
        """Start these processes, or all, and wait until they serve. settings: theirs alone."""
        for name in names or tuple(self.system.addresses):
            self._started.add(name)
            self.system.start(
                name,
                module=_MODULES[_kind(name)],
                faults_directory=str(self._own(name)),
                **{**self._database_urls(name), **_own_settings(name), **settings},
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.counts["SIGKILL"] += 1
        self.system[name].kill()

    def restart(self, name: str, **settings: str) -> None:
        """SIGKILL, and start again."""
        self.kill(name)
        self.start(name, **settings)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP, and SIGCONT in the end."""
        self.stop(name)
        try:
            yield
        finally:
            self.go_on(name)

    def stop(self, name: str) -> None:
        """SIGSTOP: it is there, and does nothing."""
        self.counts["SIGSTOP"] += 1
        self.system[name].signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self.system[name].signal(signal.SIGCONT)

    def trap(self, name: str, transaction: str, moment: str) -> Trap:
        """Arm a trap in a process."""
        return Traps(self._traps(name)).arm(Point(transaction, moment))

    def disarm(self, name: str) -> None:
        """Take a trap away."""
        Traps(self._traps(name)).disarm()

    def shift_clock(self, name: str, seconds: float, *, database: bool = False) -> None:
        """Shift a process's view of the machine's clock, and of the database's too if told so."""
        shift = {"machine": seconds, "database": seconds if database else 0}
        draft = self._traps(name) / "clock.draft"
        draft.write_text(str(shift).replace("'", '"'))
        draft.rename(self._traps(name) / CLOCK)

    def poison(self, code: str | None) -> None:
        """Let the order server die of this payment's notification; None: of none."""
        file = self._traps("order-server") / POISON
        file.unlink(missing_ok=True)
        if code is not None:
            file.write_text(code)

    def link(self, name: str) -> Proxy:
        """The proxy between a process and its database, where that is a server."""
        return self._links[name]

    def commit_raises(
        self, name: str, transaction: str, act: Callable[[], Answer], *, durable: Callable[[], Any] | None
    ) -> Answer:
        """The COMMIT that `act` leads to raises, for the process: before anything is durable, or after everything is.

        durable: tells when it is durable; None: it shall not be. On a server the connection breaks, before the COMMIT
        or with its answer on the way. A file has no connection: the process's driver raises.
        """
        if not self.has_server:
            trap = self.trap(name, transaction, "after commit" if durable else "before commit")
            pending = self.customer.later(act)
            trap.wait()
            trap.raise_there()
            return pending.result()
        trap = self.trap(name, transaction, "before commit")
        pending = self.customer.later(act)
        trap.wait()
        if durable:
            self.link(name).set(answers=Way.LOSE)
            trap.go_on()
            eventually(durable)
        self.link(name).start_over()
        if not durable:
            trap.go_on()
        return pending.result()

    def backend_in_transaction(self) -> int:
        """The process of the database's server that runs the payment side's transaction which stands still."""

        def open_ones() -> list[int]:
            with psycopg.connect(self.payment_url) as connection:
                rows = connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                    "AND state = 'idle in transaction'"
                ).fetchall()
            return [process for (process,) in rows]

        # Others are seen between two of their statements: they go on, this one does not.
        (process,) = eventually(lambda: found if len(found := open_ones()) == 1 else [])
        return process

    def restart_database(self) -> None:
        """End the database's server as a power cut would, and start it."""
        assert isinstance(self.databases, PostgreSqlServers)
        self.counts["database crash"] += 1
        self.databases.server.crash()
        self.databases.server.start()

    @contextmanager
    def holding(self, model: Any, condition: Any) -> Iterator[Callable[[], None]]:
        """Somebody else holds these rows of the payment database until the call of what this gives, or the end."""
        holding, let_go = threading.Event(), threading.Event()

        def hold(tx: Transaction) -> None:
            tx.rows(model.select().where(condition), lock=True)
            holding.set()
            let_go.wait()

        thread = threading.Thread(target=self.payment_database.transact, args=(hold,))
        thread.start()
        try:
            assert holding.wait(BOUND)
            yield let_go.set
        finally:
            let_go.set()
            thread.join()

    @contextmanager
    def payment_database_away(self) -> Iterator[None]:
        """The payment side's processes cannot reach their database, or, where it is a file, cannot write to it."""
        links = [link for name, link in self._links.items() if _kind(name) != "order-server"]
        with ExitStack() as ends:
            if not self.has_server:
                ends.enter_context(self.holding(NotifyTarget, NotifyTarget.notify_url == self.target))
            for link in links:
                link.refuse()
                ends.callback(link.heal)
            yield

    def heal(self) -> None:
        """Whatever stands between the processes does nothing any more."""
        self.relay.behave()
        self.proxy.heal()
        for name, link in self._links.items():
            link.heal()
            self.disarm(name)

    def backup(self, which: str) -> str:
        """A copy of the payment or the order database as it is now; its processes are stopped."""
        url = self.payment_url if which == "payment" else self.order_url
        return self._own_databases.backup(url)

    def restore(self, which: str, copy: str) -> None:
        """Set a database back to a copy; its processes are stopped."""
        self._own_databases.restore(copy, self.payment_url if which == "payment" else self.order_url)

    def largest_process(self) -> int:
        """The most memory that any of the processes that run has ever had, in bytes."""
        running = [name for name in self._started if not self.system[name].has_ended]
        return max(_peak_memory(self.system[name].pid) for name in running)

    def events(self, name: str, *events: str) -> list[dict[str, Any]]:
        """The log events of these names that a process wrote so far."""
        return self.system.lines.events(name, *events)

    @property
    def _own_databases(self) -> SqliteFiles | PostgreSqlServers:
        assert isinstance(self.databases, SqliteFiles | PostgreSqlServers)
        return self.databases

    def create_on(self, disk: Path) -> str:
        """The URL of a new payment database that is kept on this disk."""
        return self._own_databases.create_on(disk)

    def save_logs(self, directory: Path) -> None:
        """Keep what every process wrote."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in self.system.addresses:
            (directory / f"{name}.log").write_text("\n".join(self.system.lines.of(name)))

    def _own(self, name: str) -> Path:
        return self.directory / "traps" / name

    def _traps(self, name: str) -> Path:
        directory = self._own(name) / _kind(name)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _database_urls(self, name: str) -> dict[str, str]:
        if not self.has_server:
            return {}
        which, url = (
            ("order_database_url", self.order_url)
            if _kind(name) == "order-server"
            else ("payment_database_url", self.payment_url)
        )
        parts = urlsplit(url)
        if name not in self._links:
            self._links[name] = Proxy(f"{parts.hostname}:{parts.port or 3306}")
            self._open.callback(self._links[name].close)
        host = f"{parts.username}@" if parts.username else ""
        return {which: parts._replace(netloc=host + self._links[name].address).geturl()}


def _own_settings(name: str) -> dict[str, str]:
    return {"notify_queue_size": "1"} if name == NO_ROOM else {}


def _kind(name: str) -> str:
    return next(kind for kind in _MODULES if name.startswith(kind))


def _peak_memory(process: int) -> int:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024
