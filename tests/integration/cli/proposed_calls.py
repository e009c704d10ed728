"""Doing what reconciliation proposes: each call exactly as it is printed, but for who and why."""

import json
import shlex
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from typer.testing import CliRunner

from cli.exceptions import exceptions_app
from cli.notify import notify_app
from paylatch.order.v1 import order_service_pb2 as _order_service  # noqa: F401  # its descriptors
from paylatch.payment.v1 import payment_service_pb2 as _payment_service  # noqa: F401  # the same
from tests.integration.cli.both_servers import DEADLINE


def follow(proposed: str) -> None:
    """Make the calls, one after the other; each must succeed."""
    for call in proposed.split(" && "):
        command, *arguments = shlex.split(call)
        {"grpcurl": _grpcurl, "paylatch": _paylatch}[command](arguments)


def _paylatch(arguments: list[str]) -> None:
    app = {"notify": notify_app, "exceptions": exceptions_app}[arguments[0]]
    done = CliRunner().invoke(app, arguments[1:])
    assert done.exit_code == 0, done.output


def _grpcurl(arguments: list[str]) -> None:
    plaintext, data, request, address, method = arguments
    assert (plaintext, data) == ("-plaintext", "-d")
    service, name = method.split("/")
    called = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    request_type: Any = message_factory.GetMessageClass(called.input_type)
    response_type: Any = message_factory.GetMessageClass(called.output_type)
    with grpc.insecure_channel(address) as channel:
        stub = channel.unary_unary(
            f"/{method}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        stub(json_format.ParseDict(json.loads(request), request_type()), timeout=DEADLINE)
