"""grpc's handlers, taken apart and put together again, as interceptors need it. Knows no method by name."""

import functools
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
Behavior = Callable[..., Any]

_MAKE = MappingProxyType(
    {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
)


class Remembered:
    """What an interceptor makes of a method's handler, by `make`. Once: the handler is the same in every call."""

    def __init__(self, make: Callable[[str, Handler], Handler]) -> None:
        self._make = make
        self._made: dict[str, tuple[Handler, Handler]] = {}

    def of(self, method: str, handler: Handler) -> Handler:
        """What was made of `handler` before, or is made of it now."""
        made_of, made = self._made.get(method, (None, handler))
        if made_of is not handler:
            made = self._make(method, handler)
            self._made[method] = handler, made
        return made


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
