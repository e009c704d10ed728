"""The databases themselves: crashed again and again under load, and set back to a backup, one side at a time."""

import json
import subprocess
from collections.abc import Sequence

from tests.faults.catalogue import point
from tests.faults.run import Run
from tests.faults.world import World
from tests.support.processes import eventually, run_module

_CRASHES, _SECONDS_BETWEEN = 4, 3.0
_SOME = 20
_CLEAN, _DIFFERS = 0, 1


@point("databases", "restart every few seconds under load", backends=("postgresql",))
def _restarts(run: Run) -> None:
    """Everybody calls until the answer is known; the database crashes under them."""
    with run.customer.load(run.code):
        for _ in range(_CRASHES):
            run.pause(_SECONDS_BETWEEN)
            run.world.restart_database()
            run.fired()


@point("databases", "order side restored from a backup")
def _order_side(run: Run) -> None:
    """What came after the backup is lost by the order side; reconcile has it delivered again, and nothing else."""
    with run.own_world() as world:
        kept, lost = run.ready(_SOME), run.ready(_SOME)
        _settle(run, kept)
        world.kill("order-server")
        backup = world.backup("order")
        world.start("order-server")
        _settle(run, lost)
        assert _reconcile(world).returncode == _CLEAN
        world.kill("order-server")
        world.restore("order", backup)
        world.start("order-server")
        assert len(run.books().notifies) == len(kept)
        _hold_named(_reconcile(world, "--repair"), lost, kept)
        run.fired(len(lost))
        run.heal()
        assert _reconcile(world).returncode == _CLEAN


@point("databases", "payment side restored from a backup")
def _payment_side(run: Run) -> None:
    """What came after the backup stands as money without a payment; reported again, it finds its order paid."""
    with run.own_world() as world:
        kept, lost = run.ready(_SOME), run.ready(_SOME)
        _settle(run, kept)
        for name in ("payment-server", "scheduler"):
            world.kill(name)
        backup = world.backup("payment")
        world.start("payment-server", "scheduler")
        _settle(run, lost)
        assert _reconcile(world).returncode == _CLEAN
        for name in ("payment-server", "scheduler"):
            world.kill(name)
        world.restore("payment", backup)
        world.start("payment-server", "scheduler")
        assert len(run.books().successes) == len(kept)
        _hold_named(_reconcile(world, "--repair"), lost, kept)
        run.fired(len(lost))
        run.done(run.customer.report_together(lost))
        run.heal()
        assert _reconcile(world).returncode == _CLEAN


def _settle(run: Run, codes: Sequence[str]) -> None:
    run.done(run.customer.report_together(codes))
    eventually(lambda: len(run.books().schedules) and run.books().is_settled)


def _reconcile(world: World, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = ("reconcile", "--json", "--grace", "1ms", "--limit", "1000", *options)
    return run_module("cli", *arguments, settings=world.system.overrides)


def _hold_named(told: "subprocess.CompletedProcess[str]", lost: Sequence[str], kept: Sequence[str]) -> None:
    """Every difference, and none that is none."""
    assert told.returncode == _DIFFERS, told.stderr
    text = json.dumps(json.loads(told.stdout))
    assert all(code in text for code in lost), text
    assert not any(code in text for code in kept), text
