"""Every error a caller can meet, as one tree. Owns reasons and words; never knows gRPC (core/rpc/status.py maps it).

PaylatchError
├── InvalidInput        a field is wrong: all wrong fields are named     INVALID_ARGUMENT
├── MalformedRequest    the bytes are not the message they should be     INVALID_ARGUMENT
├── Unauthenticated     nothing says who calls                           UNAUTHENTICATED
├── PermissionDenied    the policy does not grant it to the caller       PERMISSION_DENIED
├── NotFound            no such row                                      NOT_FOUND
├── AlreadyExists       the key is taken by other content                ALREADY_EXISTS
├── NotAllowed          the row's present state forbids it               FAILED_PRECONDITION
│   └── IllegalEvent    a life cycle has no such transition              FAILED_PRECONDITION
├── Contended           others were faster, three times                  ABORTED
├── Overloaded          too much at once; nothing was done               RESOURCE_EXHAUSTED
└── Unavailable         a database cannot be reached or did not answer   UNAVAILABLE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MALFORMED_REQUEST = "MALFORMED_REQUEST"
"""The reason of a request that could not be read: it speaks of the call, and not of what was sent."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: its path in the request, and what is allowed."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Precondition:
    """One unmet precondition: its type, the row it is about, and what is the case."""

    type: str
    subject: str
    description: str


class PaylatchError(Exception):
    """Base of all errors meant for a caller. `reason` is stable UPPER_SNAKE; `metadata` adds keys and values to it."""

    def __init__(self, message: str, *, reason: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})

    @property
    def for_log(self) -> dict[str, str]:
        """What a log tells of it: with the cause, whose words are no caller's business."""
        told = {"reason": self.reason, "message": self.message}
        return told if self.__cause__ is None else {**told, "cause": str(self.__cause__)}


class InvalidInput(PaylatchError):
    """The request itself is wrong, whatever the state of the system. Nothing was changed."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        self.violations = tuple(violations)
        message = "; ".join(f"{v.field}: {v.description}" for v in self.violations)
        super().__init__(message, reason="INVALID_FIELDS")


class MalformedRequest(PaylatchError):
    """The bytes of a request are not its message. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "the request is not the message of this method: it was damaged on its way, or made by another contract",
            reason=MALFORMED_REQUEST,
        )


class Unauthenticated(PaylatchError):
    """Nothing says who calls, or it is not to be believed. Nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="UNAUTHENTICATED")


class PermissionDenied(PaylatchError):
    """The policy does not grant the method to the caller. Nothing was done."""

    def __init__(self, caller: str, method: str) -> None:
        super().__init__(
            f"the policy of this server does not grant {method} to {caller}",
            reason="NOT_GRANTED",
            metadata={"caller": caller, "method": method},
        )


class NotFound(PaylatchError):
    """The key names no row."""


class AlreadyExists(PaylatchError):
    """The key is taken by a row with other content. Nothing was changed."""


class NotAllowed(PaylatchError):
    """The row's present state forbids what was asked. Nothing was changed."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        violations: Sequence[Precondition],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.violations = tuple(violations)


class IllegalEvent(NotAllowed):
    """The life cycle has no such transition from the current status (SPEC 3)."""

    def __init__(self, life_cycle: str, current: str, event: str, legal_events: Sequence[str]) -> None:
        legal = ", ".join(legal_events) or "none"
        message = f"{life_cycle} is {current}: '{event}' is not possible, legal events are: {legal}"
        super().__init__(
            message,
            reason="ILLEGAL_EVENT",
            violations=[Precondition(type="LIFE_CYCLE", subject=life_cycle, description=message)],
            metadata={"current_status": current, "event": event, "legal_events": ",".join(legal_events)},
        )
        self.life_cycle = life_cycle
        self.current = current
        self.event = event
        self.legal_events = tuple(legal_events)


class Contended(PaylatchError):
    """The same rows were changed by others on every try. Nothing was changed; the same call may be made again."""

    def __init__(self) -> None:
        super().__init__(
            "others changed the same rows at the same time; nothing was changed, call again",
            reason="CONTENDED",
        )


class Overloaded(PaylatchError):
    """There is no room for the request now. Nothing was done; call again later."""


class Unavailable(PaylatchError):
    """A database is away, or its answer is unknown. The same call again decides it."""
