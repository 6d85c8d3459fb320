"""What the vault seals opens for the same purpose, with the same key, and not otherwise."""

import asyncio
from pathlib import Path

import pytest

from engine.certificates.errors import VaultSealed
from engine.certificates.vault import LocalVault


async def test_what_was_sealed_opens_again_also_for_another_process(tmp_path: Path) -> None:
    sealed = await LocalVault(tmp_path / "vault.key").seal(b"secret", b"purpose")
    assert b"secret" not in sealed
    assert await LocalVault(tmp_path / "vault.key").open(sealed, b"purpose") == b"secret"
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["vault.key"]


async def test_it_opens_for_no_other_purpose_and_not_when_it_was_changed(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    sealed = await vault.seal(b"secret", b"mine")
    for wrong, purpose in (
        (sealed, b"yours"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"mine"),
        (sealed[:5], b"mine"),
        (b"", b"mine"),
    ):
        with pytest.raises(VaultSealed):
            await vault.open(wrong, purpose)


async def test_another_key_or_none_opens_nothing_and_makes_none(tmp_path: Path) -> None:
    sealed = await LocalVault(tmp_path / "one.key").seal(b"secret", b"p")
    await LocalVault(tmp_path / "two.key").seal(b"other", b"p")
    for name in ("two.key", "three.key"):
        with pytest.raises(VaultSealed):
            await LocalVault(tmp_path / name).open(sealed, b"p")
    assert not (tmp_path / "three.key").exists()
    (tmp_path / "short.key").write_bytes(b"x")
    with pytest.raises(VaultSealed, match="does not hold a key"):
        await LocalVault(tmp_path / "short.key").open(sealed, b"p")


async def test_the_same_is_never_sealed_the_same_way_twice(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    assert len({await vault.seal(b"secret", b"p") for _ in range(20)}) == 20


async def test_whoever_makes_the_key_at_the_same_time_has_the_same_one(tmp_path: Path) -> None:
    vaults = [LocalVault(tmp_path / "vault.key") for _ in range(20)]
    sealed = await asyncio.gather(*(asyncio.to_thread(asyncio.run, vault.seal(b"s", b"p")) for vault in vaults))
    assert [await vaults[0].open(each, b"p") for each in sealed] == [b"s"] * 20
