from datetime import timedelta
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from core.rpc import status
from core.rules.errors import (
    AlreadyExists,
    Contended,
    FieldViolation,
    IllegalEvent,
    InvalidInput,
    NotAllowed,
    NotFound,
    Overloaded,
    PaylatchError,
    Precondition,
    Unavailable,
)
from core.rules.limits import MAX_ERROR_BYTES

BAD_FIELDS = InvalidInput([FieldViolation("order_no", "is empty"), FieldViolation("amount_minor", "is 0")])
ILLEGAL = IllegalEvent("order.order_status", "PAID", "cancel", ["process"])
DETAILS = "grpc-status-details-bin"
Detail = TypeVar("Detail", bound=Message)


def sent(reply: grpc.Status) -> Any:
    return status_pb2.Status.FromString(dict(reply.trailing_metadata)[DETAILS])


def detail(reply: grpc.Status, kind: type[Detail]) -> Detail:
    found = kind()
    assert any(packed.Unpack(found) for packed in sent(reply).details)
    return found


class Failed(grpc.RpcError):
    """A call that failed, as grpc's own errors look to whoever catches them."""

    def __init__(self, code: Any, details: Any, trailing: Any) -> None:
        super().__init__()
        self._answers = (code, details, trailing)

    def code(self) -> Any:
        return self._answers[0]

    def details(self) -> Any:
        return self._answers[1]

    def trailing_metadata(self) -> Any:
        return self._answers[2]


def failed_with(reply: grpc.Status) -> Failed:
    return Failed(reply.code, reply.details, reply.trailing_metadata)


