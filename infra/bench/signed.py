"""Devices with certificates: a key of their own, a request signed by the tenant's authority, and TLS with both."""

import ssl
import tempfile
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Tenant(Protocol):
    """What is needed of a platform: asking it as a tenant."""

    async def ask(self, method: str, path: str, **body: object) -> Any:
        """One request to the REST mirror."""


async def made(tenant: Tenant, device_id: UUID) -> str:
    """A new certificate of the device and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    csr = request.public_bytes(Encoding.PEM).decode()
    signed = await tenant.ask("POST", f"/devices/{device_id}/certificates", csr=csr)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return f"{signed['certificate']}\n{secret}"


def context(pem: str, trust: Path) -> ssl.SSLContext:
    """TLS as the device that has this certificate and key, towards the server that ``trust`` names."""
    context = ssl.create_default_context(cafile=str(trust))
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
