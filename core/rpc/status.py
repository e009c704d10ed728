"""From paylatch's errors to gRPC statuses and back (SPEC 9).

Owns the one table. Never lets the text of an error out that was not meant for a caller.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from core.rules import errors
from core.rules.limits import MAX_ERROR_BYTES, clean_text

DOMAIN = "paylatch"
INTERNAL = "INTERNAL"
_NO_WAIT = timedelta(0)
# A longer one, added to the time of day, could lead beyond what a datetime holds.
_LONGEST_WAIT = timedelta(days=365)

_CODES: Mapping[type[errors.PaylatchError], grpc.StatusCode] = MappingProxyType(
    {
        errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
        errors.MalformedRequest: grpc.StatusCode.INVALID_ARGUMENT,
        errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
        errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
        errors.NotFound: grpc.StatusCode.NOT_FOUND,
        errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
        errors.NotAllowed: grpc.StatusCode.FAILED_PRECONDITION,
        errors.Contended: grpc.StatusCode.ABORTED,
        errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    }
)

_NAMES: Mapping[int, str] = MappingProxyType({code.value[0]: code.name for code in grpc.StatusCode})

# A client may refuse trailing metadata of more than 8 KiB, and would then see another error than the one sent. The
# message is in there twice, once percent-encoded (up to 3 times its bytes); the details are in base64 (4/3).
_MESSAGE_BYTES = 768
_DETAILS_BYTES = 2_200
_METADATA_BYTES = 800
_FIELD_BYTES = 128
_DESCRIPTION_BYTES = 512


class ItemFailure(NamedTuple):
    """The fields of an ItemError: a google.rpc.Code, a stable UPPER_SNAKE reason, and words of at most 2 KiB."""

    code: int
    reason: str
    message: str


def is_expected(error: BaseException) -> TypeGuard[errors.PaylatchError]:
    """Whether `error` is meant for a caller. Any other is answered with INTERNAL, and its text stays inside."""
    return _code_in_table(error) is not None


def code_for(error: BaseException) -> grpc.StatusCode:
    """The status a caller is given for `error`."""
    return _code_in_table(error) or grpc.StatusCode.INTERNAL


def reason_for(error: BaseException) -> str:
    """The reason a caller is given for `error`."""
    return error.reason if is_expected(error) else INTERNAL


def reply_to(error: BaseException, error_id: str = "") -> grpc.Status:
    """What a client is told of `error`, for `context.abort_with_status`.

    error_id: where the log line of an unexpected error is found; all that the client learns of it.
    """
    status = status_pb2.Status(code=_number(code_for(error)), message=_message(error, error_id, _MESSAGE_BYTES))
    for detail in _details(error, error_id):
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)


def item_error(error: BaseException, error_id: str = "") -> ItemFailure:
    """What the caller of a batch is told of the one item that failed with `error`.

    An unexpected error tells nothing but `error_id`; whoever calls this logs it (`interceptors.report_crash`).
    """
    return ItemFailure(_number(code_for(error)), reason_for(error), _message(error, error_id))


def code_of(error: grpc.RpcError) -> int:
    """The google.rpc.Code a call failed with; UNKNOWN (2) if it has none. Never raises."""
    try:
        return _number(error.code())
    except AttributeError:
        return _number(grpc.StatusCode.UNKNOWN)


def code_name(code: int) -> str:
    """The name of a google.rpc.Code, such as UNAVAILABLE; UNKNOWN for what is none."""
    return _NAMES.get(code, grpc.StatusCode.UNKNOWN.name)


def reason_of(error: grpc.RpcError) -> str:
    """The reason a paylatch server gave for a call that failed; empty if none. Never raises, whatever was received."""
    info = _received(error, error_details_pb2.ErrorInfo)
    return clean_text(info.reason, _FIELD_BYTES) if info is not None and info.domain == DOMAIN else ""


def message_of(error: grpc.RpcError) -> str:
    """The words a call failed with, cleaned and cut to 2 KiB; empty if none. Never raises."""
    try:
        return clean_text(error.details() or "")
    except AttributeError:
        return ""


def retry_delay_of(error: grpc.RpcError) -> timedelta:
    """How long the server asked to wait (google.rpc.RetryInfo), a year at most; zero if it did not. Never raises."""
    info = _received(error, error_details_pb2.RetryInfo)
    if info is None:
        return _NO_WAIT
    try:
        delay: timedelta = info.retry_delay.ToTimedelta()
    except (ValueError, OverflowError):
        return _NO_WAIT
    return min(max(delay, _NO_WAIT), _LONGEST_WAIT)


def _code_in_table(error: BaseException) -> grpc.StatusCode | None:
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), None)


def _number(code: grpc.StatusCode) -> int:
    return int(code.value[0])


def _message(error: BaseException, error_id: str, max_bytes: int = MAX_ERROR_BYTES) -> str:
    if not is_expected(error):
        return f"internal error {error_id}".rstrip()
    return clean_text(error.message, max_bytes)


def _details(error: BaseException, error_id: str) -> list[Any]:
    if not is_expected(error):
        return [_error_info(INTERNAL, {"error_id": error_id})]
    info = _error_info(error.reason, error.metadata)
    if isinstance(error, errors.InvalidInput):
        return [info, _bad_request(error.violations)]
    if isinstance(error, errors.NotAllowed):
        return [info, _precondition_failure(error.violations)]
    return [info]


def _error_info(reason: str, metadata: Mapping[str, str]) -> Any:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    for key, value in metadata.items():
        info.metadata[key] = clean_text(value, _DESCRIPTION_BYTES)
        if info.ByteSize() > _METADATA_BYTES:
            del info.metadata[key]
    return info


def _bad_request(violations: Sequence[errors.FieldViolation]) -> Any:
    bad_request = error_details_pb2.BadRequest()
    for place, violation in enumerate(violations):
        bad_request.field_violations.add(
            field=clean_text(violation.field, _FIELD_BYTES),
            description=clean_text(violation.description, _DESCRIPTION_BYTES),
        )
        if bad_request.ByteSize() > _DETAILS_BYTES:
            last = bad_request.field_violations[-1]
            last.field, last.description = "", f"and {len(violations) - place} more"
            break
    return bad_request


def _precondition_failure(violations: Sequence[errors.Precondition]) -> Any:
    failure = error_details_pb2.PreconditionFailure()
    for violation in violations:
        failure.violations.add(
            type=violation.type,
            subject=clean_text(violation.subject, _FIELD_BYTES),
            description=clean_text(violation.description, _DESCRIPTION_BYTES),
        )
        if failure.ByteSize() > _DETAILS_BYTES:
            failure.violations.pop()
            break
    return failure


def _received(error: Any, kind: Any) -> Any | None:
    try:
        status = rpc_status.from_call(error)
    except (AttributeError, DecodeError, ValueError):
        return None
    packed = status.details if status is not None else ()
    return next((found for detail in packed if (found := _unpacked(detail, kind)) is not None), None)


def _unpacked(detail: Any, kind: Any) -> Any | None:
    message = kind()
    try:
        return message if detail.Unpack(message) else None
    except DecodeError:
        return None
