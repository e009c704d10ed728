"""The transactions of the product, by the dotted names of the functions that run them; a trap names one of these.

A name that is no longer true springs no trap, and a trap that never springs fails its point.
"""

CREATE_ORDER = "order_server.orders.Orders.create"
ORDER_NOTIFY = "order_server.order_notify.OrderNotify._together"
CREATE_PAYMENT = "payment_server.create.CreatePayment.__call__"
REPORT = "payment_server.report.ReportResults._settle_together"
OPERATE = "payment_server.operate.OperateSchedules.__call__"
CLAIM = "scheduler.passes.RetryPass._claim"
PURGE = "scheduler.purge.PurgePass._walk_on"
RECORD = "core.delivery.deliver.Delivery._record"

BEGIN, BEFORE, AFTER = "before begin", "before commit", "after commit"
