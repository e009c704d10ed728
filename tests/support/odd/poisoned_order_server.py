"""An order server that dies of a notification: the one of the order that PAYLATCH_TEST_POISON names."""

import os
import sys
from collections.abc import Sequence

from core.process import run_process
from order_server.__main__ import serve
from order_server.order_notify import Answer, OrderNotify
from order_server.rules import Notification

_POISON = os.environ["PAYLATCH_TEST_POISON"]
_DIED_OF_IT = 70
_notify = OrderNotify.notify


def _notify_or_die(order_notify: OrderNotify, notifications: Sequence[Notification]) -> list[Answer]:
    if any(notification.order_no == _POISON for notification in notifications):
        os._exit(_DIED_OF_IT)
    return _notify(order_notify, notifications)


if __name__ == "__main__":
    setattr(OrderNotify, "notify", _notify_or_die)  # noqa: B010
    sys.exit(run_process("order-server", serve))
