import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from core.monitor.open_telemetry import open_tracing
from core.settings import BadSetting, load_settings
from core.telemetry.open_telemetry import FileExporter, OpenTelemetryTracing
from core.telemetry.tracing import NO_TRACING, Kind, span, spans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def tracing(kept: Kept) -> OpenTelemetryTracing:
    return OpenTelemetryTracing("payment-server", [kept])


def test_a_span_continues_the_trace_of_the_context_it_is_given(tracing: OpenTelemetryTracing, kept: Kept) -> None:
    started = tracing.start("child", PARENT, Kind.SERVER)
    started.set(attempt=3)
    started.end()
    tracing.close()

    child = kept.named("child")
    assert f"{child.context.trace_id:032x}" == PARENT.split("-")[1]
    assert child.parent is not None
    assert f"{child.parent.span_id:016x}" == PARENT.split("-")[2]
    assert child.attributes == {"paylatch.attempt": 3}
    assert started.context == f"00-{child.context.trace_id:032x}-{child.context.span_id:016x}-01"


@pytest.mark.parametrize("parent", [None, "", "00-zz-1-01", "x" * 55, PARENT + "-extra-that-version-00-does-not-have"])
def test_what_is_no_context_begins_a_trace_of_its_own(
    tracing: OpenTelemetryTracing, kept: Kept, parent: str | None
) -> None:
    tracing.start("root", parent).end()
    tracing.close()

    assert kept.named("root").parent is None


def test_what_the_caller_does_not_sample_is_not_kept_and_stays_in_its_trace(
    tracing: OpenTelemetryTracing, kept: Kept
) -> None:
    started = tracing.start("unsampled", UNSAMPLED)
    started.end()
    tracing.close()

    assert kept.spans == []
    assert started.context is not None
    assert started.context.startswith(UNSAMPLED.rsplit("-", 2)[0])
    assert started.context.endswith("-00")


def test_the_spans_of_shared_work_fail_together_when_it_raises(tracing: OpenTelemetryTracing, kept: Kept) -> None:
    def work() -> None:
        with spans(tracing, "commit", {1: PARENT, 2: None}) as started:
            assert set(started) == {1, 2}
            raise ValueError("a secret")

    with pytest.raises(ValueError, match="secret"):
        work()
    tracing.close()

    assert [span.status.description for span in kept.spans] == ["ValueError", "ValueError"]
    assert not any(span.events for span in kept.spans), "the text of an error must not get into a trace"


def test_tracing_that_is_off_makes_no_span_and_no_context() -> None:
    with span(NO_TRACING, "anything", PARENT) as one, spans(NO_TRACING, "more", {1: PARENT}) as started:
        one.set(attempt=1)
        assert (one.context, started, NO_TRACING.current) == (None, {}, None)


def test_a_thread_sees_the_context_that_it_has_entered(tracing: OpenTelemetryTracing) -> None:
    seen = [tracing.current]
    for context in (PARENT, None):
        tracing.enter(context)
        seen.append(tracing.current)

    assert seen == [None, PARENT, None]


def test_each_span_is_a_line_of_the_file_and_what_stands_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    for name in ("one", "two"):
        tracing = OpenTelemetryTracing("scheduler", [FileExporter(file)])
        tracing.start(name).end()
        tracing.close()

    assert [('"one"' in line, '"two"' in line) for line in file.read_text().splitlines()] == [
        (True, False),
        (False, True),
    ]


def test_a_trace_file_that_cannot_be_opened_is_a_bad_setting(tmp_path: Path) -> None:
    settings = load_settings(trace_file=tmp_path / "missing" / "spans.jsonl")
    with pytest.raises(BadSetting, match=r"PAYLATCH_TRACE_FILE is '.*': No such file or directory"):
        open_tracing("scheduler", settings)


def test_by_default_nothing_of_tracing_is_imported(tmp_path: Path) -> None:
    """In a process of its own: this one has imported it."""
    program = """
import sys
import order_server.__main__, payment_server.__main__, scheduler.__main__
from core.monitor.open_telemetry import open_tracing
from core.settings import load_settings
from core.telemetry.tracing import NO_TRACING
assert open_tracing("scheduler", load_settings()) is NO_TRACING
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, check=True, timeout=30)
