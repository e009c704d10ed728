"""Nobody is answered before it is on disk (SPEC 4): read off the system calls of the real servers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paylatch.order.v1.order_notify_service_pb2 import BatchOrderNotifyRequest
from paylatch.payment.v1.payment_enums_pb2 import PAYMENT_STATUS_SUCCESS
from paylatch.payment.v1.payment_service_pb2 import ReportPaymentResultRequest
from tests.support.processes import System, eventually
from tests.support.shop import PLATFORM, Shop, notification
from tests.support.traces import is_sent, is_synced_before_it_is_sent, traced

MARK = "mark-of-this-very-answer"


def _report(shop: Shop) -> None:
    """The mark is the trade_no: it is stored and answered, and was neither before this call."""
    shop.create_payments(["A-1"])
    shop.clients.payment.payments.ReportPaymentResult(
        ReportPaymentResultRequest(
            platform_id=PLATFORM, payment_code="A-1", status=PAYMENT_STATUS_SUCCESS, trade_no=MARK
        )
    )


def _notify(shop: Shop) -> None:
    """The mark is the payment_code, by which each answer of a batch names its item."""
    shop.create_orders(["A-1"])
    item = notification("A-1")
    item.payment_code = MARK
    shop.notifications.BatchOrderNotify(BatchOrderNotifyRequest(requests=[item]))


@pytest.mark.parametrize(
    ("module", "database", "call"),
    [("payment_server", "payment.db-wal", _report), ("order_server", "order.db-wal", _notify)],
)
def test_the_log_is_synced_before_the_answer_is_sent(
    system: System, shop: Shop, tmp_path: Path, module: str, database: str, call: Callable[[Shop], None]
) -> None:
    trace = tmp_path / "trace"
    with traced(module, system.overrides, trace):
        call(shop)
        eventually(lambda: is_sent(_lines(trace), MARK))

        assert is_synced_before_it_is_sent(_lines(trace), MARK, database)


def _lines(trace: Path) -> list[str]:
    return trace.read_text(errors="replace").splitlines()


WRITTEN = f'7 pwrite64(9</d/payment.db-wal>, "…{MARK}…", 4096, 8272) = 4096'
SYNCED = "7 fdatasync(9</d/payment.db-wal>) = 0"
SENT = f'8 sendmsg(5<socket:[42]>, {{msg_iov=[{{iov_base="…{MARK}…"}}]}}, MSG_NOSIGNAL) = 99'
BEGUN, ENDED = "7 fdatasync(9</d/payment.db-wal> <unfinished ...>", "7 <... fdatasync resumed>) = 0"


@pytest.mark.parametrize(
    ("trace", "is_so"),
    [
        ([WRITTEN, SYNCED, SENT], True),
        ([WRITTEN, BEGUN, ENDED, SENT], True),
        ([WRITTEN, SENT, SYNCED], False),
        ([WRITTEN, BEGUN, SENT, ENDED], False),
        ([SYNCED, WRITTEN, SENT], False),
        ([WRITTEN, SYNCED.replace("= 0", "= -1 EIO"), SENT], False),
        ([WRITTEN, SYNCED.replace("payment.db-wal", "payment.db"), SENT], False),
        ([SYNCED, SENT], False),
    ],
)
def test_a_trace_of_an_answer_before_its_sync_is_told_from_one_after_it(trace: list[str], is_so: bool) -> None:
    assert is_synced_before_it_is_sent(trace, MARK, "payment.db-wal") is is_so
