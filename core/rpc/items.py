"""The answer to one failed item of a batch. Owns that an unexpected error is logged, and that only its id gets out."""

from core.logs import Logger
from core.rpc.interceptors import new_error_id, report_crash
from core.rpc.status import is_expected, item_error
from paylatch.order.v1 import batch_pb2


def item_failure(log: Logger, error: Exception, **where: str) -> batch_pb2.ItemError:
    """What the caller of a batch is told of the item that failed with `error`. where: what the log says about it."""
    if is_expected(error):
        return batch_pb2.ItemError(**item_error(error)._asdict())
    error_id = new_error_id()
    report_crash(log, error, error_id, **where)
    return batch_pb2.ItemError(**item_error(error, error_id)._asdict())
