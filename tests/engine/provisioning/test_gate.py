"""Devices introduce themselves: by key, by claim, after approval; and every refusal says what to do."""

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography import x509 as pyca
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from engine import clock, ids
from engine.certificates import service as certificates
from engine.certificates.errors import AuthorityEnded, CsrMalformed, KeyWeak
from engine.certificates.vault import LocalVault
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.errors import GroupDynamic, KeyMalformed
from engine.errors import Conflict
from engine.provisioning import errors, gate, knocks, provisioners, queue, secrets
from engine.provisioning.model import (
    Admitted,
    EnrolmentStatus,
    Introduction,
    Mode,
    Provisioner,
    Terms,
    Waiting,
)
from ingest import newcomers
from tests.support import csr, tokens
from tests.support.authority import Authority, der, pem
from tests.support.tenant import Tenant

ADDRESS = "192.0.2.7"


class Site:
    """One tenant's side of the gate, and devices before it."""

    def __init__(self, tenant: Tenant, vault: LocalVault) -> None:
        self.tenant, self.vault, self.store = tenant, vault, tenant.store

    async def key(self, mode: Mode = Mode.CREATE, **terms: Any) -> tuple[Provisioner, str]:
        """A provisioning key."""
        profile_id = (await self.tenant.profile()).id if mode is Mode.CREATE else None
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return await provisioners.create_key(tx, Terms("batch", mode, profile_id, **terms))

    async def come(self, key: str, device: str, **said: Any) -> Admitted:
        """A device that is let in at once."""
        outcome = await gate.introduce(self.store, self.vault, key, Introduction(device, **said), ADDRESS)
        assert isinstance(outcome, Admitted)
        return outcome

    async def wait(self, key: str, device: str, **said: Any) -> str:
        """A device that is told to wait; its ticket."""
        outcome = await gate.introduce(self.store, self.vault, key, Introduction(device, **said), ADDRESS)
        assert isinstance(outcome, Waiting)
        return outcome.ticket

    async def pending(self) -> list[UUID]:
        """Who waits."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return [each.id for each in (await queue.page(tx, status=EnrolmentStatus.PENDING)).items]

    async def as_owner(self, work: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """Something the tenant does."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return await work(tx, *given, **more)

    async def deeds(self, action: str) -> list[tuple[str, str, str | None]]:
        """Who did (or tried) this, with which result and reason."""
        query = text("SELECT actor_kind, result, reason FROM audit WHERE action = :action ORDER BY seq")
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return [tuple(row.values()) for row in await tx.rows(query, {"action": action})]


@pytest.fixture
def site(tenant: Tenant, tmp_path: Path) -> Site:
    return Site(tenant, LocalVault(tmp_path / "vault.key"))


def test_a_secret_names_its_tenant_and_nothing_else_does() -> None:
    tenant_id = uuid4()
    secret = secrets.make(secrets.KEY, tenant_id)
    assert secrets.tenant_of(secrets.KEY, secret) == tenant_id
    assert secrets.tenant_of(secrets.TICKET, secret) is None
    for bad in ("", "tgp_", secret[:-1], secret + "A", "tgp_" + "é" * 64, "tgp_" + "!" * 64, "nonsense"):
        assert secrets.tenant_of(secrets.KEY, bad) is None


async def test_a_device_comes_in_with_a_key_and_gets_what_it_asked_for(site: Site) -> None:
    group = await site.as_owner(groups.create, key="site-7", name="Site 7")
    _, key = await site.key(group_ids=(group.id,))
    by_token = await site.come(key, "pump-1", name="Pump 1", labels={"site": "7"})
    assert by_token.token is not None
    assert by_token.token.startswith("tgd_")
    assert (by_token.device.name, by_token.device.labels) == ("Pump 1", {"site": "7"})
    by_csr = await site.come(key, "pump-2", csr=csr.request())
    assert by_csr.certificate is not None
    assert by_csr.username == f"{site.tenant.key}/d/pump-2"
    by_key = await site.come(key, "pump-3", public_key=tokens.public(csr.key()))
    assert (by_key.token, by_key.certificate, by_key.credential.kind) == (None, None, "jwt")
    held = await site.as_owner(devices.page, group_id=group.id)
    assert [device.key for device in held.items] == ["pump-1", "pump-2", "pump-3"]
    assert await site.deeds("device.provision") == [("provisioner", "done", None)] * 3


