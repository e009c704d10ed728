"""How the outbox is worked off: the settings every worker of one payment database shares. Holds no state."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from core.rules.retry_policy import RetryPolicy
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a target's rows are left alone, and for how long.

    threshold: failures in a row that open the breaker. first_wait doubles with each further failure up to longest_wait.
    """

    threshold: int
    first_wait: timedelta
    longest_wait: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long the breaker stays open after `failures` in a row."""
        doublings = min(max(failures - self.threshold, 0), 100)
        doubled = self.first_wait.total_seconds() * 2.0**doublings
        return timedelta(seconds=min(doubled, self.longest_wait.total_seconds()))


@dataclass(frozen=True, slots=True)
class OutboxPolicy:
    """See the module.

    targets: the allow-list; rows of any other target are left alone. lease: how long a claim holds. batch_size: the
    most rows of one call. dice: a number from 0 up to 1, for jitter.
    """

    targets: frozenset[str]
    retry: RetryPolicy
    breaker: BreakerPolicy
    lease: timedelta
    batch_size: int
    dice: Callable[[], float]

    @classmethod
    def of(cls, settings: Settings, dice: Callable[[], float]) -> "OutboxPolicy":
        """The policy that the settings describe."""
        return cls(
            targets=frozenset(settings.notify_targets),
            retry=settings.retry_policy(),
            breaker=BreakerPolicy(
                settings.breaker_threshold, settings.breaker_first_wait, settings.breaker_longest_wait
            ),
            lease=settings.notify_lease,
            batch_size=settings.notify_batch_size,
            dice=dice,
        )
