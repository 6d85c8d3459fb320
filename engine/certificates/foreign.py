"""Certificates that others have made: an authority a tenant brings along, and what it signed."""

from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.certificates.x509 import MAX_CSR_BYTES, _is_strong


class Unfit(Exception):
    """A certificate cannot serve; the message says why and what to change."""


def read(pem: str) -> x509.Certificate:
    """One certificate from PEM. Raises Unfit."""
    if len(pem) > MAX_CSR_BYTES:
        raise Unfit("A certificate has at most 16 KiB.")
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise Unfit("That is no certificate in PEM.") from None


def read_der(der: bytes) -> x509.Certificate:
    """One certificate from DER. Raises Unfit."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise Unfit("That is no certificate.") from None


def check_authority(authority: x509.Certificate, now: datetime) -> None:
    """Raises Unfit unless TLS can take ``authority`` for the root of devices' certificates without harm to others.

    OpenSSL looks an issuer up by its name and key identifier. The identifier must therefore be the SHA-1 of the key
    (RFC 5280, section 4.2.1.2, the first method): nobody can then bring an authority that stands in for another's.
    """
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        key = authority.public_key()
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, UnsupportedAlgorithm):
        raise Unfit(
            "An authority's certificate says basicConstraints CA:TRUE, keyUsage keyCertSign and subjectKeyIdentifier."
        ) from None
    if not basic.ca or not usage.key_cert_sign:
        raise Unfit("This certificate may not sign others: it needs CA:TRUE and keyCertSign.")
    if not _is_strong(key):
        raise Unfit("Its key is too weak or of a kind not known here: EC P-256 or more, Ed25519, RSA from 2048 bits.")
    if identifier.digest != x509.SubjectKeyIdentifier.from_public_key(key).digest:
        raise Unfit("Its subjectKeyIdentifier must be the hash of its key (openssl: subjectKeyIdentifier=hash).")
    if not is_issued_by(authority, authority):
        raise Unfit("It is not signed by itself; register the root, which signs the devices' certificates directly.")
    if not authority.not_valid_before_utc <= now < authority.not_valid_after_utc:
        raise Unfit("It is not valid now.")


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether ``authority``'s key signed ``certificate`` under its name."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_device(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> None:
    """Raises Unfit unless ``certificate`` is a TLS client's, valid now, with a strong key, signed by ``authority``."""
    if not is_issued_by(certificate, authority):
        raise Unfit("The certificate is not signed by the registered authority itself.")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise Unfit("The certificate is not valid now.")
    try:
        is_strong = _is_strong(certificate.public_key())
        uses = [extension.value for extension in certificate.extensions]
    except (ValueError, UnsupportedAlgorithm):
        raise Unfit("The certificate cannot be read.") from None
    if not is_strong:
        raise Unfit("The certificate's key is too weak: EC P-256 or more, Ed25519, RSA from 2048 bits.")
    for use in uses:
        if isinstance(use, x509.BasicConstraints) and use.ca:
            raise Unfit("The certificate is an authority's; a device's says CA:FALSE.")
        if isinstance(use, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CLIENT_AUTH not in use:
            raise Unfit("The certificate is not for TLS clients (extendedKeyUsage clientAuth).")


def common_name(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The subject's CN, or nothing."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def tenant_of_issuer(certificate: x509.Certificate) -> UUID | None:
    """The tenant whose authority the issuer's name claims to be; a place to look, and no proof."""
    named = certificate.issuer.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    try:
        return UUID(str(named[0].value)) if named else None
    except ValueError:
        return None


def fingerprint(certificate: x509.Certificate) -> bytes:
    """The SHA-256 of the certificate's DER, by which it is known."""
    return certificate.fingerprint(SHA256())