async def test_an_unknown_closed_expired_or_used_up_key_lets_nobody_in(
    site: Site, neighbour: Tenant, tmp_path: Path
) -> None:
    way, key = await site.key(max_uses=1)
    theirs = Site(neighbour, LocalVault(tmp_path / "other.key"))
    forged = secrets.make(secrets.KEY, site.tenant.id)
    moved = "tgp_" + secrets.make("tgp", neighbour.id)[4:26] + key[26:]
    for unknown in (forged, moved, "tgp_short", ""):
        with pytest.raises(errors.KeyUnknown):
            await site.come(unknown, "pump-1")
    await site.come(key, "pump-1")
    with pytest.raises(errors.WayEnded):
        await site.come(key, "pump-2")
    _, open_key = await theirs.key()
    revoked, revoked_key = await site.key()
    await site.as_owner(provisioners.revoke, revoked.id)
    with pytest.raises(errors.WayEnded):
        await site.come(revoked_key, "pump-2")
    ended, ending = await site.key(expires_at=way.created_at + timedelta(hours=1))
    site.tenant.run(f"UPDATE provisioners SET expires_at = now() WHERE tenant_id = %s AND id = '{ended.id}'")
    with pytest.raises(errors.WayEnded):
        await site.come(ending, "pump-2")
    assert (await theirs.come(open_key, "pump-1")).tenant == neighbour.key, "keys of devices are free per tenant"
    assert [reason for *_, reason in await site.deeds("device.introduce")] == ["PROVISIONING_ENDED"] * 3


async def test_uses_hold_when_devices_come_all_at_once(site: Site) -> None:
    way, key = await site.key(max_uses=3)
    came = await asyncio.gather(*(site.come(key, f"pump-{n}") for n in range(8)), return_exceptions=True)
    assert sum(isinstance(each, Admitted) for each in came) == 3
    assert {type(each) for each in came} == {Admitted, errors.WayEnded}
    assert (await site.as_owner(provisioners.get, way.id)).uses == 3


async def test_nobody_takes_over_a_device_that_exists_but_its_own_key_may_ask_again(site: Site) -> None:
    way, key = await site.key()
    private = csr.key()
    first = await site.come(key, "pump-1", csr=csr.request(of=private))
    # A lost answer: the same request, byte by byte, is the same device; ECDSA signs anew, so the CSR is kept.
    request = csr.request()
    second = await site.come(key, "pump-2", csr=request)
    again = await site.come(key, "pump-2", csr=request)
    assert again.device.id == second.device.id
    assert again.certificate != second.certificate
    assert (await site.as_owner(provisioners.get, way.id)).uses == 2
    await site.come(key, "pump-3")
    for taken in ("pump-1", "pump-3"):
        with pytest.raises(errors.KeyInUse):
            await site.come(key, taken, csr=csr.request())
        with pytest.raises(errors.KeyInUse):
            await site.come(key, taken)
    await site.as_owner(devices.decommission, second.device.id)
    with pytest.raises(errors.KeyInUse):
        await site.come(key, "pump-2", csr=request)
    assert first.device.key == "pump-1"


