"""Everything at once: customers who insist, and for a while a nemesis that does whatever its seed says."""

import random
from collections.abc import Callable, Mapping

import grpc

from tests.faults.catalogue import point
from tests.faults.proxy import Way
from tests.faults.relay import Call, hand_on
from tests.faults.run import Run
from tests.support.processes import eventually

_SEEDS = (1, 2, 3)
_ACTS = 12
_PROCESSES = ("payment-server", "scheduler", "order-server")


@point("everything", "seeded random mix, then heal")
def _random_mix(run: Run) -> None:
    for seed in _SEEDS:
        run.notes = [f"seed {seed}:"]
        dice = random.Random(seed)
        acts = _acts(run, dice)
        with run.customer.load(run.code):
            for _ in range(_ACTS):
                acts[dice.choice(sorted(acts))]()
                run.fired()
                run.pause(dice.uniform(0.0, 0.5))
                run.world.heal()
        eventually(run.is_settled)


def _acts(run: Run, dice: random.Random) -> Mapping[str, Callable[[], object]]:
    """What the nemesis can do, by name."""
    world = run.world

    def kill() -> None:
        world.restart(dice.choice(_PROCESSES))

    def stop() -> None:
        with world.stopped(dice.choice(_PROCESSES)):
            run.pause(dice.uniform(0.1, 2.5))

    def network() -> None:
        ways = list(Way)
        world.proxy.set(requests=dice.choice(ways), answers=dice.choice(ways), delay=dice.uniform(0.1, 1.5))
        run.pause(dice.uniform(0.1, 1.5))

    def calls() -> None:
        world.relay.behave(_refuse if dice.random() < 0.5 else _call_twice)
        run.pause(dice.uniform(0.1, 1.5))

    acts: dict[str, Callable[[], object]] = {
        "kill": kill,
        "stop": stop,
        "network": network,
        "reset": world.proxy.reset,
        "calls": calls,
    }
    if world.has_server:
        acts["database connection reset"] = lambda: world.link(dice.choice(_PROCESSES)).reset()
        acts["database crash"] = world.restart_database
    return acts


def _refuse(call: Call) -> object:
    call.context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later, please")
    raise AssertionError


def _call_twice(call: Call) -> object:
    hand_on(call)
    return hand_on(call)
