"""Signing the audit log's present end, so that whoever rewrites the whole chain is still found out."""

import hashlib
import os
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from engine.audit.errors import NoAuditKey
from engine.settings import Settings


class Sealer:
    """An Ed25519 key (RFC 8032) that vouches for a log's end; ``key_id`` names it in each checkpoint."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = hashlib.sha256(public).hexdigest()[:16]

    @classmethod
    def load(cls, path: Path) -> "Sealer":
        """The key in the PEM file ``path``; raises NoAuditKey when it is not there or no Ed25519 key."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise NoAuditKey(f"The key of the audit log, {path}, cannot be read: {type(error).__name__}.") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise NoAuditKey(f"{path} holds no Ed25519 private key.")
        return cls(key)

    @classmethod
    def of(cls, settings: Settings) -> "Sealer":
        """The key that the settings name, else one of this folder's own, made on first use. Raises NoAuditKey."""
        if settings.audit_key is not None:
            return cls.load(settings.audit_key)
        return cls.load_or_make(settings.data_dir / "audit.key")

    @classmethod
    def load_or_make(cls, path: Path) -> "Sealer":
        """The key in ``path``, made on first use, readable by its owner only."""
        if not path.exists():
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(made)
        return cls.load(path)

    def sign(self, tenant_id: UUID, seq: int, seal: bytes) -> bytes:
        """64 bytes that only this key could have made."""
        return self._key.sign(_said(tenant_id, seq, seal))

    def vouches(self, tenant_id: UUID, seq: int, seal: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's for exactly this end of the log."""
        try:
            self._key.public_key().verify(signature, _said(tenant_id, seq, seal))
        except InvalidSignature:
            return False
        return True


def _said(tenant_id: UUID, seq: int, seal: bytes) -> bytes:
    return b"tidegate audit 1|" + tenant_id.bytes + seq.to_bytes(8, "big") + seal
