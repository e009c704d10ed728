"""The databases themselves: crashed again and again under load, and set back to a backup, one side at a time."""

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
        backup = _backup(world, "order")
        _settle(run, lost)
        _restore(world, order=backup)
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
        backup = _backup(world, "payment")
        _settle(run, lost)
        _restore(world, payment=backup)
        assert len(run.books().successes) == len(kept)
        _hold_named(_reconcile(world, "--repair"), lost, kept)
        run.fired(len(lost))
        run.done(run.customer.report_together(lost))
        run.heal()
        assert _reconcile(world).returncode == _CLEAN


@point("databases", "both sides restored, from backups of different times")
def _both_sides(run: Run) -> None:
    """The payment side goes back further. What neither knows any more, only the platform can tell: it reports again."""
    with run.own_world() as world:
        kept, known, unknown = run.ready(_SOME), run.ready(_SOME), run.ready(_SOME)
        _settle(run, kept)
        older = _backup(world, "payment")
        _settle(run, known)
        newer = _backup(world, "order")
        _settle(run, unknown)
        _restore(world, payment=older, order=newer)
        _hold_named(_reconcile(world, "--repair"), known, [*kept, *unknown])
        run.fired(len(known) + len(unknown))
        run.done(run.customer.report_together([*known, *unknown]))
        run.heal()
        assert _reconcile(world).returncode == _CLEAN


_SIDES = {"payment": ("payment-server", "scheduler"), "order": ("order-server",)}


def _backup(world: World, side: str) -> str:
    """A backup of one side, while its processes are not there."""
    for name in _SIDES[side]:
        world.kill(name)
    backup = world.backup(side)
    world.start(*_SIDES[side])
    return backup


def _restore(world: World, **backups: str) -> None:
    """Set these sides back, when all that was reported has been delivered and both sides agree."""
    assert _reconcile(world).returncode == _CLEAN
    for side, backup in backups.items():
        for name in _SIDES[side]:
            world.kill(name)
        world.restore(side, backup)
    for side in backups:
        world.start(*_SIDES[side])


def _settle(run: Run, codes: Sequence[str]) -> None:
    run.done(run.customer.report_together(codes))
    eventually(lambda: len(run.books().schedules) and run.books().is_settled)


def _reconcile(world: World, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = ("reconcile", "--json", "--grace", "1ms", "--limit", "1000", *options)
    return run_module("cli", *arguments, settings=world.system.overrides)


def _hold_named(told: "subprocess.CompletedProcess[str]", lost: Sequence[str], kept: Sequence[str]) -> None:
    """Every difference, and none that is none."""
    assert told.returncode == _DIFFERS, told.stderr
    assert all(code in told.stdout for code in lost), told.stdout
    assert not any(code in told.stdout for code in kept), told.stdout
