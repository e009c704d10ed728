"""What the demonstration knows so far, counted by many threads. Owns the counts, and who still waits."""

import threading
from collections.abc import Iterable, Set
from dataclasses import dataclass
from itertools import islice

from cli.demo.orders import DemoOrder


@dataclass(frozen=True, slots=True)
class Refused:
    """An order the servers would not take, and their own words for why."""

    order: DemoOrder
    error: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How far it has come, in orders. paid: the order side answered that it is. waiting: settled, no answer known."""

    tried: int = 0
    settled: int = 0
    paid: int = 0
    waiting: int = 0


class Board:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payable: list[DemoOrder] = []
        self._refused: list[Refused] = []
        self._settled = 0
        self._paid = 0
        # A dictionary, for its order: those that waited longest for a look stand first.
        self._waiting: dict[str, None] = {}

    @property
    def payable(self) -> list[DemoOrder]:
        """Orders that exist, with their payments."""
        with self._lock:
            return list(self._payable)

    @property
    def refused(self) -> list[Refused]:
        """Orders that were refused, by their number."""
        with self._lock:
            return sorted(self._refused, key=lambda refused: refused.order.order_no)

    @property
    def waiting(self) -> Set[str]:
        """Orders that are settled and not known to be notified."""
        with self._lock:
            return set(self._waiting)

    @property
    def counts(self) -> Counts:
        """How far it has come."""
        with self._lock:
            tried = len(self._payable) + len(self._refused)
            return Counts(tried, self._settled, self._paid, len(self._waiting))

    def create(self, order: DemoOrder) -> None:
        """The order and its payment exist."""
        with self._lock:
            self._payable.append(order)

    def refuse(self, order: DemoOrder, error: str) -> None:
        """The servers would not take it."""
        with self._lock:
            self._refused.append(Refused(order, error))

    def settle(self, order: DemoOrder) -> int:
        """The report of its payment was answered; the how many-th that was."""
        with self._lock:
            self._settled += 1
            self._waiting[order.order_no] = None
            return self._settled

    def longest_waiting(self, count: int) -> list[str]:
        """Up to `count` of the waiting, those first that were not looked at for longest."""
        with self._lock:
            return list(islice(self._waiting, count))

    def look(self, looked_at: Iterable[str], notified: Set[str], paid: Set[str]) -> None:
        """Of these that were looked at, the notified wait no longer; the others go to the end of the line."""
        with self._lock:
            self._paid += len(paid)
            for order_no in looked_at:
                del self._waiting[order_no]
                if order_no not in notified:
                    self._waiting[order_no] = None
