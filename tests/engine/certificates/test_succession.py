"""An authority has a successor: both count for a while, then what the former one signed counts no more, all at once."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from engine.certificates import errors, service
from engine.certificates.model import AUTHORITY_DAYS, MOST_MADE, AuthorityState, Signed
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.devices.model import Device
from engine.provisioning import provisioners, succession
from engine.provisioning.model import Mode, Terms
from engine.store.pool import Store
from tests.support import csr
from tests.support.tenant import Tenant


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    return LocalVault(tmp_path / "vault.key")


async def _signed(tenant: Tenant, vault: LocalVault, device: Device) -> Signed:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await service.sign(tx, vault, device.id, csr.request())


def _issued(signed: Signed) -> x509.Certificate:
    return x509.load_pem_x509_certificate(signed.certificate.encode())


async def test_the_successor_signs_from_now_on_and_both_are_believed(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    pump = await tenant.device()
    old = await _signed(tenant, vault, pump)
    async with store.as_tenant(tenant.principal()) as tx:
        renewed = await service.renew(tx, vault)
    new = await _signed(tenant, vault, pump)
    assert old.authority != new.authority == renewed.certificate
    roots = [x509.load_pem_x509_certificate(each.authority.encode()) for each in (old, new)]
    for root, signed in zip(roots, (old, new), strict=True):
        _issued(signed).verify_directly_issued_by(root)
    names = [root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for root in roots]
    assert names == [f"Devices of {tenant.key}", f"Devices of {tenant.key} 2"]
    assert roots[0].public_key() != roots[1].public_key()
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        current, former = await service.authorities_of(tx)
        held = (await devices.credentials_of(tx, [pump.id]))[pump.id]
        kept = await tx.rows(text("SELECT sealed_key, after::text AS said FROM authorities, audit WHERE seq = 1"))
        [told] = await tx.rows(text("SELECT target_id, after FROM audit WHERE action = 'authority.renew'"))
    assert (current.state, former.state) == (AuthorityState.CURRENT, AuthorityState.RETIRING)
    assert all(each.revoked_at is None for each in held)
    assert len({bytes(row["sealed_key"]) for row in kept}) == 2, "each key is sealed for itself"
    assert told["target_id"] == str(current.id)
    assert (told["after"]["name"], told["after"]["after"]) == (f"Devices of {tenant.key} 2", str(former.id))


async def test_there_is_nothing_to_renew_before_the_first_certificate(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.NoAuthority):
            await service.renew(tx, vault)
        assert await succession.standings(tx) == []


async def test_two_who_renew_at_once_make_two_successors_in_a_row_and_one_signs(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    await _signed(tenant, vault, await tenant.device())

    async def renew() -> None:
        async with store.as_tenant(tenant.principal()) as tx:
            await service.renew(tx, vault)
            await asyncio.sleep(0.05)

    await asyncio.gather(renew(), renew())
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        found = await service.authorities_of(tx)
    assert [each.state for each in found] == [AuthorityState.CURRENT, AuthorityState.RETIRING, AuthorityState.RETIRING]


async def test_a_tenant_makes_ten_authorities_a_month_and_no_more(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    await _signed(tenant, vault, await tenant.device())
    async with store.as_tenant(tenant.principal()) as tx:
        for _ in range(MOST_MADE - 1):
            await service.renew(tx, vault)
        with pytest.raises(errors.TooManyAuthorities):
            await service.renew(tx, vault)
        tx.now += timedelta(days=31)
        await service.renew(tx, vault)


async def test_retiring_says_first_what_it_would_cut_off(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    changed, late, spare = [await tenant.device() for _ in range(3)]
    await tenant.device_token(spare)
    signed = [await _signed(tenant, vault, each) for each in (changed, changed, late, spare)]
    async with store.as_tenant(tenant.principal()) as tx:
        former = await service.authority(tx)
        with pytest.raises(errors.AuthorityCurrent):
            await succession.retire(tx, former.id)
        await devices.revoke_credential(tx, signed[0].credential.id)
        await service.renew(tx, vault)
    await _signed(tenant, vault, changed)
    async with store.as_tenant(tenant.principal()) as tx:
        newest, before = await succession.standings(tx)
        assert (newest.reliance.certificates, newest.reliance.stranded, before.authority.id) == (1, 0, former.id)
        relies = before.reliance
        assert (relies.certificates, relies.devices, relies.stranded) == (3, 3, 1)
        assert relies.last_ends_at == max(_issued(each).not_valid_after_utc for each in signed)
        for too_few in (0, 2):
            with pytest.raises(errors.AuthorityInUse, match=r"3 certificates of 3 devices.*1 of the devices"):
                await succession.retire(tx, former.id, too_few)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert all(each.authority.retired_at is None for each in await succession.standings(tx))


async def test_a_device_is_stranded_unless_something_else_lets_it_in_now(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    """Neither a second certificate of the same authority does, nor what was taken back or has ended."""
    twice, taken_back, ended, token, renewed = held = [await tenant.device() for _ in range(5)]
    for each in (*held, twice):
        await _signed(tenant, vault, each)
    async with store.as_tenant(tenant.principal()) as tx:
        for of in (taken_back, ended, token):
            left, _ = await devices.issue_token(tx, of.id, tx.now + timedelta(days=1 if of is ended else 3))
            if of is taken_back:
                await devices.revoke_credential(tx, left.id)
        await service.renew(tx, vault)
    await _signed(tenant, vault, renewed)
    async with store.as_tenant(tenant.principal()) as tx:
        tx.now += timedelta(days=2)
        newest, before = [standing.reliance for standing in await succession.standings(tx)]
    assert (before.certificates, before.devices, before.stranded) == (6, 5, 3)
    assert (newest.certificates, newest.devices, newest.stranded) == (1, 1, 0)


async def test_a_retired_authority_takes_what_it_signed_with_it_and_nothing_else(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    pump, theirs = await tenant.device(), await neighbour.device()
    old, other = await _signed(tenant, vault, pump), await _signed(neighbour, vault, theirs)
    await tenant.device_token(pump)
    async with store.as_tenant(tenant.principal()) as tx:
        former = await service.authority(tx)
        await service.renew(tx, vault)
    new = await _signed(tenant, vault, pump)
    async with store.as_tenant(neighbour.principal()) as tx:
        with pytest.raises(errors.AuthorityNotFound):
            await succession.retire(tx, former.id, 100)
    async with store.as_tenant(tenant.principal()) as tx:
        retired = await succession.retire(tx, former.id, 1)
        again = await succession.retire(tx, former.id)
    assert retired.authority.state is AuthorityState.RETIRED
    assert again.authority.retired_at == retired.authority.retired_at
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        held = {each.id: each for each in (await devices.credentials_of(tx, [pump.id]))[pump.id]}
        lists = [await service.revocations(tx, vault, each) for each in (former.id, None)]
        [told] = await tx.rows(text("SELECT after FROM audit WHERE action = 'authority.retire'"))
    assert held.pop(old.credential.id).revoked_at is not None
    assert [each.revoked_at for each in held.values()] == [None, None]
    assert told["after"]["certificates_revoked"] == told["after"]["devices_cut_off"] == 1
    assert "BEGIN" not in str(told["after"])
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        [kept] = (await devices.credentials_of(tx, [theirs.id]))[theirs.id]
        with pytest.raises(errors.AuthorityNotFound):
            await service.revocations(tx, vault, former.id)
    assert (kept.id, kept.revoked_at) == (other.credential.id, None)
    assert [each.revoked for each in lists] == [1, 0]
    for listed, signed in zip(lists, (old, new), strict=True):
        root = x509.load_pem_x509_certificate(signed.authority.encode())
        key = root.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        made = x509.load_pem_x509_crl(listed.pem.encode())
        assert made.is_signature_valid(key)
        assert made.issuer == root.subject
    [entry] = x509.load_pem_x509_crl(lists[0].pem.encode())
    assert entry.serial_number == _issued(old).serial_number


async def test_claims_of_a_retired_authority_let_nobody_in(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    profile = await tenant.profile()
    terms = Terms("batch", Mode.CREATE, profile.id)
    async with store.as_tenant(tenant.principal()) as tx:
        way, _ = await provisioners.sign_claim(tx, vault, terms, csr.request())
        former = await service.authority(tx)
        await service.renew(tx, vault)
        later, signed_by = await provisioners.sign_claim(tx, vault, terms, csr.request())
        assert signed_by != former.certificate
    async with store.as_tenant(tenant.principal()) as tx:
        assert [each.claims for each in await succession.standings(tx)] == [1, 1]
        with pytest.raises(errors.AuthorityInUse, match="1 claim certificates"):
            await succession.retire(tx, former.id)
        await succession.retire(tx, former.id, 1)
        assert not (await provisioners.get(tx, way.id)).is_open(tx.now)
        assert (await provisioners.get(tx, later.id)).is_open(tx.now)
        assert [each.claims for each in await succession.standings(tx)] == [1, 0]
        listed, empty = [await succession.revocations(tx, vault, each) for each in (former.id, None)]
    assert way.certificate is not None
    claim = x509.load_pem_x509_certificate(way.certificate.encode())
    assert [each.serial_number for each in x509.load_pem_x509_crl(listed.pem.encode())] == [claim.serial_number]
    assert (listed.revoked, empty.revoked) == (1, 0)


async def test_nothing_lasts_longer_than_its_authority_and_an_ended_one_signs_nothing(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    pump, profile = await tenant.device(), await tenant.profile()
    whole = await _signed(tenant, vault, pump)
    assert not whole.is_shortened
    terms = Terms("batch", Mode.CREATE, profile.id)
    async with store.as_tenant(tenant.principal()) as tx:
        ends = (await service.authority(tx)).expires_at
        tx.now += timedelta(days=AUTHORITY_DAYS - 100)
        short = await service.sign(tx, vault, pump.id, csr.request(), 365)
        fits = await service.sign(tx, vault, pump.id, csr.request(), 90)
        claim, _ = await provisioners.sign_claim(tx, vault, terms, csr.request())
        assert (short.is_shortened, fits.is_shortened) == (True, False)
        assert _issued(short).not_valid_after_utc == short.credential.expires_at == claim.expires_at == ends
        tx.now += timedelta(days=101)
        for sign in (
            lambda: service.sign(tx, vault, pump.id, csr.request()),
            lambda: provisioners.sign_claim(tx, vault, terms, csr.request()),
        ):
            with pytest.raises(errors.AuthorityEnded):
                await sign()
        await service.renew(tx, vault)
        assert not (await service.sign(tx, vault, pump.id, csr.request())).is_shortened


async def test_who_signs_while_the_authority_is_retired_signs_with_its_successor(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    """A certificate must not slip in between the count and the end of its authority."""
    pump = await tenant.device()
    await _signed(tenant, vault, pump)

    async def change_over() -> None:
        async with store.as_tenant(tenant.principal()) as tx:
            former = await service.authority(tx)
            await service.renew(tx, vault)
            await succession.retire(tx, former.id, 1)
            await asyncio.sleep(0.1)

    async def sign() -> Signed:
        await asyncio.sleep(0.05)
        return await _signed(tenant, vault, pump)

    _, signed = await asyncio.gather(change_over(), sign())
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        current = await service.authority(tx)
        [held] = [c for c in (await devices.credentials_of(tx, [pump.id]))[pump.id] if c.id == signed.credential.id]
    assert (signed.authority, held.revoked_at) == (current.certificate, None)


async def test_a_claim_cannot_name_the_authority_of_another_tenant(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    await _signed(neighbour, vault, await neighbour.device())
    async with store.as_tenant(neighbour.principal()) as tx:
        successor = await service.renew(tx, vault)
    profile = await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        await provisioners.sign_claim(tx, vault, Terms("batch", Mode.CREATE, profile.id), csr.request())

    async def steal() -> None:
        async with store.as_tenant(tenant.principal()) as tx:
            await tx.execute(text("UPDATE provisioners SET authority_id = :id"), {"id": successor.id})

    with pytest.raises(IntegrityError):
        await steal()
