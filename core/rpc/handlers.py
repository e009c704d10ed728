"""What every interceptor does with grpc's handlers: takes them apart and puts them together again. Judges no call."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
Behavior = Callable[..., Any]

_NOT_OURS = "/grpc."

_MAKE = MappingProxyType(
    {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
)


class HandlerInterceptor(grpc.ServerInterceptor, ABC):
    """Serves each method by a handler made of its own. Made once: the handler is the same in every call."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Handler, Handler]] = {}

    @abstractmethod
    def make(self, method: str, handler: Handler) -> Handler:
        """The handler that serves `method` instead of `handler`."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """What was made of the call's handler before, or is made of it now. None: nothing serves the method."""
        method, handler = handler_call_details.method, continuation(handler_call_details)
        if handler is None:
            return None
        made_of, made = self._made.get(method, (None, handler))
        if made_of is not handler:
            made = self.make(method, handler)
            self._made[method] = handler, made
        return made


def is_ours(method: str) -> bool:
    """Whether a method is of paylatch's services, and not grpc's own: health or reflection."""
    return not method.startswith(_NOT_OURS)


def surrounded(handler: Handler, around: Callable[..., AbstractContextManager[object]]) -> Handler:
    """`handler`, which serves each call inside of `around(context)`, with the context that this gives it."""
    behavior = behavior_of(handler)

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        with around(context) as given:
            return behavior(request, given)

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with around(context) as given:
            yield from behavior(request, given)

    return with_behavior(handler, stream if handler.response_streaming else answer, handler.request_deserializer)


def behavior_of(handler: Handler) -> Behavior:
    """The function that serves the method, whichever of the four kinds it is."""
    behaviors = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(behavior for behavior in behaviors if behavior is not None)


def with_behavior(handler: Handler, behavior: Behavior, deserializer: Callable[[bytes], Any] | None) -> Handler:
    """`handler`, but served by `behavior` with requests read by `deserializer` (None: left as bytes)."""
    # `wraps` also hands on the attribute by which grpc picks the threads of a handler.
    wrapped = functools.wraps(behavior_of(handler))(behavior)
    make = _MAKE[handler.request_streaming, handler.response_streaming]
    return make(wrapped, deserializer, handler.response_serializer)


def with_late_request(handler: Handler, behavior: Behavior) -> Handler:
    """`handler` of one request, but served by `behavior`, which takes the request from an iterator as it comes."""
    wrapped = functools.wraps(behavior_of(handler))(behavior)
    make = _MAKE[True, handler.response_streaming]
    return make(wrapped, handler.request_deserializer, handler.response_serializer)
