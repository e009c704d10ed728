"""Who may connect to this process and call it, and what it shows to others. Owns only that these belong together."""

import ssl
from dataclasses import dataclass, field

from core.clock import Clock
from core.logs import Logger
from core.rpc.outgoing import Outgoing
from core.rpc.policy import Policy, policy_file
from core.rpc.reloaded import Reloaded
from core.rpc.tls import Pems, https_context
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Security:
    """tls: of every port; None for plaintext. policy: of every method; None lets everybody call, on plaintext only.

    https: the same as `tls`, where metrics are scraped.
    """

    tls: Reloaded[Pems] | None = None
    policy: Reloaded[Policy] | None = None
    outgoing: Outgoing = field(default_factory=Outgoing)
    https: Reloaded[ssl.SSLContext] | None = None

    @classmethod
    def of(cls, settings: Settings, clock: Clock, log: Logger) -> "Security":
        """What these settings say.

        Raises:
            BadSetting: a file they name is no good.
        """
        outgoing = Outgoing.of(settings, clock, log)
        return cls(outgoing.tls, policy_file(settings, log), outgoing, https_context(settings, clock, log))