async def test_what_a_device_says_is_checked(site: Site) -> None:
    _, key = await site.key()
    with pytest.raises(KeyMalformed):
        await site.come(key, "a/b")
    with pytest.raises(KeyMalformed):
        await site.come(key, "")
    with pytest.raises(CsrMalformed):
        await site.come(key, "pump", csr="no request")
    with pytest.raises(errors.PublicKeyPrivate):
        await site.come(key, "pump", public_key=csr.pem(csr.key()))
    with pytest.raises(errors.IntroductionMalformed):
        await site.come(key, "pump", csr=csr.request(), public_key=tokens.public(csr.key()))


async def test_a_key_for_registered_devices_lets_each_in_once(site: Site) -> None:
    _, key = await site.key(Mode.PREREGISTERED)
    pump, other = await site.tenant.device("pump-1"), await site.tenant.device("pump-2")
    with pytest.raises(errors.NotRegistered):
        await site.come(key, "pump-9")
    admitted = await site.come(key, "pump-1")
    assert admitted.device.id == pump.id
    with pytest.raises(errors.NotRegistered):
        await site.come(key, "pump-1")
    await site.as_owner(devices.activate, [other.id])
    with pytest.raises(errors.NotRegistered):
        await site.come(key, "pump-2")


async def test_who_waits_for_approval_comes_in_with_the_ticket_once(site: Site) -> None:
    _, key = await site.key(needs_approval=True)
    ticket = await site.wait(key, "pump-1", labels={"site": "7"})
    assert await site.as_owner(devices.by_key, "pump-1") is None
    assert isinstance(await gate.ask_again(site.store, site.vault, ticket, ADDRESS), Waiting)
    with pytest.raises(errors.AlreadyWaiting):
        await site.wait(key, "pump-1")
    [waiting] = await site.pending()
    approved = await site.as_owner(queue.approve, waiting)
    assert approved.status is EnrolmentStatus.APPROVED
    admitted = await gate.ask_again(site.store, site.vault, ticket, ADDRESS)
    assert isinstance(admitted, Admitted)
    assert (admitted.device.id, admitted.device.labels) == (approved.device_id, {"site": "7"})
    assert admitted.token is not None
    with pytest.raises(errors.TicketUnknown):
        await gate.ask_again(site.store, site.vault, ticket, ADDRESS)
    with pytest.raises(errors.EnrolmentDecided):
        await site.as_owner(queue.approve, waiting)


async def test_who_is_refused_is_told_why(site: Site) -> None:
    _, key = await site.key(needs_approval=True)
    ticket = await site.wait(key, "pump-1", csr=csr.request())
    [waiting] = await site.pending()
    await site.as_owner(queue.refuse, waiting, "We did not buy this one.")
    with pytest.raises(errors.TurnedAway, match="We did not buy this one"):
        await gate.ask_again(site.store, site.vault, ticket, ADDRESS)
    approved = await site.as_owner(queue.approve, waiting)
    assert approved.status is EnrolmentStatus.APPROVED, "a mind may change"
    admitted = await gate.ask_again(site.store, site.vault, ticket, ADDRESS)
    assert isinstance(admitted, Admitted)
    assert admitted.certificate is not None


async def test_a_ticket_that_was_lost_is_replaced_for_the_same_csr_only(site: Site) -> None:
    _, key = await site.key(needs_approval=True)
    request = csr.request()
    first = await site.wait(key, "pump-1", csr=request)
    second = await site.wait(key, "pump-1", csr=request)
    assert len(await site.pending()) == 1
    with pytest.raises(errors.TicketUnknown):
        await gate.ask_again(site.store, site.vault, first, ADDRESS)
    assert isinstance(await gate.ask_again(site.store, site.vault, second, ADDRESS), Waiting)
    with pytest.raises(errors.AlreadyWaiting):
        await site.wait(key, "pump-1", csr=csr.request())


