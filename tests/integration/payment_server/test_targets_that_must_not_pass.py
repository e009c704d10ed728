"""Every spelling of a target that is not the one allowed, wherever a caller can name one."""

from typing import Any

import grpc
import pytest

from core.settings import BadSetting, load_settings
from paylatch.order.v1.batch_pb2 import PaymentKey
from paylatch.payment.v1 import payment_enums_pb2
from paylatch.payment.v1.notify_schedule_service_pb2 import PauseNotifyTargetRequest, RetryNotifySchedulesRequest
from paylatch.payment.v1.payment_service_pb2 import CreatePaymentRequest
from tests.integration.payment_server.payment_side import DEADLINE, PaymentSide, StartPaymentSide
from tests.unit.rpc.test_notify_url import MUST_NOT_PASS

ALLOWED = "grpc://127.0.0.1:50052"
WELL_SPELT_BUT_NOT_ALLOWED = [
    "grpc://169.254.169.254:80",
    "grpc://169.254.169.254:50052",
    "grpc://[fd00:ec2::254]:80",
    "grpc://metadata.google.internal:80",
    "grpc://127.0.0.1:50053",
    "grpcs://127.0.0.1:50052",
    "grpc://127.0.0.2:50052",
    "grpc://localhost:50052",
    "grpc://[::1]:50052",
    "grpc://unix:50052",
]
OTHER_SPELLINGS = [
    "grpc://127.0.0.1:050052",
    "grpc://127.0.0.1:0",
    "grpc://127.0.0.1:65536",
    "grpc://127.0.0.1.:50052",
    "grpc://127.1:50052",
    "grpc://2130706433:50052",
    "grpc://0x7f000001:50052",
    "grpc://[::ffff:127.0.0.1]:50052",
    "grpc://[::ffff:7f00:1]:50052",
    "GRPC://127.0.0.1:50052",
    "grpc://127.0.0.1:50052/",
    "grpc://127.0.0.1%2e:50052",
    "grpc://%31%32%37.0.0.1:50052",
    "grpc://127.0.0.1:50052@evil.example:50052",
    "grpc://evil.example@127.0.0.1:50052",
    "grpc://127。0。0。1:50052",
    "grpc://①27.0.0.1:50052",
    "grpc://127.0.0.1:５0052",
    "grpc://l\u043ecalhost:50052",
    "unix:/tmp/socket",
    "unix-abstract:name",
    "ipv4:127.0.0.1:50052",
    "dns:///127.0.0.1:50052",
    "xds:///service",
    "vsock:1:2",
    " grpc://127.0.0.1:50052",
    "grpc://127.0.0.1:50052\n",
    "grpc://127.0.0.1:50052\x00",
]
EVERY = sorted({*MUST_NOT_PASS, *OTHER_SPELLINGS, *WELL_SPELT_BUT_NOT_ALLOWED})


def refused(method: Any, request: Any) -> None:
    with pytest.raises(grpc.RpcError) as error:
        method(request, timeout=DEADLINE)
    failed: Any = error.value
    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT, f"{failed.code()}: {request}"


@pytest.mark.any_backend
def test_no_caller_can_name_one(start_payment_side: StartPaymentSide) -> None:
    side: PaymentSide = start_payment_side(ALLOWED)
    side.create()
    key = PaymentKey(platform_id="alipay", payment_code="P1")
    who: dict[str, Any] = {"operator": "ann", "reason": "to try"}
    for number, url in enumerate(EVERY):
        content = side.content(payment_code=f"P-{number}", notify_url=url)
        refused(side.payments.CreatePayment, CreatePaymentRequest(**content))
        if url:
            request = RetryNotifySchedulesRequest(
                keys=[key], action=payment_enums_pb2.RETRY_ACTION_DUE_NOW, notify_url=url, **who
            )
            refused(side.schedules.RetryNotifySchedules, request)
        if url not in WELL_SPELT_BUT_NOT_ALLOWED:
            refused(side.schedules.PauseNotifyTarget, PauseNotifyTargetRequest(notify_url=url, **who))
    assert side.get().notify_url == ALLOWED


@pytest.mark.parametrize("url", sorted({*MUST_NOT_PASS, *OTHER_SPELLINGS} - {""}))
def test_no_allow_list_can_name_one(url: str) -> None:
    with pytest.raises(BadSetting, match="PAYLATCH_NOTIFY_TARGETS"):
        load_settings(notify_targets=[url])
