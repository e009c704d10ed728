"""Certificates for tests, as files. Owns one authority and a directory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from cli.pki import Authority, Issued, Names, Validity

SERVER = Names(["spiffe://test/server"], ["localhost"], ["127.0.0.1"])


def validity(days: int = 1) -> Validity:
    """From an hour ago; of less than no days: over."""
    now = datetime.now(UTC)  # grpc judges by the machine's clock
    return Validity(now - timedelta(days=10), now + timedelta(days=days))


class Pki:
    """An authority, and the files of a server."""

    def __init__(self, directory: Path, name: str = "test CA") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._authority = Authority(name, validity())
        self.ca = self._authority.pem
        self.write_server()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server with these files."""
        names = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_ca": "ca.pem"}
        return {setting: str(self._directory / name) for setting, name in names.items()}

    def write_server(self, names: Names = SERVER, days: int = 1) -> Issued:
        """A new certificate for the server, over the old one."""
        issued = self._authority.issue("server", names, validity(days))
        for name, content in (("server.pem", issued.certificate), ("server.key", issued.key), ("ca.pem", self.ca)):
            self.file(name).write_bytes(content)
        return issued

    def file(self, name: str) -> Path:
        """A file beside the others."""
        return self._directory / name

    def issue(self, *uris: str, dns: Sequence[str] = (), name: str = "client", days: int = 1) -> Issued:
        """A certificate for a client."""
        return self._authority.issue(name, Names(uris, dns), validity(days))

    def credentials(self, shown: Issued | None = None) -> grpc.ChannelCredentials:
        """Trust this authority, and show a certificate, or none."""
        key, certificate = (shown.key, shown.certificate) if shown is not None else (None, None)
        return grpc.ssl_channel_credentials(self.ca, key, certificate)
