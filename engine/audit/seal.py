"""Signing the audit log's present end, so that whoever rewrites the whole chain is still found out."""

import contextlib
import hashlib
import os
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
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
        self.public = key.public_key()
        self.key_id = key_id(self.public)

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
        """The key in ``path``, made on first use, readable by its owner only; of two who make one, one is kept."""
        if not path.exists():
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{path.name}.{os.getpid()}")
            unfinished.unlink(missing_ok=True)
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(made)
            with contextlib.suppress(FileExistsError):
                os.link(unfinished, path)
            unfinished.unlink()
        return cls.load(path)

    def sign(self, tenant_id: UUID, seq: int, seal: bytes) -> bytes:
        """64 bytes that only this key could have made."""
        return self._key.sign(_said(tenant_id, seq, seal))

    def vouches(self, tenant_id: UUID, seq: int, seal: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's for exactly this end of the log."""
        try:
            self.public.verify(signature, _said(tenant_id, seq, seal))
        except InvalidSignature:
            return False
        return True


def key_id(key: Ed25519PublicKey) -> str:
    """By what a key is known in checkpoints and in the key set: 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _said(tenant_id: UUID, seq: int, seal: bytes) -> bytes:
    return b"tidegate audit 1|" + tenant_id.bytes + seq.to_bytes(8, "big") + seal
