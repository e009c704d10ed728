"""Who calls, and whether they may. Owns identity and the refusal; what is granted stands in the policy.

An identity is a SAN of the caller's certificate, URIs before DNS names, never its CN; or a token, where there is no
certificate. Any certificate of the same authority is not enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import grpc

from core.rpc import status
from core.rpc.call import Call
from core.rpc.handlers import Behavior, Handler, HandlerInterceptor, behavior_of, is_ours, with_behavior
from core.rpc.policy import Policy, Token, lets_bearer
from core.rules.errors import PaylatchError, PermissionDenied, Unauthenticated

_HEALTH = "/grpc.health.v1.Health/"
_SCHEME = "bearer "

AuthContext = Mapping[str, Sequence[bytes]]


class PolicyFile(Protocol):
    """Where the policy is read."""

    def current(self) -> Policy:
        """As it is now."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. name: as the log has it. identities: of the certificate. token: the one shown instead, if known."""

    name: str
    identities: tuple[str, ...] = ()
    token: Token | None = None


class AccessInterceptor(HandlerInterceptor):
    """Lets a call through if the policy grants the method to its caller.

    UNAUTHENTICATED: nothing says who calls. PERMISSION_DENIED: it is known who, and it is not granted. Health answers
    whoever has a certificate or a token, and on plaintext everybody.
    """

    def __init__(self, policy: PolicyFile) -> None:
        super().__init__()
        self._policy = policy

    def make(self, method: str, handler: Handler) -> Handler:
        """The handler, behind a check."""
        return with_behavior(handler, self._checking(method, behavior_of(handler)), handler.request_deserializer)

    def _checking(self, method: str, behavior: Behavior) -> Behavior:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self._check(method, context)
            except PaylatchError as error:
                if is_ours(method):
                    raise
                context.abort_with_status(status.reply_to(error))
            return behavior(request, context)

        return handle

    def _check(self, method: str, context: grpc.ServicerContext) -> None:
        policy, told = self._policy.current(), told_by(context)
        if method.startswith(_HEALTH) and (_has_certificate(told) or not _is_encrypted(told)):
            return
        caller = caller_of(told, context, policy)
        if caller.token is not None:
            is_granted = method.startswith(_HEALTH) or lets_bearer(caller.token, method)
        else:
            is_granted = policy.lets(caller.identities, method)
        if not is_granted:
            raise PermissionDenied(caller.name, method.removeprefix("/"))
        if isinstance(context, Call):
            context.name_caller(caller.name)


def caller_of(told: AuthContext, context: grpc.ServicerContext, policy: Policy) -> Caller:
    """Who calls, by what the connection tells of its peer.

    Raises:
        Unauthenticated: nothing tells.
    """
    identities = identities_of(told)
    if identities:
        return Caller(identities[0], identities)
    if _has_certificate(told):
        raise Unauthenticated("the certificate has neither a URI nor a DNS name as subject alternative name")
    token = policy.bearer(_bearer_token(context))
    if token is None:
        raise Unauthenticated("the token is not known here")
    return Caller(f"token {token.name}", token=token)


def identities_of(told: AuthContext) -> tuple[str, ...]:
    """The SANs of the peer's certificate: URIs, then DNS names. None without a certificate."""
    sans = (*told.get("peer_uri", ()), *told.get("peer_dns", ()))
    return tuple(san.decode(errors="replace") for san in sans)


def told_by(context: grpc.ServicerContext) -> AuthContext:
    """What the connection tells of its peer."""
    # The stubs know of one value for each key; there are lists.
    return cast("AuthContext", context.auth_context())


def _has_certificate(told: AuthContext) -> bool:
    return "x509_pem_cert" in told


def _is_encrypted(told: AuthContext) -> bool:
    return b"ssl" in told.get("transport_security_type", ())


def _bearer_token(context: grpc.ServicerContext) -> str:
    shown = [value for key, value in context.invocation_metadata() if key == "authorization"]
    if len(shown) != 1 or not isinstance(shown[0], str) or not shown[0].lower().startswith(_SCHEME):
        raise Unauthenticated("show a certificate, or one token as metadata `authorization: Bearer …`")
    return shown[0][len(_SCHEME) :]
