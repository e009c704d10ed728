"""`python -m benchmarks.ungrouped_server`: the payment server, but with a transaction of its own for each report."""

import sys
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from payment_server import __main__, compose

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Alone(Generic[Item, Answer]):
    """Stands where `payment_server.group.Group` does, and groups nobody."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Answer]], largest: int) -> None:
        self._run = run

    def __call__(self, item: Item) -> Answer:
        """The answer to `item`, run alone."""
        return self._run([item])[0]


if __name__ == "__main__":
    setattr(compose, "Group", Alone)  # noqa: B010 - what is compared; a module does not say that it may be
    sys.exit(__main__.main())
