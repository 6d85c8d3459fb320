"""A revocation list is signed again when something came to it or went from it, and otherwise every ten minutes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from engine.certificates import service
from engine.certificates.kept import FRESH_FOR, KeptLists, period
from engine.certificates.model import RevocationList, Revoked
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.store.pool import Store
from tests.support import csr
from tests.support.tenant import Tenant

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    return LocalVault(tmp_path / "vault.key")


def _list(size: int, issued_at: datetime = NOW) -> RevocationList:
    return RevocationList("x" * size, "CN=a", issued_at, issued_at + timedelta(days=7), 1)


def test_a_list_is_kept_for_ten_minutes() -> None:
    kept, made = KeptLists(), _list(10)
    kept.put("a", made)
    assert kept.get("a", NOW + FRESH_FOR - timedelta(seconds=1)) is made
    assert kept.get("b", NOW) is None
    assert kept.get("a", NOW + FRESH_FOR) is None
    assert kept.get("a", NOW) is None


def test_no_more_is_kept_than_there_is_room_for() -> None:
    kept = KeptLists(most_bytes=100)
    for name in ("a", "b", "b"):
        kept.put(name, _list(50))
    assert kept.get("a", NOW) is not None
    kept.put("c", _list(40))
    kept.put("d", _list(101))
    assert [name for name in "abcd" if kept.get(name, NOW)] == ["a", "c"]
    kept.put("e", _list(100))
    assert [name for name in "abcde" if kept.get(name, NOW)] == ["e"]


async def test_the_same_list_is_given_until_something_is_taken_back(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    kept, pump, theirs = KeptLists(), await tenant.device(), await neighbour.device()
    async with store.as_tenant(neighbour.principal()) as tx:
        await service.sign(tx, vault, theirs.id, csr.request())
    async with store.as_tenant(tenant.principal()) as tx:
        one, other = [await service.sign(tx, vault, pump.id, csr.request()) for _ in range(2)]
        empty = await service.revocations(tx, vault, kept=kept)
        assert await service.revocations(tx, vault, kept=kept) is empty
        await devices.revoke_credential(tx, one.credential.id)
        first = await service.revocations(tx, vault, kept=kept)
        assert await service.revocations(tx, vault, kept=kept) is first
        await devices.revoke_credential(tx, other.credential.id)
        second = await service.revocations(tx, vault, kept=kept)
        claimed = await service.revocations(tx, vault, others=[Revoked(7, tx.now)], kept=kept)
        tx.now += FRESH_FOR + timedelta(seconds=2)
        later = await service.revocations(tx, vault, kept=kept)
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        foreign = await service.revocations(tx, vault, kept=kept)
    assert [each.revoked for each in (empty, first, second, claimed, later, foreign)] == [0, 1, 2, 3, 2, 0]
    assert later.issued_at > second.issued_at
    assert foreign.issuer != empty.issuer


async def test_its_number_never_runs_backwards_whichever_process_is_asked(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    processes, pump, numbers = (KeptLists(), KeptLists()), await tenant.device(), []
    async with store.as_tenant(tenant.principal()) as tx:
        tx.now = period(tx.now) + timedelta(minutes=5)
        short, long = [await service.sign(tx, vault, pump.id, csr.request(), days=days) for days in (1, 30)]
        tx.now += timedelta(days=1) - timedelta(minutes=16)  # the short one ends in the middle of ten minutes
        for taken in (None, short, None, long, None, None, None):
            tx.now += timedelta(minutes=3)
            if taken is not None:
                await devices.revoke_credential(tx, taken.credential.id)
            for kept in processes:
                listed = await service.revocations(tx, vault, kept=kept)
                written = x509.load_pem_x509_crl(listed.pem.encode())
                number = written.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
                numbers.append((number, listed.revoked))
    assert [revoked for _, revoked in numbers][::2] == [0, 1, 1, 2, 2, 2, 1]
    assert numbers[::2] == numbers[1::2]
    assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)
    assert len(dict(numbers)) == len(set(numbers)), "no two lists with one number"
