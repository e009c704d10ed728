"""Requests that are not the message they should be. Owns their answer: grpc's own is INTERNAL, and a traceback.

Nothing of the bytes is answered or logged: nobody knows what they are.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from core.rpc import status
from core.rpc.handlers import Behavior, Handler, HandlerInterceptor, behavior_of, with_behavior
from core.rules.errors import MalformedRequest

_MALFORMED = object()


class DecodingInterceptor(HandlerInterceptor):
    """Answers INVALID_ARGUMENT (MALFORMED_REQUEST) to bytes that cannot be read, in every service of the server."""

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, which is shown only what could be read."""
        if handler.request_deserializer is None:
            return handler
        check = _checking_each if handler.request_streaming else _checking
        return with_behavior(handler, check(behavior_of(handler)), _reading(handler.request_deserializer))


def _reading(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(request: bytes) -> Any:
        try:
            return deserialize(request)
        except DecodeError:
            return _MALFORMED

    return read


def _checking(behavior: Behavior) -> Behavior:
    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        return behavior(_readable(request, context), context)

    return handle


def _checking_each(behavior: Behavior) -> Behavior:
    def checked(requests: Iterable[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for request in requests:
            yield _readable(request, context)

    def handle(requests: Iterable[Any], context: grpc.ServicerContext) -> Any:
        return behavior(checked(requests, context), context)

    return handle


def _readable(request: Any, context: grpc.ServicerContext) -> Any:
    if request is _MALFORMED:
        context.abort_with_status(status.reply_to(MalformedRequest()))
    return request
