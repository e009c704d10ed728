"""Which process the demonstration kills. Light: it is part of the command line."""

from enum import StrEnum


class Victim(StrEnum):
    """A process, by the name the command line has for it, or none."""

    ORDER_SERVER = "order-server"
    SCHEDULER = "scheduler"
    PAYMENT_SERVER = "payment-server"
    NONE = "none"
