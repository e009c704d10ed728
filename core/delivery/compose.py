"""What every process that delivers is made of: payment database, policy, channels, and the delivery that uses them."""

import functools
import random
from dataclasses import dataclass

from core.clock import Clock
from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.delivery.measure import DeliveryMetrics
from core.logs import Logger
from core.outbox.policy import OutboxPolicy
from core.rpc.channels import Channels, open_channel
from core.rpc.outgoing import NOTHING, Outgoing
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.store.durability import warn_if_not_durable
from core.store.migrate import Schema, require_current
from core.telemetry.telemetry import OFF, Telemetry


@dataclass(frozen=True, slots=True)
class Sender:
    """Parts that belong together. Whoever composes them closes first the channels, then the database."""

    database: Database
    policy: OutboxPolicy
    channels: Channels
    delivery: Delivery


def compose_sender(
    settings: Settings,
    clock: Clock,
    log: Logger,
    open_database: OpenDatabase = Database.open,
    outgoing: Outgoing = NOTHING,
    telemetry: Telemetry = OFF,
) -> Sender:
    """The sending parts of these settings.

    Raises:
        WrongSchema: the payment database is not at this version's schema.
        Unavailable: it cannot be reached.
    """
    database = open_database(settings.payment_database_url, clock)
    require_current(database, Schema.PAYMENT)
    warn_if_not_durable(database, log)
    policy = OutboxPolicy.of(settings, random.random)
    channels = Channels(functools.partial(open_channel, outgoing=outgoing), outgoing.edition)
    bounds = (settings.notify_connect_bound, settings.notify_deadline)
    caller = OrderNotifyCaller(channels, *bounds, clock, telemetry.tracing)
    metrics = DeliveryMetrics(telemetry.metrics, policy.targets)
    return Sender(database, policy, channels, Delivery(database, caller, policy, log, telemetry.tracing, metrics))
