"""The run itself: orders and payments, then their results with the accident in the middle, then waiting for the rest.

Owns the main thread while it lasts. Waits on facts: a caller that is done, a server that serves, a payment notified.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from cli.clients import Clients
from cli.demo.accident import Accident
from cli.demo.board import Board, Counts
from cli.demo.orders import GOODS, DemoOrder
from cli.demo.payers import Payers
from cli.demo.progress import Progress
from cli.demo.watch import Watch
from core.clock import Clock
from paylatch.order.v1.order_service_pb2 import SetInventoryRequest

DELIVERY_BOUND = 300.0
"""Seconds after the last report until the last payment must have reached its order; more than a few retries take."""

_LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Times:
    """When each stage ended, in seconds of the clock."""

    began: float
    created: float
    reported: float
    delivered: float


class Conductor:
    """Conducts one run. Only in the main thread."""

    def __init__(self, clients: Clients, board: Board, payers: Payers, progress: Progress, clock: Clock) -> None:
        self._clients = clients
        self._board = board
        self._payers = payers
        self._progress = progress
        self._clock = clock
        self._watch = Watch(clients.payment, board)
        self._pace = threading.Event()

    def create(self, orders: Sequence[DemoOrder]) -> None:
        """Create every order and its payment."""
        self._progress.begin("Orders created", len(orders))
        self._finish(self._payers.create(orders), lambda counts: counts.tried)

    def pay(self, accident: Accident) -> None:
        """Report every payment that was created as paid."""
        payable = self._board.payable
        self._progress.begin("Payments settled", len(payable))
        self._finish(self._payers.report(payable, accident.after_report), lambda counts: counts.settled, accident)

    def await_delivery(self, accident: Accident) -> None:
        """Wait until every settled payment is notified, and the accident healed; not for longer than the bound."""
        self._progress.begin("Payments delivered", self._board.counts.settled)
        gives_up = self._clock.monotonic() + DELIVERY_BOUND
        while self._board.waiting or not accident.is_over:
            if self._clock.monotonic() > gives_up:
                self._progress.say(f"gave up waiting after {DELIVERY_BOUND:g} s")
                break
            self._step(lambda counts: counts.settled - counts.waiting, accident)
            self._pace.wait(_LOOK_EVERY_SECONDS)
        self._show(lambda counts: counts.settled - counts.waiting)

    def stock(self, units: int) -> None:
        """Have this many units of goods on hand."""
        request = SetInventoryRequest(
            sku=GOODS, on_hand=units, operator="paylatch demo", reason="the goods of the demonstration's orders"
        )
        self._clients.order.server.call(self._clients.order.orders.SetInventory, request)

    def _finish(
        self, calls: Iterable[Future[None]], done: Callable[[Counts], int], accident: Accident | None = None
    ) -> None:
        """Wait for the callers; an error of one of them ends the run."""
        under_way = set(calls)
        while under_way:
            self._step(done, accident)
            ended, under_way = wait(under_way, _LOOK_EVERY_SECONDS)
            for call in ended:
                call.result()
        self._show(done)

    def _step(self, done: Callable[[Counts], int], accident: Accident | None) -> None:
        happened = accident.step() if accident else None
        if happened:
            self._progress.say(happened)
        self._watch.look()
        self._show(done)

    def _show(self, done: Callable[[Counts], int]) -> None:
        counts = self._board.counts
        self._progress.show(done(counts), counts)
