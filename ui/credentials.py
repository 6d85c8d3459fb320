"""A device's credentials as its page lists them, and when what has an end, as they have, came to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class CredentialLine:
    """A credential of a device without its secret; the sign is the beginning of its fingerprint."""

    id: str
    sign: str
    created_at: str
    expires_at: str
    ended_at: str
    ended_how: str


def credential_line(credential: Mapping[str, Any], now: datetime, *, ran_out: str = "ended") -> CredentialLine:
    """A credential of the contract as a page shows it; `ran_out`: the word for one whose time is over."""
    ended_at, ended_how = ended(credential, now, ran_out=ran_out)
    sign = signs(credential.get("fingerprint") or "", 8)
    return CredentialLine(
        credential["id"], sign, credential["createdAt"], credential["expiresAt"] or "", ended_at, ended_how
    )


def ended(what: Mapping[str, Any], now: datetime, *, ran_out: str = "ended") -> tuple[str, str]:
    """When it ended, or '' while it works, and how: it was revoked, or its time ran out."""
    expires, revoked = what["expiresAt"] or "", what["revokedAt"] or ""
    if revoked:
        return revoked, "revoked"
    return expires if expires and datetime.fromisoformat(expires) <= now else "", ran_out


def signs(fingerprint: str, bytes_shown: int = 32) -> str:
    """A fingerprint in pairs, as openssl shows it: `3F:A0:…`."""
    pairs = [fingerprint[at : at + 2].upper() for at in range(0, len(fingerprint), 2)]
    return ":".join(pairs[:bytes_shown]) + (":…" if len(pairs) > bytes_shown else "")
