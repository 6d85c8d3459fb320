"""An authority for a test, with a server on 127.0.0.1 and a client that it knows: made anew, kept nowhere."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_certificates(folder: Path, client: str) -> None:
    """Write ca.pem, and `.pem` and `.key` of a `server` on 127.0.0.1 and of a `client`, which is called so."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("a test's authority")
    ca = _certificate(name, key.public_key(), name, key, x509.BasicConstraints(ca=True, path_length=None))
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for file, called, extension in (
        ("server", "127.0.0.1", here),
        ("client", client, x509.BasicConstraints(ca=False, path_length=None)),
    ):
        own = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(_name(called), own.public_key(), name, key, extension)
        (folder / f"{file}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{file}.key").write_bytes(secret)


def _name(called: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, called)])


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(key, hashes.SHA256())
    )
