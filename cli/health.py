"""`paylatch health`: whether processes can do their work, by their own word. For a person, and for a prober's exec."""

from contextlib import closing
from enum import StrEnum
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.clients import CONNECT_SECONDS, Server, code_name
from cli.options import AsJson
from cli.output import ExitCode, console, print_json, table, texts, told_failures
from core.rpc.status import code_of
from core.settings import Settings, load_settings

SERVING = "SERVING"


class Process(StrEnum):
    """Whom to ask."""

    PAYMENT_SERVER = "payment-server"
    ORDER_SERVER = "order-server"
    SCHEDULER = "scheduler"


def health_command(
    processes: Annotated[
        list[Process] | None, typer.Argument(metavar="[PROCESS]...", show_default="all three", help="Whom to ask.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask processes whether they can do their work, where the settings say that they are.

    Exit code 0: all say SERVING. 1: one does not, or does not answer.
    """
    with told_failures():
        settings = load_settings()
        told = {process: _ask(process, settings) for process in processes or list(Process)}
    if as_json:
        print_json({"processes": [{"process": process, **one} for process, one in told.items()]})
    else:
        drawn = table("process", "address", "health")
        for process, one in told.items():
            drawn.add_row(*texts([process, one["address"], one["health"]]))
        console().print(drawn)
    raise typer.Exit(ExitCode.OK if all(one["health"] == SERVING for one in told.values()) else ExitCode.NOT_ALL)


def _ask(process: Process, settings: Settings) -> dict[str, str]:
    address = {
        Process.PAYMENT_SERVER: settings.payment_address,
        Process.ORDER_SERVER: settings.order_address,
        Process.SCHEDULER: settings.scheduler_address,
    }[process]
    with closing(Server(process.replace("-", " "), address)) as server:
        return {"address": server.address, "health": _health(server)}


def _health(server: Server) -> str:
    stub: Any = health_pb2_grpc.HealthStub(server.channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=CONNECT_SECONDS)
    except grpc.RpcError as error:
        return f"no answer: {code_name(code_of(error))}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
