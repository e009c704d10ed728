import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from core.clock import SystemClock
from core.logs import make_logger
from core.rpc.server import RpcServer
from core.rpc.status import reason_of
from core.rules.errors import MALFORMED_REQUEST, AlreadyExists, FieldViolation, IllegalEvent, InvalidInput, Unavailable
from tests.integration.rpc.conftest import SERVICE, Events, Serve, Server, register_methods

SECRET = "postgresql://paylatch:hunter2@db/payment"  # must not get out
BAD_FIELDS = InvalidInput([FieldViolation("order_no", "is empty"), FieldViolation("amount_minor", "is 0")])


def raising(error: Exception) -> Callable[..., bytes]:
    def handle(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        raise error

    return handle


def details_of(error: grpc.RpcError) -> list[Any]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # what a stub raises is a call too
    assert status is not None
    return list(status.details)


def everything_of(error: grpc.RpcError) -> str:
    return f"{error.code()} {error.details()} {error.trailing_metadata()} {details_of(error)}"


def test_an_expected_error_arrives_with_its_details_and_is_logged(serve: Serve, events: Events) -> None:
    server = serve(Fail=raising(BAD_FIELDS))
    with pytest.raises(grpc.RpcError) as failed:
        server.call("Fail")
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in details_of(failed.value))
    assert [violation.field for violation in bad_request.field_violations] == ["order_no", "amount_minor"]
    [event] = events
    assert event.pop("duration_ms") >= 0
    assert event == {
        "event": "rpc.failed",
        "log_level": "warning",
        "method": "/test.Test/Fail",
        "code": "INVALID_ARGUMENT",
        "reason": "INVALID_FIELDS",
        "message": "order_no: is empty; amount_minor: is 0",
    }


def test_what_an_outage_came_of_is_for_the_log_and_never_for_the_caller(serve: Serve, events: Events) -> None:
    error = Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")
    error.__cause__ = RuntimeError(f"permission denied for table payment: {SECRET}")
    with pytest.raises(grpc.RpcError) as failed:
        serve(Fail=raising(error)).call("Fail")

    assert "permission denied" not in everything_of(failed.value)
    assert [event["cause"] for event in events] == [str(error.__cause__)]


def test_a_precondition_arrives_with_the_current_status(serve: Serve) -> None:
    server = serve(Fail=raising(IllegalEvent("order.order_status", "PAID", "cancel", ["process"])))
    with pytest.raises(grpc.RpcError) as failed:
        server.call("Fail")
    failure = error_details_pb2.PreconditionFailure()
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert any(detail.Unpack(failure) for detail in details_of(failed.value))
    assert "PAID" in failure.violations[0].description


@pytest.mark.parametrize("text", ["x", "ö", "\U0001f4b0"])
def test_the_longest_error_still_reaches_a_client_with_default_limits(serve: Serve, text: str) -> None:
    violations = [FieldViolation(f"items[{i}].sku", text * 200) for i in range(300)]
    server = serve(Fail=raising(InvalidInput(violations)))
    for _ in range(20):  # a client refuses at random what is somewhat too long
        with pytest.raises(grpc.RpcError) as failed:
            server.call("Fail")
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(failed.value) == "INVALID_FIELDS"


def test_the_longest_metadata_still_reaches_a_client(serve: Serve) -> None:
    metadata = {f"key_{i}": "ö" * 1_000 for i in range(30)}
    server = serve(Fail=raising(AlreadyExists("ö" * 5_000, reason="R" * 60, metadata=metadata)))
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as failed:
            server.call("Fail")
        assert failed.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_nothing_of_an_unexpected_error_reaches_the_client_and_all_of_it_the_log(serve: Serve, events: Events) -> None:
    server = serve(Crash=raising(RuntimeError(SECRET)))
    with pytest.raises(grpc.RpcError) as failed:
        server.call("Crash")
    [event] = events
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert failed.value.details() == f"internal error {event['error_id']}"
    assert reason_of(failed.value) == "INTERNAL"
    for internal in ("hunter2", "RuntimeError", "Traceback", ".py"):
        assert internal not in everything_of(failed.value)
    assert (event["event"], event["log_level"], event["code"]) == ("rpc.crashed", "error", "INTERNAL")
    assert event["method"] == "/test.Test/Crash"
    assert str(event["exc_info"]) == SECRET
    assert event["exc_info"].__traceback__ is not None


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("event", ["rpc.crashed", "rpc.failed"])
def test_what_the_log_has_of_an_error_tells_no_secret(
    form: str, event: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error: Exception = RuntimeError(f"no way to {SECRET}")
    if event == "rpc.failed":
        cause, error = error, Unavailable("the database is not available", reason="DATABASE_UNAVAILABLE")
        error.__cause__ = cause
    rpc = RpcServer(make_logger("test", form), SystemClock())
    rpc.add(register_methods, ({"Fail": raising(error)}, {}), SERVICE)
    server = Server(rpc, rpc.bind("127.0.0.1:0"))
    rpc.start()
    with closing(server), pytest.raises(grpc.RpcError):
        server.call("Fail")

    told = capsys.readouterr().err
    assert event in told
    assert "no way to postgresql://***@db/payment" in told
    assert "hunter2" not in told


def test_an_unprintable_error_is_answered_too(serve: Serve) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    server = serve(Crash=raising(Unprintable()))
    with pytest.raises(grpc.RpcError) as failed:
        server.call("Crash")
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in everything_of(failed.value)


def test_a_handler_that_aborts_by_itself_is_let_through(serve: Serve, events: Events) -> None:
    def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")

    with pytest.raises(grpc.RpcError) as failed:
        serve(Abort=handle).call("Abort")
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "not you")
    assert [(event["event"], event["code"]) for event in events] == [("rpc.failed", "PERMISSION_DENIED")]


