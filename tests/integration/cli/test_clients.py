"""Every call has a deadline, and whoever cannot be reached is named."""

import socket
from collections.abc import Iterator

import grpc
import pytest

from cli.clients import CallFailed, CannotRun, Clients, Server, payment_side
from paylatch.payment.v1.notify_schedule_service_pb2 import GetNotifyScheduleRequest
from paylatch.payment.v1.notify_schedule_service_pb2_grpc import NotifyScheduleServiceStub
from tests.support.sides import Sides

NOBODY = "127.0.0.1:1"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        yield f"{host}:{port}"


def test_a_silent_server_is_given_up_within_the_bound(silent: str) -> None:
    server = Server("order server", silent)
    with pytest.raises(CannotRun, match=f"the order server at {silent} cannot be reached"):
        server.connect(bound=0.1)
    server.close()


def test_a_call_to_a_server_that_is_gone_ends_at_its_deadline() -> None:
    server = Server("payment server", NOBODY, deadline=0.1)
    schedules = NotifyScheduleServiceStub(server.channel)
    with pytest.raises(
        CallFailed, match=f"a call to the payment server at {NOBODY} failed: DEADLINE_EXCEEDED"
    ) as failed:
        server.read(schedules.GetNotifySchedule, GetNotifyScheduleRequest())
    assert failed.value.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    server.close()


def test_one_side_that_is_not_there_closes_the_other(sides: Sides) -> None:
    with pytest.raises(CannotRun, match=f"the order server at {NOBODY} cannot be reached"):
        Clients.connect(sides.payment_address, NOBODY)


@pytest.mark.parametrize("address", ["", "host", "127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_must_be_host_and_port(address: str) -> None:
    with pytest.raises(CannotRun, match="must be host:port"), payment_side(address):
        pytest.fail("connected")


def test_a_name_may_be_written_in_capitals(sides: Sides) -> None:
    port = sides.payment_address.rpartition(":")[2]
    with payment_side(f"LOCALHOST:{port}"):
        pass


def test_a_server_that_listens_everywhere_is_dialled_on_this_machine(sides: Sides) -> None:
    port = sides.payment_address.rpartition(":")[2]
    with payment_side(f"0.0.0.0:{port}") as side:
        assert side.server.address == f"0.0.0.0:{port}"
