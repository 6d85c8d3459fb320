"""The gate under attack: races, replays, certificates that are no claims, and tenants that are shut out."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509 as pyca
from cryptography.hazmat.primitives.serialization import Encoding

from engine import clock
from engine.certificates import service as certificates
from engine.certificates.errors import CsrMalformed
from engine.certificates.vault import LocalVault
from engine.devices import quarantine
from engine.devices import service as devices
from engine.errors import Conflict, EngineError, Forbidden
from engine.provisioning import errors, gate, provisioners, queue
from engine.provisioning.model import Admitted, Introduction, Visitor, Waiting
from tests.engine.provisioning.test_gate import ADDRESS, Batch, Site, _age, _batch
from tests.support import csr, tokens
from tests.support.authority import Authority, der
from tests.support.tenant import Tenant


@pytest.fixture
def site(tenant: Tenant, tmp_path: Path) -> Site:
    return Site(tenant, LocalVault(tmp_path / "vault.key"))


def shown(batch: Batch) -> bytes:
    """The batch's claim certificate as TLS hands it on."""
    assert batch.way.certificate is not None
    return pyca.load_pem_x509_certificate(batch.way.certificate.encode()).public_bytes(Encoding.DER)


async def claimed(site: Site, certificate: bytes, device: str = "pump-1", **said: Any) -> Admitted | Waiting:
    """Somebody that has shown this certificate over TLS."""
    about = Introduction(device, **said)
    return await gate.introduce_claimed(site.store, site.vault, Visitor(ADDRESS, certificate=certificate), about)


def outcomes(came: list[Any]) -> Counter[type]:
    return Counter(type(each) for each in came)


async def test_of_two_claims_of_one_device_at_the_same_time_one_wins_and_both_tokens_are_spent(site: Site) -> None:
    batch = await _batch(site)
    held = [await batch.claim(csr.request()) for _ in range(4)]
    came = await asyncio.gather(*(batch.own(token, "pump-1") for token in held), return_exceptions=True)
    assert outcomes(came) == {Admitted: 1, errors.KeyInUse: 3}
    again = await asyncio.gather(*(batch.own(token, "pump-2") for token in held), return_exceptions=True)
    assert outcomes(again) == {errors.TicketUnknown: 4}
    assert len((await site.as_owner(devices.page)).items) == 1
    assert (await site.as_owner(provisioners.get, batch.way.id)).uses == 1


async def test_of_two_claim_certificates_shown_for_one_device_one_wins(site: Site) -> None:
    batch = await _batch(site)
    came = await asyncio.gather(
        *(claimed(site, shown(batch), csr=csr.request()) for _ in range(4)), return_exceptions=True
    )
    assert outcomes(came) == {Admitted: 1, errors.KeyInUse: 3}


async def test_an_ownership_token_that_is_replayed_at_once_is_good_once(site: Site) -> None:
    batch = await _batch(site)
    token = await batch.claim(csr.request())
    came = await asyncio.gather(*(batch.own(token, f"pump-{n}") for n in range(6)), return_exceptions=True)
    assert outcomes(came) == {Admitted: 1, errors.TicketUnknown: 5}
    late = await batch.claim(csr.request())
    await site.as_owner(_age)
    with pytest.raises(errors.TicketExpired):
        await batch.own(late, "pump-9")


async def test_a_ticket_that_is_fetched_by_two_at_once_gives_one_credential(site: Site) -> None:
    _, key = await site.key(needs_approval=True)
    ticket = await site.wait(key, "pump-1")
    [waiting] = await site.pending()
    said = await asyncio.gather(*(site.as_owner(queue.approve, waiting) for _ in range(3)), return_exceptions=True)
    assert outcomes(said)[errors.EnrolmentDecided] == 2
    fetched = await asyncio.gather(
        *(gate.ask_again(site.store, site.vault, ticket, ADDRESS) for _ in range(4)), return_exceptions=True
    )
    assert outcomes(fetched) == {Admitted: 1, errors.TicketUnknown: 3}