async def test_the_rule_refuses_chooses_or_asks_for_approval(site: Site) -> None:
    hot = await site.tenant.profile("hot")
    group = await site.as_owner(groups.create, key="site-7", name="Site 7")
    rule = {
        "cases": [
            {"when": {"===": [{"var": "labels.site"}, "7"]}, "then": {"profile": "hot", "groups": ["site-7"]}},
            {"when": {"===": [{"var": "labels.site"}, "8"]}, "then": {"approval": True}},
        ],
        "otherwise": {"refuse": "Sites 7 and 8 only."},
    }
    _, key = await site.key(rule=rule)
    chosen = await site.come(key, "pump-7", labels={"site": "7"})
    assert chosen.device.profile_id == hot.id
    assert [each.key for each in (await site.as_owner(devices.page, group_id=group.id)).items] == ["pump-7"]
    assert await site.wait(key, "pump-8", labels={"site": "8"})
    with pytest.raises(errors.TurnedAway, match="Sites 7 and 8 only"):
        await site.come(key, "pump-9", labels={"site": "9"})
    with pytest.raises(errors.TurnedAway, match="cannot be told"):
        await site.come(key, "pump-9")
    assert await site.deeds("device.introduce") == [("provisioner", "refused", "PROVISIONING_REFUSED")] * 2
    await site.as_owner(groups.remove, group.id)
    with pytest.raises(errors.TurnedAway, match="group that is gone"):
        await site.come(key, "pump-10", labels={"site": "7"})


async def test_a_way_in_is_checked_when_it_is_made(site: Site) -> None:
    profile_id = (await site.tenant.profile()).id
    dynamic = await site.as_owner(groups.create, key="all", name="All", filter_={"keyPrefix": "pump"})
    for terms, refusal in (
        (Terms("x"), errors.ProvisionerMalformed),
        (Terms("x", Mode.PREREGISTERED, profile_id), errors.ProvisionerMalformed),
        (Terms("x", Mode.CREATE, profile_id, (dynamic.id,)), GroupDynamic),
        (Terms("x", Mode.CREATE, profile_id, rule={"cases": 1}), errors.RuleMalformed),
        (Terms("x", Mode.CREATE, profile_id, max_uses=0), errors.ProvisionerMalformed),
    ):
        with pytest.raises(refusal):
            await site.as_owner(provisioners.create_key, terms)


async def test_a_change_counts_from_the_next_device_on(site: Site) -> None:
    way, key = await site.key(max_uses=2)
    await site.come(key, "pump-1")
    with pytest.raises(errors.ProvisionerStale):
        await site.as_owner(provisioners.change, way.id, name="other", expected_version=7)
    changed = await site.as_owner(provisioners.change, way.id, needs_approval=True, max_uses=1)
    assert (changed.version, changed.needs_approval) == (2, True)
    with pytest.raises(errors.WayEnded):
        await site.come(key, "pump-2")
    await site.as_owner(provisioners.revoke, way.id)
    with pytest.raises(errors.ProvisionerEnded):
        await site.as_owner(provisioners.change, way.id, name="other")


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────

AUDIENCE = "tidegate/provision"


