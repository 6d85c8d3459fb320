"""Signing requests as a device would make them."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def key() -> ec.EllipticCurvePrivateKey:
    """A fresh key, on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def request(name: str = "whatever", of: CertificateIssuerPrivateKeyTypes | None = None) -> str:
    """A request for a certificate called ``name`` (PEM)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(of or key(), SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def pem(private: CertificateIssuerPrivateKeyTypes) -> str:
    """A private key as PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
