"""Where keys are sealed before they go to the database, so that whoever has the database alone has no key.

One port, `Vault`. Here it is AES-256-GCM with a key in a file of this machine; in the cloud a key service can take its
place, since nothing outside this module sees the sealing key.
"""

import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.certificates.errors import VaultSealed
from engine.settings import Settings

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Vault(Protocol):
    """Seals bytes for a purpose; what was sealed for one purpose does not open for another."""

    @property
    def name(self) -> str:
        """Which vault it is; kept beside what it sealed."""
        ...

    async def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """``plain``, unreadable and bound to ``purpose``. Raises VaultSealed."""
        ...

    async def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed for ``purpose``. Raises VaultSealed when it was changed, or sealed by or for another."""
        ...


class LocalVault:
    """AES-256-GCM (NIST SP 800-38D): 12 random bytes, then ciphertext and tag; the purpose is authenticated with it."""

    name = "local"

    def __init__(self, path: Path) -> None:
        """The key lies in ``path``, which is made on first use and which only its owner may read."""
        self._path = path

    @classmethod
    def of(cls, settings: Settings) -> "LocalVault":
        """The vault of this installation's data folder."""
        return cls(settings.data_dir / "vault.key")

    async def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """``plain``, unreadable and bound to ``purpose``. Raises VaultSealed."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key(make=True)).encrypt(nonce, plain, purpose)

    async def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed for ``purpose``. Raises VaultSealed."""
        try:
            return AESGCM(self._key()).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError) as error:
            raise VaultSealed from error

    def _key(self, *, make: bool = False) -> bytes:
        try:
            if make and not self._path.exists():
                self._make()
            key = self._path.read_bytes()
        except OSError as error:
            raise VaultSealed(f"The vault's key cannot be read: {error.strerror}.") from error
        if len(key) != _KEY_BYTES:
            raise VaultSealed("The vault's key file does not hold a key.")
        return key

    def _make(self) -> None:
        """Whole or not at all; whoever comes second uses the first one's."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(AESGCM.generate_key(_KEY_BYTES * 8))
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, self._path)
        except FileExistsError:
            pass
        finally:
            unfinished.unlink(missing_ok=True)
