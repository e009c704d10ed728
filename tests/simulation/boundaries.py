"""Every boundary of a scenario in turn, with everything that can go wrong there.

A scenario is told once well, to count its boundaries; then once for each of them and each fault: every statement, every
commit in both unknown directions, every call and answer, on both sides, with the process's death before and after.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.customers import Customers, Operator
from tests.simulation.faults import CALLED_WITH, CRASHES, POSSIBLE, Boundary, Fault, NoFaults, OneFault, Passed
from tests.simulation.outcome import check_at_the_end, is_settled
from tests.simulation.scenarios import SCENARIOS, STOCK
from tests.simulation.watch import require
from tests.simulation.world import LEASE, POLL, Shape, World

EVERY_TRY = 3
"""So many in a row are as many as a transaction is run: the caller is told."""

_REPEATED = frozenset(
    {
        Fault.CONNECTION_REFUSED,
        Fault.STATEMENT_FAILS,
        Fault.STATEMENT_LOSES_RACE,
        Fault.COMMIT_FAILS,
        Fault.COMMIT_FAILS_DURABLE,
    }
)
_SHAPE = Shape(payment_servers=2, max_attempts=3)
_STEP = 0.25


@dataclass(frozen=True)
class Case:
    """One fault at one boundary of a scenario, so many times in a row; or none."""

    scenario: str
    number: int = 0
    fault: Fault | None = None
    times: int = 1

    def __str__(self) -> str:
        return (
            f"{self.scenario}, boundary {self.number}, {self.fault.value if self.fault else 'no fault'} ×{self.times}"
        )


@dataclass(frozen=True)
class Told:
    """How a telling went. seconds: until everything was settled."""

    passed: Sequence[Passed]
    seconds: float


def cases_of(scenario: str, told: Told) -> Iterator[Case]:
    """Every fault at every boundary of a scenario that was told well."""
    for number, passed in _worth_a_fault(told.passed):
        for fault in POSSIBLE[passed.boundary]:
            if _can_happen(fault, passed):
                yield Case(scenario, number, fault)
                if fault in _REPEATED:
                    yield Case(scenario, number, fault, EVERY_TRY)


def tell(case: Case, directory: Path, longest: float = 120.0) -> Told:
    """Tell a scenario with its fault.

    Raises:
        Violation: an invariant does not hold, or not everything is settled after `longest` seconds.
    """
    with World(case.scenario, NoFaults(), _SHAPE, directory) as world:
        world.start()
        customers, operator = Customers(world), Operator(world)
        for sku, units in STOCK.items():
            operator.begin(lambda sku=sku, units=units: operator.stock(sku, units))  # type: ignore[misc]
        while operator.busy:
            world.turns.run(world.turns.now + _STEP)
        plan = world.given.plan = OneFault(case.number, case.fault, case.times)
        began = world.turns.now
        SCENARIOS[case.scenario](world, customers, operator)
        while customers.busy or not is_settled(world.watch):
            world.turns.run(world.turns.now + _STEP)
            require(world.turns.now - began <= longest, "healing", case, "after", longest)
        seconds = world.turns.now - began
        world.turns.run(world.turns.now + LEASE.total_seconds() + POLL)
        require(case.fault is None or plan.fired, "not trivial", case, "never fired")
        check_at_the_end(world.watch, customers.history, world.alarms)
        return Told(plan.passed, seconds)


def longest_with_a_fault(told: Told) -> float:
    """What a scenario may take with one fault in it: a lease and the longest wait more, and people's own patience."""
    return told.seconds + 2 * (LEASE.total_seconds() + POLL) + 20


def _can_happen(fault: Fault, passed: Passed) -> bool:
    is_of_a_process = "#" in passed.who
    if fault in CRASHES and not is_of_a_process:
        return False
    return passed.what in CALLED_WITH.get(fault, {passed.what})


def _worth_a_fault(passed: Sequence[Passed]) -> Iterable[tuple[int, Passed]]:
    """All boundaries but those of a scheduler's polls that find nothing, after its first one."""
    polls: dict[str, list[int]] = {}
    idle: set[int] = set()
    seen: set[str] = set()
    for number, (boundary, who, what) in enumerate(passed):
        if not who.startswith("scheduler"):
            continue
        if boundary is Boundary.CONNECT:
            polls[who] = []
        polls.setdefault(who, []).append(number)
        if boundary is Boundary.COMMIT and what == "reading":
            idle |= set(polls[who]) if who in seen else set()
            seen.add(who)
    return [(number, each) for number, each in enumerate(passed) if number not in idle]
