"""Spans that are sent by OTLP arrive at a collector, over a real connection."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

from core.monitor.open_telemetry import open_tracing
from core.settings import load_settings
from core.telemetry.tracing import Kind


class Collector(pb_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[pb.ExportTraceServiceRequest] = []

    def Export(
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        self.requests.append(request)
        return pb.ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # not typed there
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield collector
    server.stop(None).wait()


def test_what_was_traced_is_at_the_collector_when_the_process_has_closed_its_tracing(collector: Collector) -> None:
    tracing = open_tracing("scheduler", load_settings(trace_otlp="true"))
    started = tracing.start("notify.attempt", None, Kind.CLIENT)
    started.set(attempt=2)
    started.end()
    tracing.close()

    (request,) = collector.requests
    (of_process,) = request.resource_spans
    service = {each.key: each.value.string_value for each in of_process.resource.attributes}["service.name"]
    (span,) = of_process.scope_spans[0].spans
    attributes = {each.key: each.value.int_value for each in span.attributes}
    assert (service, span.name, attributes) == ("scheduler", "notify.attempt", {"paylatch.attempt": 2})
    assert started.context is not None
    assert span.trace_id.hex() in started.context
