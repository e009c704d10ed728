"""Tracing by OpenTelemetry's SDK: the only module that imports it, and only imported when tracing is on.

Sampling, batching and the OTLP endpoint are the SDK's own standard variables (OTEL_TRACES_SAMPLER, OTEL_BSP_…,
OTEL_EXPORTER_OTLP_…). Owns the file of spans, one line of JSON each, which any number of processes may share.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.telemetry.tracing import TRACEPARENT, Kind, Span

_KINDS = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CLIENT: trace.SpanKind.CLIENT,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class FileExporter(SpanExporter):
    """Appends each span to a file, as one line of OpenTelemetry's JSON. A whole batch is one write: nobody's lines mix.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write them down."""
        lines = "".join(f"{span.to_json(indent=None)}\n" for span in spans)
        written = os.write(self._file, lines.encode())
        return SpanExportResult.SUCCESS if written else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file."""
        os.close(self._file)


class OpenTelemetrySpan:
    """Implements core.telemetry.tracing.Span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def context(self) -> str | None:
        """Its traceparent."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get(TRACEPARENT)

    def set(self, **attributes: str | int) -> None:
        """Attributes, below the project's own prefix."""
        self._span.set_attributes({f"paylatch.{name}": value for name, value in attributes.items()})

    def fail(self, error: str) -> None:
        """Status ERROR."""
        self._span.set_status(trace.StatusCode.ERROR, error)

    def end(self) -> None:
        """Hand it to the exporters, unless that was done."""
        if self._span.is_recording():
            self._span.end()


class OpenTelemetryTracing:
    """Implements core.telemetry.tracing.Tracing for one process."""

    is_on = True

    def __init__(self, process: str, exporters: Iterable[SpanExporter]) -> None:
        # What the operator says of a process by OTEL_RESOURCE_ATTRIBUTES stays beside its name.
        self._provider = TracerProvider(
            resource=Resource.create({"service.namespace": "paylatch", "service.name": process}),
            shutdown_on_exit=False,
        )
        for exporter in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("paylatch")
        self._thread = threading.local()

    def start(
        self, name: str, parent: str | None = None, kind: Kind = Kind.INTERNAL, links: Iterable[str] = ()
    ) -> Span:
        """A span; a parent that is no traceparent begins a new trace, as W3C has it."""
        linked = [trace.Link(trace.get_current_span(_context(link)).get_span_context()) for link in links]
        started = self._tracer.start_span(name, _context(parent), _KINDS[kind], links=linked)
        return OpenTelemetrySpan(started)

    def enter(self, context: str | None) -> None:
        """From here on the context of this thread."""
        self._thread.context = context

    @property
    def current(self) -> str | None:
        """The context that this thread has entered."""
        context: str | None = getattr(self._thread, "context", None)
        return context

    def close(self) -> None:
        """Export what is left, and end the exporters' threads."""
        self._provider.shutdown()


def open_tracing(process: str, file: Path | None, *, otlp: bool) -> OpenTelemetryTracing:
    """Tracing of `process` into a file, to an OTLP endpoint, or both.

    Raises:
        OSError: the file cannot be opened.
    """
    exporters: list[SpanExporter] = [FileExporter(file)] if file else []
    return OpenTelemetryTracing(process, [*exporters, OTLPSpanExporter()] if otlp else exporters)


def _context(traceparent: str | None) -> Context:
    """Only of what is handed in: no context of a thread gets mixed in."""
    return _PROPAGATOR.extract({TRACEPARENT: traceparent} if traceparent else {}, Context())