class Batch:
    """Devices of one production run, with the same claim certificate and key."""

    def __init__(self, site: Site, way: Provisioner, key: ec.EllipticCurvePrivateKey) -> None:
        self.site, self.way, self.key = site, way, key

    def jws(self, request: str, *, by: ec.EllipticCurvePrivateKey | None = None, **more: Any) -> str:
        """A claim for this CSR."""
        assert self.way.certificate is not None
        der = pyca.load_pem_x509_certificate(self.way.certificate.encode()).public_bytes(Encoding.DER)
        now = time.time()
        claims = {"aud": AUDIENCE, "iat": now, "exp": now + 300, "csr_sha256": ids.fingerprint(request).hex(), **more}
        header = {"alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        return tokens.jws(by or self.key, claims, header)

    async def claim(self, request: str, **more: Any) -> str:
        """The ownership token."""
        said = self.jws(request, **more)
        return (await gate.claim(self.site.store, AUDIENCE, said, request, ADDRESS)).ownership_token

    async def own(self, token: str, device: str, **said: Any) -> Admitted | Waiting:
        """Come in with it."""
        return await gate.own(self.site.store, self.site.vault, token, Introduction(device, **said), ADDRESS)


async def _batch(site: Site, **terms: Any) -> Batch:
    key = csr.key()
    made = Terms("batch 9", Mode.CREATE, (await site.tenant.profile()).id, **terms)
    way, _ = await site.as_owner(provisioners.sign_claim, site.vault, made, csr.request(of=key))
    return Batch(site, way, key)


async def test_a_claim_gives_a_token_that_is_good_once_for_one_csr(site: Site) -> None:
    batch = await _batch(site)
    private = csr.key()
    token = await batch.claim(csr.request(of=private))
    admitted = await batch.own(token, "pump-1", labels={"batch": "9"})
    assert isinstance(admitted, Admitted)
    assert admitted.certificate is not None
    shown = pyca.load_pem_x509_certificate(admitted.certificate.encode())
    assert shown.public_key() == private.public_key()
    with pytest.raises(errors.TicketUnknown):
        await batch.own(token, "pump-2")
    with pytest.raises(errors.TicketUnknown):
        await batch.own(secrets.make(secrets.OWNERSHIP, site.tenant.id), "pump-2")


async def test_a_repeated_claim_replaces_its_token(site: Site) -> None:
    batch = await _batch(site)
    request = csr.request()
    first, second = await batch.claim(request), await batch.claim(request)
    with pytest.raises(errors.TicketUnknown):
        await batch.own(first, "pump-1")
    assert isinstance(await batch.own(second, "pump-1"), Admitted)


async def test_a_token_is_spent_by_a_refusal_too_and_ends_after_an_hour(site: Site) -> None:
    batch = await _batch(site, rule={"cases": [], "otherwise": {"refuse": "Not today."}})
    token = await batch.claim(csr.request())
    with pytest.raises(errors.TurnedAway):
        await batch.own(token, "pump-1")
    with pytest.raises(errors.TicketUnknown):
        await batch.own(token, "pump-1")
    late = await batch.claim(csr.request())
    await site.as_owner(_age)
    with pytest.raises(errors.TicketExpired):
        await batch.own(late, "pump-1")


async def test_a_token_outlives_that_the_tenants_authority_has_ended(site: Site) -> None:
    batch = await _batch(site)
    token = await batch.claim(csr.request())
    site.tenant.run("UPDATE authorities SET expires_at = now() WHERE tenant_id = %s")
    for _ in range(2):  # the device may try again: it has done nothing wrong
        with pytest.raises(AuthorityEnded):
            await batch.own(token, "pump-1")
    await site.as_owner(certificates.renew, site.vault)
    assert isinstance(await batch.own(token, "pump-1"), Admitted)


async def _age(tx: Any) -> None:
    """An hour passes for whoever holds an ownership token."""
    await tx.execute(text("UPDATE enrolments SET expires_at = expires_at - interval '1 hour' WHERE status = 'claimed'"))


async def test_only_the_holder_of_the_claims_key_may_claim(site: Site, neighbour: Tenant, tmp_path: Path) -> None:
    batch = await _batch(site)
    other = await _batch(Site(neighbour, LocalVault(tmp_path / "other.key")))
    request = csr.request()
    now = time.time()
    for bad in (
        batch.jws(request, by=csr.key()),
        batch.jws(request, aud="tidegate"),
        batch.jws(request, csr_sha256="00" * 32),
        batch.jws(request, exp=now - 1, iat=now - 60),
        batch.jws(request, exp=now + 700),
        batch.jws(request, iat=now + 120, exp=now + 180),
        other.jws(request, by=batch.key),
        tokens.jwt(batch.key, "x"),
        "nonsense",
    ):
        with pytest.raises(errors.ClaimUnknown):
            await gate.claim(site.store, AUDIENCE, bad, request, ADDRESS)
    with pytest.raises(errors.ClaimUnknown):
        await gate.claim(site.store, AUDIENCE, batch.jws(request), csr.request(), ADDRESS)
    await site.as_owner(provisioners.revoke, batch.way.id)
    with pytest.raises(errors.WayEnded):
        await batch.claim(request)


async def test_a_claims_key_must_be_one_that_es256_takes(site: Site) -> None:
    made = Terms("batch", Mode.CREATE, (await site.tenant.profile()).id)
    with pytest.raises(KeyWeak, match="P-256"):
        await site.as_owner(
            provisioners.sign_claim, site.vault, made, csr.request(of=ec.generate_private_key(ec.SECP384R1()))
        )


async def test_a_claim_waits_for_approval_like_everybody_else(site: Site) -> None:
    batch = await _batch(site, needs_approval=True)
    waiting = await batch.own(await batch.claim(csr.request()), "pump-1")
    assert isinstance(waiting, Waiting)
    [enrolment] = await site.pending()
    await site.as_owner(queue.approve, enrolment)
    admitted = await gate.ask_again(site.store, site.vault, waiting.ticket, ADDRESS)
    assert isinstance(admitted, Admitted)
    assert admitted.certificate is not None


async def test_a_suspended_tenant_lets_nobody_in(site: Site) -> None:
    _, key = await site.key()
    with psycopg.connect(site.tenant.postgres.url("superuser")) as connection:
        connection.execute("UPDATE tenants SET suspended_at = now() WHERE id = %s", [site.tenant.id])
    with pytest.raises(errors.KeyUnknown):
        await site.come(key, "pump-1")


# ── certificates of a registered authority ──────────────────────────────────────────────────────────────────────────


class Plant:
    """An authority of the tenant's own, and the devices it signs; what ingest notes is written as ingest does."""

    def __init__(self, site: Site) -> None:
        self.site, self.authority = site, Authority()
        self.way_id = UUID(int=0)

    async def register(self, **terms: Any) -> None:
        """Register it, with its proof."""
        profile_id = (await self.site.tenant.profile()).id
        proof = self.authority.sign(provisioners.verification_name(self.site.tenant.id))
        made = await self.site.as_owner(
            provisioners.register_authority,
            Terms("plant", Mode.CREATE, profile_id, **terms),
            pem(self.authority.certificate),
            pem(proof),
        )
        self.way_id = made.id

    async def knock(self, name: str, *, by: ec.EllipticCurvePrivateKey | None = None) -> EnrolmentStatus | None:
        """A device with a fresh certificate called ``name`` knocks, and somebody looks."""
        shown = der(self.authority.sign(name, by=by))
        with psycopg.connect(self.site.tenant.postgres.url("ingest")) as connection:
            connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{self.site.tenant.id}}}"])
            until = clock.now() + timedelta(days=1)
            knock = [self.site.tenant.id, uuid4(), self.way_id, shown, ids.fingerprint(shown), until]
            connection.execute(newcomers.KNOCK, knock)
        return await knocks.settle(self.site.store, self.site.tenant.id, ids.fingerprint(shown))

    async def reasons(self) -> list[str]:
        """Why devices were turned away."""
        async with self.site.store.as_tenant(self.site.tenant.principal()) as tx:
            return [each.reason or "" for each in (await queue.page(tx, status=EnrolmentStatus.REFUSED)).items]


