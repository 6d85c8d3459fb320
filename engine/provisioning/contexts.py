"""What a context of OSCORE (RFC 8613) is made of, how it is sealed, and where the key to that lies.

A context is a secret of 128 random bits and two ids. The device's own id is random and unique in the installation, so
that the kid of a message is enough to find whose it is; there is neither a salt nor an ID context, which a secret that
is random and used once does not need (RFC 8613, section 3.3). Ciphers are those that every implementation must have:
AES-CCM-16-64-128 and HKDF with SHA-256.

Ingest must have the secret itself and shall not open the installation's vault (ADR 33), so these lie in another vault,
whose key both processes have: `TIDEGATE_OSCORE_KEY`, or a file in the data folder.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from engine.settings import Settings

if TYPE_CHECKING:
    from engine.certificates.vault import Vault

SECRET_BYTES = 16
KID_BYTES = 7
"""As long as the nonce of AES-CCM-16-64-128 has room for (RFC 8613, section 3.3)."""
OUR_ID = b"\x00"
"""The platform's Sender ID in every context: the secret tells contexts apart."""


class Secrets(NamedTuple):
    """What is sealed: the Master Secret, and what a context that was shown stands for at the door of credentials.

    The latter is random and never leaves the platform, so that no password of a device opens its context, or is one.
    """

    master: bytes
    proof: bytes


def path_of(settings: Settings) -> Path:
    """Where the key lies that seals contexts."""
    return settings.oscore_key or settings.data_dir / "oscore.key"


def vault_of(settings: Settings) -> "Vault":
    """The vault of contexts; what it needs is imported when there is one to open."""
    from engine.certificates.vault import LocalVault

    return LocalVault(path_of(settings))


async def sealed(vault: "Vault", secrets: Secrets, credential_id: UUID) -> bytes:
    """The secrets of a context, unreadable and bound to its credential. Raises VaultSealed."""
    return await vault.seal(secrets.master + secrets.proof, _purpose(credential_id))


async def opened(vault: "Vault", sealed: bytes, credential_id: UUID) -> Secrets:
    """What was sealed of a context. Raises VaultSealed."""
    plain = await vault.open(sealed, _purpose(credential_id))
    return Secrets(plain[:SECRET_BYTES], plain[SECRET_BYTES:])


def _purpose(credential_id: UUID) -> bytes:
    return b"oscore:" + credential_id.bytes
