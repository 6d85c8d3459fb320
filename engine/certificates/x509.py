"""The certificates themselves (RFC 5280), made without any I/O: authority, device certificate, revocation list."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeGuard
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine import clock
from engine.certificates.errors import CsrMalformed, KeyWeak
from engine.certificates.model import AUTHORITY_DAYS, CLOCK_SKEW, REVOCATIONS_FRESH, Revoked

MAX_CSR_BYTES = 16_384
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_RSA_BITS = range(2_048, 8_193)

DeviceKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


def make_authority(tenant_id: UUID, tenant_key: str, now: datetime, number: int = 1) -> tuple[x509.Certificate, bytes]:
    """A self-signed authority (ECDSA P-256) that may sign devices and nothing else, and its private key (PKCS #8 DER).

    Its name holds the tenant's id and, from its first successor on, a number, so that no two authorities of the
    platform are called the same: whose certificate or revocation list something is, its issuer's name tells.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    called = f"Devices of {tenant_key}" if number == 1 else f"Devices of {tenant_key} {number}"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tidegate"),
            x509.NameAttribute(NameOID.COMMON_NAME, called),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, str(tenant_id)),
        ]
    )
    certificate = (
        _begun(name, name, key.public_key(), now, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )
    return certificate, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def read_csr(pem: str) -> x509.CertificateSigningRequest:
    """A signing request whose sender has the key it names, which is a strong one. Raises CsrMalformed, KeyWeak.

    Nothing else of it counts: name, extensions and validity are ours to decide.
    """
    if len(pem) > MAX_CSR_BYTES:
        raise CsrMalformed("A signing request has at most 16 KiB.")
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        key = csr.public_key()
        is_signed = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CsrMalformed from error
    if not is_signed:
        raise CsrMalformed("The signing request is not signed with the key that it names.")
    if not _is_strong(key):
        raise KeyWeak
    return csr


def sign(
    csr: x509.CertificateSigningRequest,
    name: str,
    authority: x509.Certificate,
    authority_key: bytes,
    now: datetime,
    until: datetime,
) -> x509.Certificate:
    """A certificate by which the holder of the request's key may be a TLS client called ``name``, until ``until``."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = csr.public_key()
    assert _is_strong(key)
    issuer_key = _loaded(authority_key)
    return (
        _begun(subject, authority.subject, key, now, min(until, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, SHA256())
    )


def revocation_list(
    authority: x509.Certificate, authority_key: bytes, revoked: Sequence[Revoked], now: datetime
) -> x509.CertificateRevocationList:
    """A signed list of what was taken back. Its number is made of ``now`` and, at the same ``now``, how many are on it,
    so that it never runs backwards (RFC 5280 §5.2.3).

    A long one takes as long as its certificates are many: not on an event loop.
    """
    key = _loaded(authority_key)
    listed = [
        x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at).build() for each in revoked
    ]
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=listed)  # add_… copies what it has, for each one
        .issuer_name(authority.subject)
        .last_update(now)
        .next_update(now + REVOCATIONS_FRESH)
        .add_extension(x509.CRLNumber((clock.to_ms(now) << 24) + len(revoked)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, SHA256())


def pem(made: x509.Certificate | x509.CertificateRevocationList) -> str:
    """PEM text."""
    return made.public_bytes(Encoding.PEM).decode()


def fingerprint(certificate: x509.Certificate) -> bytes:
    """The SHA-256 of the certificate's DER, by which it is known."""
    return certificate.fingerprint(SHA256())


def _begun(
    subject: x509.Name, issuer: x509.Name, key: DeviceKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_strong(key: object) -> TypeGuard[DeviceKey]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in _RSA_BITS and key.public_numbers().e >= 65_537
    return isinstance(key, ed25519.Ed25519PublicKey)


def _loaded(der: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_der_private_key(der, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
