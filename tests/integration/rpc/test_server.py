import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from core.clock import SystemClock
from core.logs import Logger
from core.rpc.health import MAX_WATCHES
from core.rpc.pools import on_threads_of
from core.rpc.server import CannotListen, RpcServer, ServerOptions
from tests.integration.rpc.conftest import OWN_CONNECTION, SERVICE, Events, Serve, Server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def echo(request: bytes, _context: grpc.ServicerContext) -> bytes:
    return request


class Gate:
    """A method that tells when it has begun, and ends when it may."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()

    def __call__(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.begun.release()
        assert self.may_end.wait(30)
        return request


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.may_end.set()


def health_of(server: Server, service: str = "", timeout: float = 5) -> int:
    stub: Any = health_pb2_grpc.HealthStub(server.channel)
    status: int = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout).status
    return status


def watch(server: Server, timeout: float = 30) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(server.channel)
    return stub.Watch(health_pb2.HealthCheckRequest(), timeout=timeout)


def may_watch(server: Server) -> bool:
    try:
        return bool(next(watch(server)).status == SERVING)
    except grpc.RpcError:
        return False


def stop_in_background(server: Server) -> threading.Thread:
    """Stop with a long grace on a thread of its own; comes back when the server says that it does."""
    watching = watch(server)
    assert next(watching).status == SERVING
    stopping = threading.Thread(target=server.rpc.stop, args=(30,))
    stopping.start()
    assert next(watching).status == NOT_SERVING
    with pytest.raises(StopIteration):
        next(watching)
    return stopping


def late_call(address: str) -> grpc.StatusCode:
    """How a call on a fresh connection ends."""
    with grpc.insecure_channel(address) as fresh:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = fresh.unary_unary(f"/{SERVICE}/Echo")
        try:
            call(b"x", timeout=5)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


class TestListening:
    def test_a_second_server_on_the_same_port_fails_and_names_the_address(self, serve: Serve, log: Logger) -> None:
        address = serve().address
        with pytest.raises(CannotListen, match=f"cannot listen on {address}: another process does"):
            RpcServer(log, SystemClock()).bind(address)

    def test_servers_that_were_told_to_share_a_port(self, serve: Serve, log: Logger) -> None:
        shared = ServerOptions(reuse_port=True)
        address = serve(shared).address
        assert RpcServer(log, SystemClock(), shared).bind(address) == address

    def test_a_port_is_free_again_after_stop(self, serve: Serve, log: Logger) -> None:
        server = serve()
        server.rpc.stop(0)
        again = RpcServer(log, SystemClock())
        assert again.bind(server.address) == server.address

    @pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "203.0.113.1:0"])
    def test_plaintext_stays_on_loopback_addresses(self, log: Logger, address: str) -> None:
        with pytest.raises(CannotListen, match="not a loopback address") as refused:
            RpcServer(log, SystemClock()).bind(address)
        assert address in str(refused.value)

    def test_plaintext_elsewhere_when_asked_for(self, log: Logger) -> None:
        address = RpcServer(log, SystemClock()).bind("0.0.0.0:0", allow_plaintext=True)
        assert address.startswith("0.0.0.0:")
        assert not address.endswith(":0")

    def test_an_address_of_another_machine_cannot_be_listened_on(self, log: Logger) -> None:
        with pytest.raises(CannotListen, match="not an address of this machine"):
            RpcServer(log, SystemClock()).bind("203.0.113.1:0", allow_plaintext=True)

    @pytest.mark.parametrize(
        "address",
        [
            *("", ":0", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:١"),
            *("unix:/tmp/socket", "unix:socket:1", "dns:///localhost:1", "example.com:1", "localhost.:1"),
            *("::1", "::1:1", "[::1]", "[127.0.0.1]:1", "[::1:1", "::1]:1", "[[::1]]:1", "[localhost]:1"),
        ],
    )
    def test_what_is_no_address_is_refused(self, log: Logger, address: str) -> None:
        with pytest.raises(CannotListen, match="must be host:port") as refused:
            RpcServer(log, SystemClock()).bind(address, allow_plaintext=True)
        assert repr(address) in str(refused.value)

    def test_localhost_is_one_address(self, log: Logger) -> None:
        assert RpcServer(log, SystemClock()).bind("localhost:0").startswith("127.0.0.1:")

    def test_an_ipv6_address_is_written_in_brackets(self, log: Logger) -> None:
        assert RpcServer(log, SystemClock()).bind("[::1]:0").startswith("[::1]:")


class TestLimits:
    def test_a_request_that_is_too_long_is_refused(self, serve: Serve) -> None:
        server = serve(ServerOptions(max_message_bytes=1_000), Echo=echo)
        assert server.call("Echo", b"x" * 1_000) == b"x" * 1_000
        with pytest.raises(grpc.RpcError) as failed:
            server.call("Echo", b"x" * 1_001)
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    def test_as_many_handlers_run_at_once_as_there_are_workers(self, serve: Serve, gate: Gate) -> None:
        server = serve(ServerOptions(workers=3), Wait=gate, WaitToo=gate)
        calls = [server.start_call("Wait") for _ in range(4)]
        assert all(gate.begun.acquire(timeout=10) for _ in range(2))
        assert not gate.begun.acquire(timeout=0.1), "one is kept from any one caller"
        with grpc.insecure_channel(server.address, OWN_CONNECTION) as another:
            other: grpc.UnaryUnaryMultiCallable[bytes, bytes] = another.unary_unary(f"/{SERVICE}/WaitToo")
            calls += [other.future(b"x", timeout=30) for _ in range(2)]
            assert gate.begun.acquire(timeout=10)
            assert not gate.begun.acquire(timeout=0.1)
            gate.may_end.set()
            assert [call.result(timeout=10) for call in calls] == [b"x"] * 6

    def test_a_method_with_threads_of_its_own_is_answered_while_every_worker_is_busy(
        self, serve: Serve, gate: Gate
    ) -> None:
        with ThreadPoolExecutor(1) as own:
            server = serve(ServerOptions(workers=1), Wait=gate, Echo=on_threads_of(own, echo))
            call = server.start_call("Wait")
            assert gate.begun.acquire(timeout=10)
            assert server.call("Echo", timeout=5) == b"x"
            gate.may_end.set()
            assert call.result(timeout=10) == b"x"


class TestHealth:
    def test_a_server_and_its_services_serve_once_started(self, serve: Serve) -> None:
        server = serve(Echo=echo)
        assert health_of(server) == SERVING
        assert health_of(server, SERVICE) == SERVING

    def test_an_unknown_service_is_not_found(self, serve: Serve) -> None:
        with pytest.raises(grpc.RpcError) as failed:
            health_of(serve(), "no.such.Service")
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND

    def test_a_server_can_say_that_it_does_not_serve(self, serve: Serve) -> None:
        server = serve(Echo=echo)
        server.rpc.health.set_serving(False)
        assert (health_of(server), health_of(server, SERVICE)) == (NOT_SERVING, NOT_SERVING)
        server.rpc.health.set_serving(True)
        assert health_of(server) == SERVING

    def test_health_is_answered_while_every_worker_is_busy_and_more_wait(self, serve: Serve, gate: Gate) -> None:
        server = serve(ServerOptions(workers=2), Wait=gate)
        calls = [server.start_call("Wait") for _ in range(20)]
        assert gate.begun.acquire(timeout=10)
        assert health_of(server, timeout=2) == SERVING
        assert next(watch(server, timeout=2)).status == SERVING
        gate.may_end.set()
        assert [call.result(timeout=10) for call in calls] == [b"x"] * 20

    def test_every_watch_is_told_of_a_change(self, serve: Serve) -> None:
        server = serve()
        watches = [watch(server) for _ in range(MAX_WATCHES)]
        assert [next(each).status for each in watches] == [SERVING] * MAX_WATCHES
        assert health_of(server, timeout=2) == SERVING
        server.rpc.health.set_serving(False)
        assert [next(each).status for each in watches] == [NOT_SERVING] * MAX_WATCHES

    def test_one_watch_too_many_is_refused_until_another_ends(self, serve: Serve) -> None:
        server = serve()
        watches = [watch(server) for _ in range(MAX_WATCHES)]
        for each in watches:
            next(each)
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as refused:
                next(watch(server))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()
        assert any(may_watch(server) for _ in range(1_000))

    def test_clients_that_leave_while_the_health_changes_stop_nothing(self, serve: Serve) -> None:
        server = serve()
        for serving in [False, True] * 20:
            watches = [watch(server) for _ in range(5)]
            for each in watches:
                next(each)
            for each in watches:
                each.cancel()
            server.rpc.health.set_serving(serving)
        assert health_of(server, timeout=5) == SERVING

    def test_the_health_of_one_server_outlives_another_of_the_same_process(self, serve: Serve) -> None:
        first, second = serve(), serve()
        second.rpc.stop(0)
        assert health_of(first) == SERVING
        assert next(watch(first)).status == SERVING

    def test_a_watch_that_ends_leaves_nothing_behind(self, serve: Serve) -> None:
        server = serve()
        for _ in range(5):
            each = watch(server)
            next(each)
            each.cancel()
        server.rpc.stop(5)
        server.rpc.health._watch_threads.shutdown(wait=True)
        assert server.rpc.health._watches._open == set()


class TestReflection:
    def listed(self, server: Server) -> list[str]:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        [response] = stub.ServerReflectionInfo(iter([request]), timeout=5)
        return [service.name for service in response.list_services_response.service]

    def test_a_server_tells_its_services(self, serve: Serve) -> None:
        reflection = "grpc.reflection.v1alpha.ServerReflection"
        assert self.listed(serve(Echo=echo)) == sorted([SERVICE, "grpc.health.v1.Health", reflection])

    def test_streams_left_open_cost_no_worker(self, serve: Serve) -> None:
        server = serve(ServerOptions(workers=1), Echo=echo)
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        may_end = threading.Event()

        def never() -> Iterator[Any]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            may_end.wait(30)

        streams = [stub.ServerReflectionInfo(never(), timeout=30) for _ in range(2)]
        for stream in streams:
            next(stream)
        assert server.call("Echo") == b"x"
        may_end.set()

    def test_it_can_be_left_out(self, serve: Serve) -> None:
        with pytest.raises(grpc.RpcError) as failed:
            self.listed(serve(ServerOptions(reflection=False)))
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


class TestStopping:
    def test_a_running_call_is_waited_for_and_answered(self, serve: Serve, gate: Gate) -> None:
        server = serve(Wait=gate)
        call = server.start_call("Wait")
        assert gate.begun.acquire(timeout=10)
        stopping = stop_in_background(server)
        gate.may_end.set()
        assert call.result(timeout=10) == b"x"
        stopping.join(10)
        assert not stopping.is_alive()
        assert server.rpc.drained(5)

    def test_a_handler_that_outlasts_the_grace_is_still_counted(self, serve: Serve, gate: Gate) -> None:
        server = serve(Wait=gate)
        call = server.start_call("Wait")
        assert gate.begun.acquire(timeout=10)
        server.rpc.stop(0.1)
        with pytest.raises(grpc.RpcError):
            call.result(timeout=10)
        assert not server.rpc.drained(0.1)
        gate.may_end.set()
        assert server.rpc.drained(10)

    def test_a_handler_that_outlasts_its_deadline_is_still_counted(self, serve: Serve, gate: Gate) -> None:
        server = serve(Wait=gate)
        call = server.start_call("Wait", timeout=2)
        assert gate.begun.acquire(timeout=10)
        assert call.exception(timeout=10).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not server.rpc.drained(0.1)
        gate.may_end.set()
        assert server.rpc.drained(10)

    def test_a_call_that_waited_for_a_worker_never_begins_after_the_stop(self, serve: Serve, gate: Gate) -> None:
        server = serve(ServerOptions(workers=1), Wait=gate)
        first, second = server.start_call("Wait"), server.start_call("Wait")
        assert gate.begun.acquire(timeout=10)
        server.rpc.stop(0.1)
        gate.may_end.set()
        assert server.rpc.drained(10)
        assert not gate.begun.acquire(blocking=False)
        for call in (first, second):
            assert isinstance(call.exception(timeout=10), grpc.RpcError)

    def test_new_calls_are_refused_while_old_ones_end(self, serve: Serve, gate: Gate) -> None:
        server = serve(Wait=gate, Echo=echo)
        call = server.start_call("Wait")
        assert gate.begun.acquire(timeout=10)
        stop_in_background(server)
        assert grpc.StatusCode.UNAVAILABLE in (late_call(server.address) for _ in range(1_000))
        gate.may_end.set()
        assert call.result(timeout=10) == b"x"

    def test_an_open_watch_does_not_hold_up_the_stop(self, serve: Serve) -> None:
        clock = SystemClock()
        server = serve()
        watching = watch(server)
        next(watching)
        began = clock.monotonic()
        server.rpc.stop(30)
        assert clock.monotonic() - began < 10
        assert next(watching).status == NOT_SERVING

    def test_stopping_twice_or_before_the_start_is_harmless(self, serve: Serve, log: Logger) -> None:
        server = serve(Echo=echo)
        server.rpc.stop(1)
        server.rpc.stop(1)
        never_started = RpcServer(log, SystemClock())
        never_started.bind("127.0.0.1:0")
        never_started.stop(1)
        assert never_started.drained(0)

    def test_nothing_of_all_this_is_logged_as_a_failure(self, serve: Serve, events: Events) -> None:
        server = serve(Echo=echo)
        server.call("Echo")
        health_of(server)
        next(watch(server))
        server.rpc.stop(5)
        assert events == []
