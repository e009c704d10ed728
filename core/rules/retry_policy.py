"""When a notification is tried again, and when it is given up (SPEC 7). Pure: the clock and the dice are handed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A timetable of waits between attempts that refuses to contradict itself.

    waits: the wait after the 1st, 2nd, … attempt, before jitter. One fewer than `max_attempts`.
    max_attempts: attempts in all, the first included.
    window: from insertion (or requeue) to `give_up_time`.
    jitter: each wait is stretched or shortened by up to this share, 0 to 0.5.
    """

    waits: Sequence[timedelta]
    max_attempts: int
    window: timedelta
    jitter: float

    def __post_init__(self) -> None:
        problem = self.contradiction()
        if problem:
            raise ValueError(problem)

    def contradiction(self) -> str | None:
        """Why these settings cannot hold together, or None."""
        if self.max_attempts < 1:
            return f"NOTIFY_MAX_ATTEMPTS is {self.max_attempts}, must be at least 1"
        if len(self.waits) != self.max_attempts - 1:
            return (
                f"NOTIFY_RETRY_WAITS has {len(self.waits)} waits, but NOTIFY_MAX_ATTEMPTS is {self.max_attempts}: "
                f"there must be {self.max_attempts - 1}, one between each two attempts"
            )
        if any(wait <= timedelta(0) for wait in self.waits):
            return "NOTIFY_RETRY_WAITS has a wait that is not longer than 0s"
        if not 0 <= self.jitter <= 0.5:
            return f"NOTIFY_RETRY_JITTER is {self.jitter}, must be 0 to 0.5"
        if self.longest_total >= self.window:
            return (
                f"NOTIFY_RETRY_WAITS add up to {self.longest_total} at the worst jitter, "
                f"which does not fit NOTIFY_WINDOW of {self.window}"
            )
        return None

    @property
    def longest_total(self) -> timedelta:
        """All waits at the worst jitter."""
        return sum(self.waits, timedelta(0)) * (1 + self.jitter)

    @property
    def longest_wait(self) -> timedelta:
        """The longest single wait at the worst jitter."""
        return max(self.waits, default=timedelta(0)) * (1 + self.jitter)

    def base_wait(self, attempts_made: int) -> timedelta | None:
        """The wait after `attempts_made` attempts before jitter, or None when the budget is used up."""
        if attempts_made >= self.max_attempts:
            return None
        return self.waits[max(attempts_made, 1) - 1]

    def next_time(
        self,
        attempts_made: int,
        now: datetime,
        give_up_time: datetime,
        dice: Callable[[], float],
        at_least: timedelta = timedelta(0),
    ) -> datetime | None:
        """When to try again after `attempts_made` attempts, or None to give up: the budget or the window is used up.

        dice: gives a number from 0 up to 1. at_least: what the receiver asked for (RetryInfo); it replaces a
        shorter wait, but never leads beyond `give_up_time`.
        """
        wait = self.base_wait(attempts_made)
        if wait is None or now >= give_up_time:
            return None
        jittered = wait * (1 + self.jitter * (2 * dice() - 1))
        if at_least > jittered:
            return now + min(at_least, give_up_time - now)
        return now + jittered if now + jittered < give_up_time else None
