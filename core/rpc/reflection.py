"""Server reflection, for grpcurl and `buf curl`. Owns its threads: a stream left open costs no worker."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from core.rpc.pools import on_threads_of

_THREADS = 2


class Reflection:
    """Tells who asks which services a server has, and of what they are made."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="reflection")

    def add_to(self, server: grpc.Server, services: Iterable[str]) -> None:
        """Answer on `server`, for the services of these full names and for itself."""
        servicer = reflection.ReflectionServicer([*services, reflection.SERVICE_NAME])
        info = grpc.stream_stream_rpc_method_handler(
            on_threads_of(self._threads, servicer.ServerReflectionInfo),
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {"ServerReflectionInfo": info})
        server.add_generic_rpc_handlers([handler])

    def close(self) -> None:
        """Let the threads go. Only after the server has stopped."""
        self._threads.shutdown(wait=False)
