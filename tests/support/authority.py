"""A certificate authority that a tenant brings along, and what it signs."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from engine import clock
from tests.support import csr

_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """Signs whatever it is asked to, with a fresh key each; it and what it signs ``last`` as long."""

    def __init__(
        self, name: str = "Root of the plant", last: timedelta = timedelta(hours=1), key: Key | None = None
    ) -> None:
        self.key = key or csr.key()
        self._last = last
        usage = dict.fromkeys(_USES, False) | {"key_cert_sign": True}
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.certificate = (
            _begun(name, name, self.key, last, is_authority=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(identifier, critical=False)
            .sign(self.key, SHA256())
        )
        self._name = name

    def sign(self, name: str, *, by: Key | None = None) -> x509.Certificate:
        """A certificate called ``name``; ``by`` forges it with another key."""
        return _begun(name, self._name, csr.key(), self._last, is_authority=False).sign(by or self.key, SHA256())


def _begun(name: str, issuer: str, key: Key, last: timedelta, *, is_authority: bool) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + last)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )


def pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    """A certificate as DER."""
    return certificate.public_bytes(Encoding.DER)