def test_a_handler_that_sets_a_code_is_let_through(serve: Serve, events: Events) -> None:
    def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("no such thing")
        return b""

    with pytest.raises(grpc.RpcError) as failed:
        serve(Set=handle).call("Set")
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert [event["code"] for event in events] == ["NOT_FOUND"]


def test_a_method_that_generated_code_left_out_is_unimplemented(serve: Serve, events: Events) -> None:
    def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    with pytest.raises(grpc.RpcError) as failed:
        serve(Later=handle).call("Later")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert [event["event"] for event in events] == ["rpc.failed"]


def test_a_call_that_succeeds_is_answered_and_not_logged(serve: Serve, events: Events) -> None:
    assert serve(Echo=lambda request, _context: request + b"!").call("Echo", b"hello") == b"hello!"
    assert events == []


def test_a_stream_arrives_whole_and_is_not_logged(serve: Serve, events: Events) -> None:
    def count(_request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (b"1", b"2", b"3")

    assert list(serve(streams={"Count": count}).stream("Count")) == [b"1", b"2", b"3"]
    assert events == []


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [
        (BAD_FIELDS, grpc.StatusCode.INVALID_ARGUMENT, "rpc.failed"),
        (RuntimeError(SECRET), grpc.StatusCode.INTERNAL, "rpc.crashed"),
    ],
    ids=["expected", "unexpected"],
)
def test_an_error_in_the_middle_of_a_stream_is_mapped(
    serve: Serve, events: Events, error: Exception, code: grpc.StatusCode, event: str
) -> None:
    def count(_request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"1"
        raise error

    stream = serve(streams={"Count": count}).stream("Count")
    assert next(stream) == b"1"
    with pytest.raises(grpc.RpcError) as failed:
        next(stream)
    assert failed.value.code() is code
    assert "hunter2" not in everything_of(failed.value)
    assert [each["event"] for each in events] == [event]


def test_a_stream_that_aborts_by_itself_is_let_through(serve: Serve, events: Events) -> None:
    def count(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"1"
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")

    with pytest.raises(grpc.RpcError) as failed:
        list(serve(streams={"Count": count}).stream("Count"))
    assert failed.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert [event["code"] for event in events] == ["OUT_OF_RANGE"]


def test_a_call_whose_client_has_gone_is_logged_when_it_ends(serve: Serve, events: Events) -> None:
    has_begun, has_left = threading.Event(), threading.Event()

    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(has_left.set)
        has_begun.set()
        assert has_left.wait(10)
        return request

    server = serve(Slow=handle)
    call = server.start_call("Slow")
    assert has_begun.wait(10)
    call.cancel()
    assert server.rpc.drained(10)
    assert [(event["event"], event["code"]) for event in events] == [("rpc.failed", "CANCELLED")]


def test_a_call_that_was_too_slow_is_logged_when_it_ends(serve: Serve, events: Events) -> None:
    has_left = threading.Event()

    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(has_left.set)
        assert has_left.wait(10)
        return request

    server = serve(Slow=handle)
    with pytest.raises(grpc.RpcError) as failed:
        server.call("Slow", timeout=1)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.rpc.drained(10)
    assert [event["code"] for event in events] in (["DEADLINE_EXCEEDED"], ["CANCELLED"])  # two clocks, one deadline


def test_a_stream_whose_client_has_gone_is_closed_and_logged(serve: Serve, events: Events) -> None:
    was_closed = threading.Event()

    def count(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            while True:
                yield b"1"
        finally:
            was_closed.set()

    server = serve(streams={"Count": count})
    stream = server.stream("Count")
    next(stream)
    stream.cancel()
    assert was_closed.wait(10)
    assert server.rpc.drained(10)
    assert [event["code"] for event in events] == ["CANCELLED"]


@pytest.mark.parametrize(("timeout", "at_most"), [(None, 300), (10**7, 300), (5, 5)])
def test_a_handler_never_believes_it_has_years(serve: Serve, timeout: float | None, at_most: float) -> None:
    left: list[float] = []

    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        left.append(context.time_remaining())
        return request

    server = serve(Look=handle)
    server.call("Look", timeout=timeout)
    assert at_most - 3 < left[0] < at_most + 0.5


class TestARequestThatIsNoMessage:
    """grpc's own answer to it is INTERNAL, and a traceback in the log."""

    @pytest.mark.parametrize("method", ["Once", "Many"])
    def test_is_refused_as_the_callers_fault_and_never_handled(self, serve: Serve, events: Events, method: str) -> None:
        def unreadable(_: bytes) -> bytes:
            raise DecodeError(SECRET)

        handled: list[bytes] = []
        server = serve(reading=unreadable, streams={"Many": handled.append}, Once=handled.append)
        with pytest.raises(grpc.RpcError) as failed:
            list(server.stream(method)) if method == "Many" else server.call(method)

        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(failed.value) == MALFORMED_REQUEST
        assert SECRET not in everything_of(failed.value)
        assert handled == []
        assert [(event["event"], event["code"]) for event in events] == [("rpc.failed", "INVALID_ARGUMENT")]
