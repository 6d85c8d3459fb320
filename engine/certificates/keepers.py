"""Who keeps the keys that seal the keys: one port, `KeyKeeper`; here key files of this machine, in the cloud a service.

A keeper seals nothing but data keys of 32 bytes, each for one purpose (`vault.py` does the rest). That is what AWS KMS
offers (Encrypt and Decrypt with an encryption context), so that it can take the place of the file: what the file's keys
have sealed is opened by them as long as they are kept, and no row has to be written anew.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.certificates import keyfile
from engine.certificates.errors import VaultSealed

KEY_BYTES, NONCE_BYTES = 32, 12


class KeyKeeper(Protocol):
    """Wraps data keys under a key that it does not give away."""

    @property
    def name(self) -> str:
        """Which kind it is; written down beside what was sealed."""
        ...

    def keeps(self, key_id: str) -> bool:
        """Whether a key of this name would be its own; `unwrap` tells whether it still has it."""
        ...

    async def wrap(self, data_key: bytes, purpose: bytes) -> tuple[str, bytes]:
        """The id (at most 255 bytes) of the key in force, and ``data_key`` under it. Raises VaultSealed."""
        ...

    async def unwrap(self, key_id: str, wrapped: bytes, purpose: bytes) -> bytes:
        """A data key that was wrapped for ``purpose`` under the key with this id. Raises VaultSealed."""
        ...


class LocalKeeper:
    """Keys in files: ``vault.key`` is the one in force, ``vault-{id}.key`` beside it are all that ever were.

    AES-256-GCM (NIST SP 800-38D): 12 random bytes, then ciphertext and tag; the purpose is authenticated with it. A
    key's id follows from the key, so that files may be moved and restored without a register.
    """

    name = "local"

    def __init__(self, path: Path) -> None:
        """``path``: the key in force, which is made on first use and which only its owner may read."""
        self._path = path

    def keeps(self, key_id: str) -> bool:
        """Ids of local keys are ``local:`` and 16 hexadecimal digits."""
        return _ID.fullmatch(key_id) is not None

    async def wrap(self, data_key: bytes, purpose: bytes) -> tuple[str, bytes]:
        """Under the key in force, made if there is none. Raises VaultSealed."""
        key = _opened(keyfile.read_or_make, self._path)
        nonce = os.urandom(NONCE_BYTES)
        return identity(key), nonce + AESGCM(key).encrypt(nonce, data_key, purpose)

    async def unwrap(self, key_id: str, wrapped: bytes, purpose: bytes) -> bytes:
        """By the key in force, or one that was. Raises VaultSealed."""
        key = _opened(keyfile.read, self._path)
        if identity(key) != key_id:
            key = _opened(keyfile.read, self._former(key_id))
        return decrypted(key, wrapped, purpose)

    def all_keys(self) -> list[bytes]:
        """The key in force, then those that were, for what bears no id. Raises VaultSealed."""
        keys = [_opened(keyfile.read, self._path)]
        for path in sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}")):
            keys.append(_opened(keyfile.read, path))
        return list(dict.fromkeys(keys))

    def rotate(self) -> tuple[str, str]:
        """Put another key in force; the ids of the former and of the new one. What was sealed before opens as before.

        Each key lies beside as what it is called before it comes into force, so that none is lost whenever this is
        killed, or done twice at once. Processes that run read the file anew for each use. Raises VaultSealed.
        """
        former = _opened(keyfile.read_or_make, self._path)
        new = os.urandom(KEY_BYTES)
        try:
            for key in (former, new):
                keyfile.write(self._former(identity(key)), key)
            keyfile.replace(self._path, new)
        except keyfile.KeyUnreadable as error:
            raise VaultSealed(error.message) from error
        return identity(former), identity(new)

    def _former(self, key_id: str) -> Path:
        if not self.keeps(key_id):  # it comes from the database and becomes the name of a file
            raise VaultSealed("What was sealed names a key that is none of this machine's.")
        return self._path.with_name(f"{self._path.stem}-{key_id.removeprefix('local:')}{self._path.suffix}")


def _opened(read: Callable[[Path, int], bytes], path: Path) -> bytes:
    try:
        return read(path, KEY_BYTES)
    except keyfile.KeyUnreadable as error:
        raise VaultSealed(error.message) from error


_ID = re.compile(r"local:[0-9a-f]{16}")


def identity(key: bytes) -> str:
    """What a local key is called: nothing of the key can be told from it."""
    return f"local:{hashlib.sha256(b'tidegate vault key|' + key).hexdigest()[:16]}"


def decrypted(key: bytes, sealed: bytes, purpose: bytes) -> bytes:
    """What was sealed by AES-256-GCM with the nonce in front. Raises VaultSealed."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError) as error:
        raise VaultSealed from error