async def test_who_knocks_with_a_good_certificate_is_in_and_what_ingest_noted_is_checked_again(site: Site) -> None:
    plant = Plant(site)
    await plant.register()
    assert await plant.knock("pump-1") is EnrolmentStatus.DONE
    assert await plant.knock("pump-2", by=csr.key()) is EnrolmentStatus.REFUSED
    assert await plant.knock(f"{site.tenant.key}/d/pump-3") is EnrolmentStatus.DONE
    assert await plant.knock("somebody-else/d/pump-4") is EnrolmentStatus.REFUSED
    assert await plant.knock("pump-1") is EnrolmentStatus.REFUSED
    held = await site.as_owner(devices.page)
    assert [device.key for device in held.items] == ["pump-1", "pump-3"]
    reasons = " ".join(await plant.reasons())
    for words in ("not signed by the registered authority", "CN must be", "device with this key exists"):
        assert words in reasons
    assert await knocks.settle(site.store, site.tenant.id, bytes(32)) is None


async def test_the_rule_sees_the_certificates_name_and_what_it_refused_is_judged_anew(site: Site) -> None:
    plant = Plant(site)
    closed = {"cases": [], "otherwise": {"refuse": "Not yet."}}
    await plant.register(rule=closed)
    assert await plant.knock("pump-1") is EnrolmentStatus.REFUSED
    opened = {
        "cases": [{"when": {"starts_with": [{"var": "subject"}, "pump-"]}, "then": {}}],
        "otherwise": closed["otherwise"],
    }
    await site.as_owner(provisioners.change, plant.way_id, rule_=opened)
    query = text("SELECT material_sha256 FROM enrolments")
    async with site.store.as_tenant(site.tenant.principal()) as tx:
        [row] = await tx.rows(query)
    assert await knocks.settle(site.store, site.tenant.id, bytes(row["material_sha256"])) is EnrolmentStatus.DONE


