"""What happens to one process in the middle of the run. Owns its kill, its new start, and how long healing took.

The kill is SIGKILL, by the very caller whose report was just answered; the start is the main thread's (see core.child).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cli.demo.board import Board
from cli.demo.victim import Victim
from cli.processes import DidNotServe, Fleet
from core.clock import Clock

VISIBLE_SECONDS = 2.0
"""How long the victim stays away at the least: long enough to be seen, and for work to pile up."""

_LOOK_SECONDS = 0.1


@dataclass(slots=True)
class Damage:
    """What was done. Times in seconds of the clock; None: not yet."""

    victim: Victim
    reports: int
    killed: float | None = None
    serving: float | None = None
    waiting: int = 0
    healed: float | None = None

    @property
    def seconds_away(self) -> float:
        """From the kill until it served again."""
        return (self.serving or 0.0) - (self.killed or 0.0)

    @property
    def seconds_healing(self) -> float:
        """From then until the last payment settled before then had reached its order."""
        return (self.healed or 0.0) - (self.serving or 0.0)


class Accident:
    """Kills the victim when `reports` reports were answered. Nothing ever happens to none.

    outlook: what a person should know who watches it heal.
    """

    def __init__(
        self, fleet: Fleet, board: Board, clock: Clock, victim: Victim, reports: int, outlook: str = ""
    ) -> None:
        self._fleet = fleet
        self._board = board
        self._clock = clock
        self._outlook = outlook
        self._story = self._tell()
        self.damage = Damage(victim, reports)

    @property
    def is_over(self) -> bool:
        """Whether it has happened and is healed, or was never to happen."""
        return self.damage.victim is Victim.NONE or self.damage.healed is not None

    def after_report(self, number: int) -> None:
        """A report was answered, the `number`-th. From any thread."""
        if number == self.damage.reports and self.damage.victim is not Victim.NONE:
            self._fleet[self.damage.victim].kill()
            self.damage.killed = self._clock.monotonic()

    def step(self) -> str | None:
        """Do what is due, and never take long; what happened, if something did. Only in the main thread.

        Raises:
            DidNotServe: the victim did not come back.
        """
        return next(self._story, None)

    def _tell(self) -> Iterator[str | None]:
        """All that happens, in its order; None for as long as nothing does."""
        damage, victim = self.damage, self.damage.victim
        while damage.killed is None:
            yield None
        yield f"{victim} killed (SIGKILL) right after report {damage.reports:,} was answered"
        while self._clock.monotonic() < damage.killed + VISIBLE_SECONDS:
            yield None
        self._fleet.start(victim)
        while not self._fleet[victim].serves(_LOOK_SECONDS):
            if self._fleet[victim].has_ended:
                raise DidNotServe(f"{victim} could not be started again")
            yield None
        damage.serving, overdue = self._clock.monotonic(), self._board.waiting
        damage.waiting = len(overdue)
        yield f"{victim} serves again; {damage.waiting:,} settled payments have not reached their orders{self._outlook}"
        while overdue := overdue & self._board.waiting:
            yield None
        damage.healed = self._clock.monotonic()
        yield f"healed {damage.seconds_healing:.1f} s after that: each of them has reached its order"
