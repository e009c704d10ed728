"""Certificates, tokens and a policy for real processes, and customers who show them. Owns one directory of files."""

import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from cli.pki import Issued
from core.settings import Settings
from tests.support.pki import SERVER, Pki
from tests.support.shop import Shop

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""Channels to one address share a connection, if not told otherwise."""

_SERVERS_GRANTS = {SERVER.uris[0]: ["paylatch.order.v1.OrderNotifyService/*"]}


class Secured:
    """An authority, and a policy that grants these methods to certificates and tokens of these names.

    All processes show the same certificate.
    """

    def __init__(
        self, directory: Path, grants: Mapping[str, Sequence[str]], tokens: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._pki = Pki(directory)
        certificates = _SERVERS_GRANTS | {identity_of(name): methods for name, methods in grants.items()}
        policy = self._pki.file("policy.toml")
        policy.write_text(_policy(certificates, tokens or {}))
        self.settings = self._pki.settings | {"policy_file": str(policy)}
        self._issued = {name: self._pki.issue(identity_of(name), name=name) for name in grants}

    def channel(self, address: str, name: str) -> grpc.Channel:
        """A connection of its own, with the certificate of this name."""
        return grpc.secure_channel(address, self._pki.credentials(self._issued[name]), OWN_CONNECTION)

    def channel_of_stranger(self, address: str) -> grpc.Channel:
        """The same, without a certificate."""
        return grpc.secure_channel(address, self._pki.credentials(), OWN_CONNECTION)

    def context(self, name: str | None) -> ssl.SSLContext:
        """For connections without gRPC, with the certificate of this name or none; whatever the server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        if name is not None:
            files = self._settings_of(name, self._issued[name])
            context.load_cert_chain(files["tls_certificate"], files["tls_key"])
        return context

    @contextmanager
    def shop(self, settings: Settings, name: str) -> Iterator[Shop]:
        """A customer who shows the certificate of this name."""
        with pytest.MonkeyPatch.context() as environment:
            for setting, value in self._settings_of(name, self._issued[name]).items():
                environment.setenv(f"PAYLATCH_{setting.upper()}", value)
            with Shop(settings) as shop:
                yield shop

    def _settings_of(self, name: str, issued: Issued) -> Mapping[str, str]:
        certificate, key = self._pki.file(f"{name}.pem"), self._pki.file(f"{name}.key")
        certificate.write_bytes(issued.certificate)
        key.write_bytes(issued.key)
        return {**self.settings, "tls_certificate": str(certificate), "tls_key": str(key)}


def identity_of(name: str) -> str:
    """The subject alternative name that the policy knows."""
    return f"spiffe://test/{name}"


def bearer(name: str) -> tuple[str, str]:
    """The metadata of a call that shows the token of this name."""
    return "authorization", f"Bearer {_token(name)}"


def _token(name: str) -> str:
    return f"token-of-{name}"


def _policy(certificates: Mapping[str, Sequence[str]], tokens: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "[certificates]",
        *(f"{json.dumps(name)} = {json.dumps(methods)}" for name, methods in certificates.items()),
    ]
    for name, methods in tokens.items():
        sha256 = hashlib.sha256(_token(name).encode()).hexdigest()
        lines += [f"[tokens.{name}]", f'sha256 = "{sha256}"', f"methods = {json.dumps(list(methods))}"]
    return "\n".join(lines)
