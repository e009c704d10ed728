"""What makes each fault happen, by the step it happens at. Importing this registers all of them."""

from tests.faults.points import (  # noqa: F401  # imported to be registered
    clocks,
    create,
    databases,
    delivery,
    everything,
    first_attempt,
    network,
    operators,
    order_notify,
    purge,
    receiver,
    report,
    workers,
)
