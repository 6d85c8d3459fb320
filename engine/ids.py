"""Identifiers and secrets: UUIDv7 for rows, random tokens for credentials."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from uuid import UUID


def uuid7() -> UUID:
    """A UUID that sorts by the time it was made (RFC 9562, version 7)."""
    at_ms = time.time_ns() // 1_000_000
    rand = int.from_bytes(os.urandom(10), "big")
    value = (at_ms & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((rand >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= rand & ((1 << 62) - 1)
    return UUID(int=value)


def array(ids: Iterable[str]) -> str:
    """Ids that are texts, as PostgreSQL writes an array: the driver looks at each of them for what needs quotes."""
    return "{" + ",".join(ids) + "}"


def array_of(ids: Iterable[UUID]) -> str:
    """As ``array``, of ids as they are: a thousand of them take the driver many times as long."""
    return "{" + b"".join([id.bytes for id in ids]).hex(",", 16) + "}"


def token(prefix: str) -> str:
    """A new secret of 256 random bits, as ``{prefix}_{base64url}``."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def fingerprint(secret: str | bytes) -> bytes:
    """The sha256 under which a random secret of 256 bits is stored and found.

    A fast hash is right here and only here: the secret is random, so there is nothing to guess. Passwords use argon2id.
    """
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()
