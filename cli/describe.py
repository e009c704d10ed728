"""What several commands say of a schedule, in words. Decides nothing."""

from cli.clients import code_name
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule


def last_attempt(schedule: NotifySchedule) -> str:
    """How the last attempt that ended did; empty before the first."""
    if not schedule.HasField("last_code"):
        return ""
    return f"{code_name(schedule.last_code)} {schedule.last_message}".rstrip()