async def test_a_suspended_tenant_lets_nobody_in_by_any_way_until_it_is_resumed(site: Site) -> None:
    _, key = await site.key(needs_approval=True)
    ticket = await site.wait(key, "pump-1")
    batch = await _batch(site)
    request = csr.request()
    token = await batch.claim(request)
    visitor = Visitor(ADDRESS, certificate=shown(batch))

    async def everything() -> list[Any]:
        said: tuple[Any, ...] = await asyncio.gather(
            gate.greet(site.store, Visitor(ADDRESS, key)),
            gate.greet(site.store, visitor),
            gate.introduce(site.store, site.vault, key, Introduction("pump-2"), ADDRESS),
            gate.introduce_claimed(site.store, site.vault, visitor, Introduction("pump-3", csr=csr.request())),
            batch.own(token, "pump-4"),
            gate.ask_again(site.store, site.vault, ticket, ADDRESS),
            return_exceptions=True,
        )
        return list(said)

    with psycopg.connect(site.tenant.postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("UPDATE tenants SET suspended_at = now() WHERE id = %s", [site.tenant.id])
        shut = [type(each) for each in await everything()]
        with pytest.raises(errors.ClaimUnknown):
            await batch.claim(request)
        connection.execute("UPDATE tenants SET suspended_at = NULL WHERE id = %s", [site.tenant.id])
    assert shut == [
        errors.KeyUnknown, errors.ClaimUnknown, errors.KeyUnknown, errors.ClaimUnknown, errors.TicketUnknown,
        errors.TicketUnknown,
    ]  # fmt: skip
    open_ = await everything()
    assert open_[:2] == [site.tenant.key, site.tenant.key]
    assert [type(each) for each in open_[2:]] == [Waiting, Admitted, Admitted, Waiting]


async def test_only_a_claim_certificate_of_the_tenant_opens_and_only_for_a_csr(site: Site, neighbour: Tenant) -> None:
    batch = await _batch(site)
    theirs = await _batch(Site(neighbour, site.vault))
    device = await site.tenant.device("other")
    own = await site.as_owner(certificates.sign, site.vault, device.id, csr.request())
    a_devices = pyca.load_pem_x509_certificate(own.certificate.encode()).public_bytes(Encoding.DER)
    for stranger in (b"", b"nonsense", shown(batch)[:-1], a_devices, der(Authority().sign(f"{site.tenant.key}/claim"))):
        with pytest.raises(errors.ClaimUnknown):
            await claimed(site, stranger, csr=csr.request())
        with pytest.raises(errors.ClaimUnknown):
            await gate.greet(site.store, Visitor(ADDRESS, certificate=stranger))
    for said in ({}, {"public_key": tokens.public(csr.key())}):
        with pytest.raises(errors.IntroductionMalformed, match="csr"):
            await claimed(site, shown(batch), **said)
    for bad in ("x" * 20_000, "nonsense"):
        with pytest.raises(CsrMalformed):
            await claimed(site, shown(batch), csr=bad)
    admitted = await claimed(site, shown(theirs), csr=csr.request())
    assert isinstance(admitted, Admitted)
    assert admitted.tenant == neighbour.key, "a claim is its own tenant's, whoever asks"
    await site.as_owner(provisioners.revoke, batch.way.id)
    with pytest.raises(errors.WayEnded):
        await claimed(site, shown(batch), csr=csr.request())
    assert [reason for *_, reason in await site.deeds("device.introduce")][-1] == "PROVISIONING_ENDED"


async def test_an_answer_that_was_lost_over_a_claim_is_given_again_for_the_same_csr_alone(site: Site) -> None:
    batch = await _batch(site, max_uses=1)
    request = csr.request()
    first, again = [await claimed(site, shown(batch), csr=request) for _ in range(2)]
    assert isinstance(first, Admitted)
    assert isinstance(again, Admitted)
    assert first.device.id == again.device.id
    with pytest.raises(errors.WayEnded):
        await claimed(site, shown(batch), csr=csr.request())


@pytest.mark.parametrize("cut", ["credential", "suspended", "quarantined", "way", "expired"])
async def test_whoever_was_shut_out_does_not_come_back_with_the_key_it_came_in_with(site: Site, cut: str) -> None:
    way, key = await site.key()
    request = csr.request("pump-1")
    admitted = await site.come(key, "pump-1", csr=request)
    if cut == "credential":
        await site.as_owner(devices.revoke_credential, admitted.credential.id)
    elif cut == "suspended":
        await site.as_owner(devices.suspend, admitted.device.id)
    elif cut == "quarantined":
        await site.as_owner(quarantine.quarantine, admitted.device.id, "It is on fire.")
    elif cut == "way":
        await site.as_owner(provisioners.revoke, way.id)
    else:
        await site.as_owner(provisioners.change, way.id, expires_at=clock.now() + timedelta(hours=1))
        site.tenant.run("UPDATE provisioners SET expires_at = now() WHERE tenant_id = %s")
    with pytest.raises(EngineError) as refused:
        await site.come(key, "pump-1", csr=request)
    assert isinstance(refused.value, Forbidden | Conflict)
    found = await site.as_owner(devices.credentials_of, [admitted.device.id])
    assert len(found[admitted.device.id]) == 1
