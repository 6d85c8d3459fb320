"""Which registered authority has signed a certificate. Imported when the first unknown one comes, as it is slow to."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from cryptography import x509

from engine.certificates import foreign


def signed_by(der: bytes, authorities: Iterable[tuple[str, UUID, UUID]]) -> list[tuple[UUID, UUID]]:
    """Of authorities (PEM, tenant, way in), the tenants and ways in of those that signed this certificate."""
    shown = x509.load_der_x509_certificate(der)
    issuer = shown.issuer
    return [
        (tenant_id, provisioner_id)
        for pem, tenant_id, provisioner_id in authorities
        if (authority := _loaded(pem)).subject == issuer and foreign.is_issued_by(shown, authority)
    ]


def claimed(der: bytes, own: Mapping[UUID, Sequence[str]]) -> tuple[UUID, str] | None:
    """Of tenants' own authorities (PEM), the tenant whose signed this certificate, and the certificate's CN.

    The issuer's name says where to look, and a signature found there is the proof.
    """
    shown = x509.load_der_x509_certificate(der)
    tenant_id = foreign.tenant_of_issuer(shown)
    if tenant_id is None:
        return None
    for pem in own.get(tenant_id, ()):
        if (authority := _loaded(pem)).subject == shown.issuer and foreign.is_issued_by(shown, authority):
            return tenant_id, foreign.common_name(shown)
    return None


@lru_cache(maxsize=10_000)
def _loaded(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())