async def test_whom_a_person_refused_stays_refused_until_a_person_approves(site: Site) -> None:
    plant = Plant(site)
    await plant.register(needs_approval=True)
    assert await plant.knock("pump-1") is EnrolmentStatus.PENDING
    [waiting] = await site.pending()
    await site.as_owner(queue.refuse, waiting, "Stolen.")
    async with site.store.as_tenant(site.tenant.principal()) as tx:
        [row] = await tx.rows(text("SELECT material_sha256 FROM enrolments"))
    assert await knocks.settle(site.store, site.tenant.id, bytes(row["material_sha256"])) is EnrolmentStatus.REFUSED
    approved = await site.as_owner(queue.approve, waiting)
    assert approved.status is EnrolmentStatus.DONE
    found = await site.as_owner(devices.credentials_of, [approved.device_id])
    assert [credential.kind for credential in found[approved.device_id]] == ["x509"]


async def test_a_device_beyond_the_tenants_quota_is_refused_and_nothing_of_it_is_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant(site)
    await plant.register()

    class Full(Conflict):
        """The tenant has as many devices as it may."""

    async def take_devices(_tx: Any, *_: Any) -> None:
        raise Full

    monkeypatch.setattr(devices.quotas, "take_devices", take_devices)
    assert await plant.knock("pump-1") is EnrolmentStatus.REFUSED
    assert await plant.reasons() == ["The tenant has as many devices as it may."]
    assert (await site.as_owner(devices.page)).items == ()
    monkeypatch.undo()
    async with site.store.as_tenant(site.tenant.principal()) as tx:
        [waiting] = (await queue.page(tx)).items
    assert (await site.as_owner(queue.approve, waiting.id)).status is EnrolmentStatus.DONE


async def test_ingest_may_note_a_knock_and_nothing_else(site: Site, neighbour: Tenant) -> None:
    plant = Plant(site)
    await plant.register()
    await plant.knock("pump-1")
    with psycopg.connect(site.tenant.postgres.url("ingest"), autocommit=True) as connection:
        for forbidden in (
            "UPDATE enrolments SET status = 'approved'",
            "DELETE FROM enrolments",
            "SELECT ticket_sha256 FROM enrolments",
            "SELECT * FROM provisioners",
            "INSERT INTO enrolments (tenant_id, ticket_sha256) VALUES (gen_random_uuid(), '')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
    with psycopg.connect(site.tenant.postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{neighbour.id}}}"])
        assert connection.execute("SELECT count(status) FROM enrolments").fetchone() == (0,)
