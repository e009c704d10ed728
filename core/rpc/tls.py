"""Certificates: this side's own, and the authority that both sides trust. Owns what makes a good set of PEM files.

Nothing of a key is ever in a message.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from core.clock import Clock
from core.logs import Logger
from core.rpc.reloaded import Reloaded
from core.settings import Settings

CERTIFICATE, KEY, CA = "PAYLATCH_TLS_CERTIFICATE", "PAYLATCH_TLS_KEY", "PAYLATCH_TLS_CA"


@dataclass(frozen=True, slots=True)
class Pems:
    """PEM files that belong together: a certificate with its chain, its key, and the certificates of the authority."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes

    @property
    def for_channel(self) -> grpc.ChannelCredentials:
        """Show the certificate, and trust a receiver that the authority vouches for."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    @property
    def for_server(self) -> grpc.ServerCertificateConfiguration:
        """The same from the other end."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.ca)


class PemFiles(Protocol):
    """Where the files are read."""

    def current(self) -> Pems:
        """As they are now."""
        ...


def pem_files(settings: Settings, clock: Clock, log: Logger) -> Reloaded[Pems] | None:
    """The files that the settings name; None if they name none.

    Raises:
        BadSetting: they are no good.
    """
    files = _files(settings)
    return Reloaded("tls", files, lambda contents: checked(contents, clock), log) if files else None


def https_context(settings: Settings, clock: Clock, log: Logger) -> Reloaded[ssl.SSLContext] | None:
    """The same files as Python's own TLS takes them, for clients that show a certificate of the authority.

    Raises:
        BadSetting: they are no good.
    """
    files = _files(settings)

    def context(contents: Mapping[str, bytes]) -> ssl.SSLContext:
        return _context(checked(contents, clock), files[CERTIFICATE], files[KEY])

    return Reloaded("https", files, context, log) if files else None


def server_credentials(files: PemFiles, *, ask_certificate: bool) -> grpc.ServerCredentials:
    """Every new connection gets what the files hold then.

    ask_certificate: let in only who shows a certificate of the authority; else whoever comes.
    """
    given = files.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        now = files.current()
        if now is given:
            return None
        given = now
        return now.for_server

    # The stubs do not know that None stands for "as before".
    fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", fetch)
    return grpc.dynamic_ssl_server_credentials(given.for_server, fetcher, require_client_authentication=ask_certificate)


def checked(contents: Mapping[str, bytes], clock: Clock) -> Pems:
    """The set of these contents, by setting.

    Raises:
        ValueError: one is no PEM, the key is another's, or a certificate is not valid now.
    """
    own, *_ = _certificates(CERTIFICATE, contents[CERTIFICATE])
    if own.public_key() != _public_key(contents[KEY]):
        raise ValueError(f"{KEY} is not the key of the certificate in {CERTIFICATE}")
    _require_valid(CERTIFICATE, own, clock)
    for authority in _certificates(CA, contents[CA]):
        _require_valid(CA, authority, clock)
    return Pems(contents[CERTIFICATE], contents[KEY], contents[CA])


def _files(settings: Settings) -> Mapping[str, Path]:
    """By the settings that name them: all three, or none."""
    if settings.tls_certificate is None or settings.tls_key is None or settings.tls_ca is None:
        return {}
    return {CERTIFICATE: settings.tls_certificate, KEY: settings.tls_key, CA: settings.tls_ca}


def _context(pems: Pems, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    authorities = _certificates(CA, pems.ca)
    context.load_verify_locations(cadata=b"".join(each.public_bytes(Encoding.DER) for each in authorities))
    try:
        # Python takes these from files only, which may be other ones by now.
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ValueError(f"{CERTIFICATE} and {KEY} were replaced while they were read: {error.strerror}") from None
    return context


def _certificates(setting: str, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"{setting} must be a PEM file that holds a certificate") from None


def _public_key(content: bytes) -> object:
    try:
        return load_pem_private_key(content, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{KEY} must be a PEM file that holds a private key without a password") from None


def _require_valid(setting: str, certificate: x509.Certificate, clock: Clock) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= clock.now() <= end:
        valid = f"{begin:%Y-%m-%d %H:%M}Z to {end:%Y-%m-%d %H:%M}Z"
        raise ValueError(f"{setting} holds a certificate that is valid from {valid} only")
