"""Keys change, and keepers too, and what was sealed opens as before; nothing else does."""

import asyncio
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.certificates.errors import VaultSealed
from engine.certificates.keepers import KeyKeeper, LocalKeeper, decrypted
from engine.certificates.vault import EnvelopeVault, LocalVault
from infra import cli

ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class Service:
    """A key service as AWS KMS is one: it wraps 32 bytes under a key that it never gives away."""

    name = "kms"

    def __init__(self) -> None:
        self.asked = 0
        self._key = os.urandom(32)

    def keeps(self, key_id: str) -> bool:
        return key_id.startswith("arn:aws:kms:")

    async def wrap(self, data_key: bytes, purpose: bytes) -> tuple[str, bytes]:
        self.asked += 1
        assert len(data_key) == 32
        return ARN, b"n" * 12 + AESGCM(self._key).encrypt(b"n" * 12, data_key, purpose)

    async def unwrap(self, key_id: str, wrapped: bytes, purpose: bytes) -> bytes:
        self.asked += 1
        if key_id != ARN:
            raise VaultSealed
        return decrypted(self._key, wrapped, purpose)


def as_before_envelopes(key: bytes, plain: bytes, purpose: bytes) -> bytes:
    """How the vault sealed at first: with the file's key itself."""
    return b"n" * 12 + AESGCM(key).encrypt(b"n" * 12, plain, purpose)


async def test_after_each_change_of_the_key_all_that_was_sealed_opens(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    vault, keeper = LocalVault(path), LocalKeeper(path)
    sealed = [await vault.seal(b"0", b"p")]
    sealed.append(as_before_envelopes(path.read_bytes(), b"1", b"p"))
    before = path.read_bytes()
    for number in (b"2", b"3"):
        former, new = keeper.rotate()
        assert former != new
        sealed.append(await vault.seal(number, b"p"))
        assert new.encode() in sealed[-1]
    assert [await LocalVault(path).open(each, b"p") for each in sealed] == [b"0", b"1", b"2", b"3"]
    assert path.read_bytes() != before
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 4, "the one in force, and all three under their names"


async def test_without_its_former_key_nothing_that_it_sealed_opens(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    vault = LocalVault(path)
    sealed = await vault.seal(b"secret", b"p")
    former, _ = LocalKeeper(path).rotate()
    (tmp_path / f"vault-{former.removeprefix('local:')}.key").unlink()
    with pytest.raises(VaultSealed):
        await vault.open(sealed, b"p")


async def test_keys_changed_by_several_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    vault, keeper = LocalVault(path), LocalKeeper(path)
    sealed: list[bytes] = []

    async def turn(number: int) -> None:
        await asyncio.to_thread(keeper.rotate)
        sealed.append(await vault.seal(str(number).encode(), b"p"))

    await asyncio.gather(*map(turn, range(12)))
    assert sorted([await vault.open(each, b"p") for each in sealed]) == sorted(str(n).encode() for n in range(12))


async def test_a_key_service_takes_the_files_place_and_no_row_is_written_anew(tmp_path: Path) -> None:
    files, service = LocalKeeper(tmp_path / "vault.key"), Service()
    keeper: KeyKeeper = service
    old = await EnvelopeVault(files).seal(b"old", b"p")
    older = as_before_envelopes((tmp_path / "vault.key").read_bytes(), b"older", b"p")
    vault = EnvelopeVault(keeper, files)
    assert vault.name == "kms"
    new = await vault.seal(b"new", b"p")
    assert [await vault.open(each, b"p") for each in (older, old, new)] == [b"older", b"old", b"new"]
    assert service.asked == 2, "it is asked for what it keeps alone"
    for other in (EnvelopeVault(files), EnvelopeVault(Service(), files)):
        with pytest.raises(VaultSealed):
            await other.open(new, b"p")


async def test_no_byte_of_an_envelope_can_be_changed_and_it_opens_for_its_purpose_alone(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    sealed = await vault.seal(b"secret", b"p")
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultSealed):
            await vault.open(changed, b"p")
    for end in range(len(sealed)):
        with pytest.raises(VaultSealed):
            await vault.open(sealed[:end], b"p")
    with pytest.raises(VaultSealed):
        await vault.open(sealed, b"q")


async def test_the_parts_of_two_envelopes_make_no_third(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    one, two = await vault.seal(b"one", b"p"), await vault.seal(b"two", b"p")
    split = len(one) - len(b"one") - 16 - 12
    with pytest.raises(VaultSealed):
        await vault.open(one[:split] + two[split:], b"p")


@pytest.mark.parametrize("key_id", ["local:../../etc/passwd", "local:", "local:" + "A" * 16, "local:/" + "0" * 15, ""])
async def test_a_key_id_never_becomes_a_path_outside(tmp_path: Path, key_id: str) -> None:
    keeper = LocalKeeper(tmp_path / "vault.key")
    await keeper.wrap(b"k" * 32, b"p")
    assert not keeper.keeps(key_id)
    with pytest.raises(VaultSealed, match="none of this machine's"):
        await keeper.unwrap(key_id, b"x" * 60, b"p")


async def test_an_operator_changes_the_key_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path))
    sealed = await LocalVault(tmp_path / "vault.key").seal(b"secret", b"p")
    key = (tmp_path / "vault.key").read_bytes()
    context = await LocalVault(tmp_path / "oscore.key").seal(b"context", b"p")
    assert cli.main(["vault", "rotate"]) == 0
    assert (tmp_path / "vault.key").read_bytes() != key
    said = capsys.readouterr().out
    assert "still opens what it sealed" in said
    assert key.hex() not in said
    assert await LocalVault(tmp_path / "vault.key").open(sealed, b"p") == b"secret"
    assert said.count("still opens what it sealed") == 2, "the key of devices' contexts is another one"
    assert await LocalVault(tmp_path / "oscore.key").open(context, b"p") == b"context"
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "nowhere"))
    assert cli.main(["vault", "rotate"]) == 1
    assert "There is no data folder" in capsys.readouterr().err
