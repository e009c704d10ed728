"""How many calls run at once, and whose. Owns the places and the waiting room; knows no method by name.

An eighth of the places, and at least one, is kept from any one caller and from any one method, so that a flood leaves
room for others. Who has the fewest calls running goes first. When the waiting room is full, the caller that waits most
is refused, with its newest call: a flood crowds out itself.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from core.rpc.call import Call
from core.rpc.handlers import Handler, HandlerInterceptor, behavior_of, surrounded
from core.rules.errors import Overloaded


class Admission:
    """places: calls that run at once. waiting: calls that may wait for one. Safe to use from any thread."""

    def __init__(self, places: int, waiting: int) -> None:
        self._places = places
        self._room = waiting
        self._share = max(1, places - max(1, places // 8))
        self._lock = threading.Lock()
        self._running = 0
        self._of_caller: Counter[str] = Counter()
        self._of_method: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @contextmanager
    def place(self, caller: str, method: str, bound_seconds: float) -> Iterator[None]:
        """A place while the block runs, after waiting for it for at most `bound_seconds`.

        Raises:
            Overloaded: there is none.
        """
        self._enter(caller, method, bound_seconds)
        try:
            yield
        finally:
            self._leave(caller, method)

    def _enter(self, caller: str, method: str, bound_seconds: float) -> None:
        with self._lock:
            if self._fits(caller, method):
                self._take(caller, method)
                return
            waiter = _Waiter(caller, method)
            self._make_room_for(waiter)
            self._waiting.append(waiter)
        waiter.decided.wait(bound_seconds)
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        if not waiter.has_place:
            raise _overloaded()

    def _leave(self, caller: str, method: str) -> None:
        with self._lock:
            self._running -= 1
            for count, key in ((self._of_caller, caller), (self._of_method, method)):
                count[key] -= 1
                if not count[key]:
                    del count[key]
            self._let_in()

    def _let_in(self) -> None:
        """Give what is free to those who fit, the one whose caller has the fewest running first."""
        while fitting := [waiter for waiter in self._waiting if self._fits(waiter.caller, waiter.method)]:
            waiter = min(fitting, key=lambda one: self._of_caller[one.caller])
            self._waiting.remove(waiter)
            self._take(waiter.caller, waiter.method)
            waiter.decide(has_place=True)

    def _make_room_for(self, waiter: "_Waiter") -> None:
        if len(self._waiting) < self._room:
            return
        crowd = Counter(one.caller for one in self._waiting)
        crowd[waiter.caller] += 1
        (crowding, _), *_ = crowd.most_common(1)
        if crowding == waiter.caller:
            raise _overloaded()
        newest = next(one for one in reversed(self._waiting) if one.caller == crowding)
        self._waiting.remove(newest)
        newest.decide(has_place=False)

    def _fits(self, caller: str, method: str) -> bool:
        is_free = self._running < self._places
        return is_free and self._of_caller[caller] < self._share and self._of_method[method] < self._share

    def _take(self, caller: str, method: str) -> None:
        self._running += 1
        self._of_caller[caller] += 1
        self._of_method[method] += 1


class _Waiter:
    """One call that waits."""

    def __init__(self, caller: str, method: str) -> None:
        self.caller = caller
        self.method = method
        self.decided = threading.Event()
        self.has_place = False

    def decide(self, *, has_place: bool) -> None:
        """Let it go on, or away."""
        self.has_place = has_place
        self.decided.set()


def _overloaded() -> Overloaded:
    return Overloaded("too many calls at once; nothing was done, call again later", reason="OVERLOADED")


class AdmissionInterceptor(HandlerInterceptor):
    """Lets a call run once there is a place for it. Methods with threads of their own are bounded by those."""

    def __init__(self, admission: Admission) -> None:
        super().__init__()
        self._admission = admission

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, with a place to run in."""
        if hasattr(behavior_of(handler), "experimental_thread_pool"):
            return handler
        return surrounded(handler, partial(self._place, method))

    @contextmanager
    def _place(self, method: str, call: Call) -> Iterator[Call]:
        with self._admission.place(call.caller, method, call.time_remaining()):
            if not call.is_active():  # it waited longer than its client did
                raise _overloaded()
            yield call