def failed_with_details(*details: Message) -> Failed:
    message = status_pb2.Status(code=14, message="away")
    for each in details:
        message.details.add().Pack(each)
    return Failed(grpc.StatusCode.UNAVAILABLE, "away", ((DETAILS, message.SerializeToString()),))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BAD_FIELDS, grpc.StatusCode.INVALID_ARGUMENT),
        (NotFound("no such order", reason="ORDER_NOT_FOUND"), grpc.StatusCode.NOT_FOUND),
        (AlreadyExists("taken", reason="ORDER_DIFFERS"), grpc.StatusCode.ALREADY_EXISTS),
        (NotAllowed("not now", reason="NOT_NEW", violations=[]), grpc.StatusCode.FAILED_PRECONDITION),
        (ILLEGAL, grpc.StatusCode.FAILED_PRECONDITION),
        (Contended(), grpc.StatusCode.ABORTED),
        (Overloaded("full", reason="QUEUE_FULL"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Unavailable("away", reason="DATABASE_AWAY"), grpc.StatusCode.UNAVAILABLE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_every_error_has_its_status_message_and_reason(error: PaylatchError, code: grpc.StatusCode) -> None:
    reply = status.reply_to(error)
    info = detail(reply, error_details_pb2.ErrorInfo)
    assert (reply.code, reply.details) == (code, error.message)
    assert (info.reason, info.domain) == (error.reason, "paylatch")
    assert status.item_error(error) == (code.value[0], error.reason, error.message)


def test_every_kind_of_error_is_in_the_table() -> None:
    def kinds(kind: type[PaylatchError]) -> list[type[PaylatchError]]:
        return [found for child in kind.__subclasses__() for found in [child, *kinds(child)]]

    for kind in kinds(PaylatchError):
        error = kind.__new__(kind)
        assert status.is_expected(error), f"{kind.__name__} is not in the table of core/rpc/status.py"


def test_every_bad_field_is_named() -> None:
    violations = detail(status.reply_to(BAD_FIELDS), error_details_pb2.BadRequest).field_violations
    assert [(v.field, v.description) for v in violations] == [("order_no", "is empty"), ("amount_minor", "is 0")]


def test_an_illegal_event_tells_the_current_status_and_the_legal_events() -> None:
    reply = status.reply_to(ILLEGAL)
    info = detail(reply, error_details_pb2.ErrorInfo)
    failure = detail(reply, error_details_pb2.PreconditionFailure)
    assert dict(info.metadata) == {"current_status": "PAID", "event": "cancel", "legal_events": "process"}
    assert [(v.type, v.subject) for v in failure.violations] == [("LIFE_CYCLE", "order.order_status")]


@pytest.mark.parametrize(
    "error", [RuntimeError("password=hunter2"), KeyError("hunter2"), PaylatchError("x", reason="X")]
)
def test_nothing_of_an_unexpected_error_gets_out(error: Exception) -> None:
    reply = status.reply_to(error, error_id="0123abcd")
    info = detail(reply, error_details_pb2.ErrorInfo)
    assert (reply.code, reply.details) == (grpc.StatusCode.INTERNAL, "internal error 0123abcd")
    assert (info.reason, dict(info.metadata)) == ("INTERNAL", {"error_id": "0123abcd"})
    assert "hunter2" not in str(sent(reply))
    assert status.item_error(error, "0123abcd") == (13, "INTERNAL", "internal error 0123abcd")
    assert status.item_error(error) == (13, "INTERNAL", "internal error")


def test_what_a_client_is_told_has_no_control_characters_and_an_end() -> None:
    error = NotFound("a\x00b\nc\ud800" + "ö" * 5_000, reason="R", metadata={"key": "\x00" + "x" * 5_000})
    for text in (status.reply_to(error).details, status.item_error(error).message):
        assert text.startswith("a b c ö")
        assert len(text.encode()) <= MAX_ERROR_BYTES
    assert len(status.item_error(error).message.encode()) > MAX_ERROR_BYTES - 3


def test_a_client_can_receive_however_many_fields_are_wrong() -> None:
    reply = status.reply_to(InvalidInput([FieldViolation(f"items[{i}].sku", "ö" * 100) for i in range(300)]))
    violations = detail(reply, error_details_pb2.BadRequest).field_violations
    assert violations[0].field == "items[0].sku"
    assert violations[-1].description == f"and {300 - (len(violations) - 1)} more"
    assert sent(reply).ByteSize() < 4_096


def test_a_client_can_receive_however_many_preconditions_failed() -> None:
    failed = [Precondition("T", f"order {i}", "ö" * 100) for i in range(300)]
    reply = status.reply_to(NotAllowed("no", reason="R", violations=failed))
    assert detail(reply, error_details_pb2.PreconditionFailure).violations[0].subject == "order 0"
    assert sent(reply).ByteSize() < 4_096


def test_code_reason_and_message_find_their_way_back() -> None:
    error = failed_with(status.reply_to(Contended()))
    assert status.code_of(error) == 10
    assert status.reason_of(error) == "CONTENDED"
    assert "call again" in status.message_of(error)
    assert status.retry_delay_of(error) == timedelta(0)


def test_a_reason_of_another_domain_is_not_ours() -> None:
    assert status.reason_of(failed_with_details(error_details_pb2.ErrorInfo(reason="STOCKOUT", domain="else"))) == ""


@pytest.mark.parametrize(
    ("asked", "understood"),
    [
        (Duration(seconds=90, nanos=500_000_000), timedelta(seconds=90.5)),
        (Duration(), timedelta(0)),
        (Duration(seconds=-5), timedelta(0)),
        (Duration(seconds=2**62), timedelta(0)),
        (Duration(seconds=2**40), timedelta(days=365)),
        (Duration(seconds=315_576_000_000, nanos=999_999_999), timedelta(days=365)),
    ],
    ids=str,
)
def test_a_retry_delay_is_taken_if_it_is_one(asked: Duration, understood: timedelta) -> None:
    error = failed_with_details(error_details_pb2.RetryInfo(retry_delay=asked))
    assert status.retry_delay_of(error) == understood


@pytest.mark.parametrize(
    "error",
    [
        grpc.RpcError(),
        Failed(None, None, None),
        Failed(grpc.StatusCode.UNAVAILABLE, "away", None),
        Failed(grpc.StatusCode.UNAVAILABLE, "away", ((DETAILS, b"\xff\xff garbage"),)),
        Failed(grpc.StatusCode.NOT_FOUND, "other", failed_with_details().trailing_metadata()),
        Failed(grpc.StatusCode.UNAVAILABLE, "other", failed_with_details().trailing_metadata()),
        failed_with_details(Duration(seconds=5)),
    ],
    ids=["bare", "unfinished", "no trailers", "garbage", "another code", "another message", "other details"],
)
def test_whatever_was_received_is_read_without_raising(error: grpc.RpcError) -> None:
    assert status.code_of(error) in {2, 5, 14}
    assert status.reason_of(error) == ""
    assert status.message_of(error) in {"", "away", "other"}
    assert status.retry_delay_of(error) == timedelta(0)


def test_a_detail_that_is_garbage_is_no_detail() -> None:
    message = status_pb2.Status(code=14, message="away")
    message.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    error = Failed(grpc.StatusCode.UNAVAILABLE, "away", ((DETAILS, message.SerializeToString()),))
    assert status.reason_of(error) == ""
