"""What the pools of database servers have in common. Owns how a connection comes into a pool; knows no engine."""

import threading
from contextlib import nullcontext
from typing import Any

from peewee import Database


class ConnectsAside(Database):
    """Makes a connection while no lock of the pool is held. Stands below the pool and above the engine.

    While a server is away, making a connection takes seconds. peewee lets one thread at a time do that and holds up all
    others, those that only give a connection back among them: a call would wait for every one before it.
    """

    # The pool's, which stands above.
    _pool_lock: threading.RLock
    _pool_available: threading.Condition
    _in_use: dict[int, object]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # What peewee guards with it is each thread's own here.
        self._lock = nullcontext()

    def _connect(self) -> Any:
        """A new connection. The pool calls it under its lock, after it has seen that there is room."""
        place = object()
        self._in_use[id(place)] = place
        self._pool_lock.release()
        try:
            return super()._connect()  # type: ignore[misc]  # its stubs leave it out
        finally:
            self._pool_lock.acquire()
            del self._in_use[id(place)]
            self._pool_available.notify()
