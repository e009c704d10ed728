import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from cli.clients import CannotRun
from cli.top.command import print_once, watch
from cli.top.sample import Count, Open, Outbox, Sample
from cli.top.view import frame
from core.rpc.translate import to_timestamp
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = "grpc://orders:50052"
NOTHING_OPEN = Open(Count(0), Count(0))


@pytest.fixture(autouse=True)
def _no_terminal_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def _target(backlog: int = 0, **more: object) -> NotifyTarget:
    about = {"notify_url": TARGET, "is_allowed": True, "breaker_state": enums.BREAKER_STATE_CLOSED, **more}
    return NotifyTarget(backlog=backlog, **about)  # type: ignore[arg-type]  # its own fields


def _sample(*targets: NotifyTarget, seconds: float = 0, conflicts: int = 0, still_open: Open = NOTHING_OPEN) -> Sample:
    return Sample(Outbox(NOON + timedelta(seconds=seconds), targets, Count(conflicts)), still_open)


def _drawn(now: Sample, before: Sample | None = None) -> str:
    screen = Console(file=io.StringIO(), width=200, highlight=False)
    screen.print(frame(now, before))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def _row(now: Sample, before: Sample | None = None) -> list[str]:
    (line,) = [line for line in _drawn(now, before).splitlines() if TARGET in line]
    return line.split()


def test_a_target_has_its_backlog_what_is_due_its_oldest_and_what_was_given_up() -> None:
    oldest = to_timestamp(NOON - timedelta(minutes=90))
    row = _row(_sample(_target(12_345, due_count=300, oldest_create_time=oldest, given_up_count=2)))

    assert row == [TARGET, "12,345", "300", "1:30:00", "2", "closed"]


@pytest.mark.parametrize(
    ("before", "now", "seconds", "told"),
    [
        (1_000, 600, 2, ["600", "-200/s", "0", "0:00:03"]),
        (600, 1_000, 2, ["1,000", "+200/s", "0"]),
        (10, 9, 4, ["9", "-0.2/s", "0", "0:00:36"]),
        (5, 5, 2, ["5", "+0/s", "0"]),
        (1_000_000, 999_999, 2, ["999,999", "-0.5/s", "0", "days"]),
    ],
)
def test_two_samples_tell_how_fast_a_backlog_changes_and_when_it_is_empty(
    before: int, now: int, seconds: int, told: list[str]
) -> None:
    row = _row(_sample(_target(now), seconds=seconds), _sample(_target(before)))

    assert row == [TARGET, *told, "0", "closed"]


def test_samples_of_one_instant_and_targets_that_are_new_have_no_rate() -> None:
    assert "/s" not in _drawn(_sample(_target(5)), _sample(_target(9)))
    assert "/s" not in _drawn(_sample(_target(5), seconds=2), _sample())


def test_breaker_pause_and_allow_list_are_told() -> None:
    assert "half open" in _drawn(_sample(_target(breaker_state=enums.BREAKER_STATE_HALF_OPEN)))
    assert "paused by ann" in _drawn(_sample(_target(paused_time=to_timestamp(NOON), paused_by="ann")))
    assert "not on the allow-list" in _drawn(_sample(_target(is_allowed=False)))


def test_what_needs_a_person_stands_beside_the_call_to_make() -> None:
    still_open = Open(Count(1_000, is_more=True), Count(3))
    told = _drawn(_sample(_target(given_up_count=2), conflicts=1, still_open=still_open))
    lines = [" ".join(line.split()) for line in told.splitlines()]

    assert "notifications given up 2 paylatch notify list --status failed" in lines
    assert "payments reported both ways 1 paylatch reconcile" in lines
    assert "payment exceptions 1,000+ paylatch exceptions list" in lines
    assert "follow-ups of paid orders 3 paylatch follow-ups list" in lines


def test_when_nothing_needs_a_person_it_says_so() -> None:
    assert "Nothing that was read needs a person." in _drawn(_sample(_target()))


def test_a_side_that_is_away_is_told_and_the_other_still_shown() -> None:
    no_payment_side = Sample(None, Open(Count(2), Count(0)), ["the payment server at a:1 is \x1b[31maway"])
    told = _drawn(no_payment_side)

    assert "the payment server at a:1 is" in told
    assert "\x1b" not in told
    assert "payment exceptions" in told
    assert TARGET in _drawn(Sample(_sample(_target()).outbox, None, ["the order server is away"]))


def test_one_frame_for_a_pipe_is_whole_or_none() -> None:
    screen = Console(file=io.StringIO())
    with pytest.raises(CannotRun, match="the order server is away"):
        print_once(Sample(_sample().outbox, None, ["the order server is away"]), screen)


def test_the_live_view_looks_draws_and_waits_until_told_to_leave() -> None:
    """A rate is that of the last sample which told of the outbox, however long that was ago."""
    away = Sample(None, NOTHING_OPEN, ["away"])
    samples = iter([_sample(_target(900)), away, _sample(_target(500), seconds=4)])
    answers = iter([False, False, True])
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return next(answers)

    screen = Console(file=io.StringIO(), force_terminal=True, width=200, height=40)
    watch(lambda: next(samples), screen, timedelta(seconds=2), wait)

    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert waited == [2.0, 2.0, 2.0]
    assert "-100/s" in shown
    assert "q leaves" in shown
    assert shown.count("\x1b[?1049h") == shown.count("\x1b[?1049l") == 1
