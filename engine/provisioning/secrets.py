"""Secrets that say whose they are: 16 bytes of the tenant's id, then 32 random ones, as one text.

So whoever shows one can be looked up among that tenant's rows alone, under row-level security, before anything about
them is proven. The id is no secret and proves nothing; the sha256 of the whole text is what is stored and found.
"""

import base64
import binascii
import secrets
from uuid import UUID

KEY, OWNERSHIP, TICKET = "tgp", "tgo", "tgw"
_LENGTH = 64  # 48 bytes in base64url need no padding


def make(prefix: str, tenant_id: UUID) -> str:
    """A new secret of 256 random bits, as ``{prefix}_{base64url}``."""
    return f"{prefix}_{base64.urlsafe_b64encode(tenant_id.bytes + secrets.token_bytes(32)).decode()}"


def tenant_of(prefix: str, secret: str) -> UUID | None:
    """Whose ``secret`` claims to be, or None when it is none of this prefix."""
    word, _, text = secret.partition("_")
    if word != prefix or len(text) != _LENGTH or not text.isascii():
        return None
    try:
        return UUID(bytes=base64.b64decode(text, altchars=b"-_", validate=True)[:16])
    except (binascii.Error, ValueError):
        return None
