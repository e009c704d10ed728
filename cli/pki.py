"""A certificate authority for development and tests. Owns how its certificates are made; writes no file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when."""

    begin: datetime
    end: datetime

    @classmethod
    def of_days(cls, days: int, now: datetime) -> "Validity":
        """This many from now; from an hour ago, since clocks differ."""
        return cls(now - timedelta(hours=1), now + timedelta(days=days))


@dataclass(frozen=True, slots=True)
class Names:
    """What a certificate vouches for, as subject alternative names."""

    uris: Sequence[str] = ()
    dns: Sequence[str] = ()
    addresses: Sequence[str] = ()

    @property
    def extension(self) -> x509.SubjectAlternativeName:
        """As X.509 has them."""
        return x509.SubjectAlternativeName(
            [
                *(x509.UniformResourceIdentifier(uri) for uri in self.uris),
                *(x509.DNSName(name) for name in self.dns),
                *(x509.IPAddress(ip_address(address)) for address in self.addresses),
            ]
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """An authority, its key in memory."""

    def __init__(self, name: str, validity: Validity) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = (
            _begun(self._name, self._key, validity)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_may_sign(certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Its key, with which anybody can issue certificates."""
        return _key_pem(self._key)

    def issue(self, common_name: str, names: Names, validity: Validity) -> Issued:
        """A certificate for a server and client of these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _begun(_named(common_name), key, validity)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_may_sign(certificates=False), critical=True)
            .add_extension(_USES, critical=False)
        )
        if names != Names():
            builder = builder.add_extension(names.extension, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(certificate.public_bytes(Encoding.PEM), _key_pem(key))


def _begun(name: x509.Name, key: ec.EllipticCurvePrivateKey, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begin)
        .not_valid_after(validity.end)
    )


def _may_sign(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
