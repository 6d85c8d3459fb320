"""Where keys are sealed before they go to the database, so that whoever has the database alone has no key.

One port, `Vault`. Ours seals in envelopes: each thing under a data key of its own (AES-256-GCM), the data key under a
key of a keeper's (`keepers.py`), and the envelope says which. So a keeper's key may be changed, or the keeper, without
writing anything anew.

    "\\0tg-env1" | length and id of the keeper's key | length and wrapped data key | nonce | ciphertext and tag
"""

import os
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.certificates.errors import VaultSealed
from engine.certificates.keepers import KEY_BYTES, NONCE_BYTES, KeyKeeper, LocalKeeper, decrypted
from engine.settings import Settings

_MARK = b"\0tg-env1"


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


class EnvelopeVault:
    """A data key for each thing, wrapped by the first keeper; every keeper's envelopes open."""

    def __init__(self, keeper: KeyKeeper, *former: KeyKeeper) -> None:
        """``keeper`` seals; ``former`` ones only open what they sealed once."""
        self._keepers = (keeper, *former)

    @property
    def name(self) -> str:
        """The name of the keeper in force."""
        return self._keepers[0].name

    async def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """``plain``, unreadable and bound to ``purpose``. Raises VaultSealed."""
        data_key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
        key_id, wrapped = await self._keepers[0].wrap(data_key, purpose)
        head = _MARK + _counted(key_id.encode(), 1) + _counted(wrapped, 2)
        return head + nonce + AESGCM(data_key).encrypt(nonce, plain, head + purpose)

    async def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed for ``purpose``. Raises VaultSealed."""
        if not sealed.startswith(_MARK):
            return self._without_envelope(sealed, purpose)
        key_id, at = _part(sealed, len(_MARK), 1)
        wrapped, at = _part(sealed, at, 2)
        try:
            name = key_id.decode()
        except UnicodeDecodeError as error:
            raise VaultSealed from error
        keeper = next((each for each in self._keepers if each.keeps(name)), None)
        if keeper is None:
            raise VaultSealed("What was sealed names a key that nobody here keeps.")
        data_key = await keeper.unwrap(name, wrapped, purpose)
        return decrypted(data_key, sealed[at:], sealed[:at] + purpose)

    def _without_envelope(self, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed with the file's key itself, before there were envelopes."""
        keys = [key for keeper in self._keepers if isinstance(keeper, LocalKeeper) for key in keeper.all_keys()]
        for key in keys:
            try:
                return decrypted(key, sealed, purpose)
            except VaultSealed:
                continue
        raise VaultSealed


class LocalVault(EnvelopeVault):
    """The vault whose keys lie in files of this machine."""

    def __init__(self, path: Path) -> None:
        """``path``: the key in force (see `LocalKeeper`)."""
        super().__init__(LocalKeeper(path))

    @classmethod
    def of(cls, settings: Settings) -> "LocalVault":
        """The vault of this installation's data folder."""
        return cls(path_of(settings))


def path_of(settings: Settings) -> Path:
    """Where this installation's vault has its key in force."""
    return settings.data_dir / "vault.key"


def _counted(part: bytes, width: int) -> bytes:
    return len(part).to_bytes(width, "big") + part


def _part(sealed: bytes, at: int, width: int) -> tuple[bytes, int]:
    begins = at + width
    ends = begins + int.from_bytes(sealed[at:begins], "big")
    if ends > len(sealed):
        raise VaultSealed
    return sealed[begins:ends], ends
