"""Who a request is from: each way to say so, what is remembered, and for how long."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from engine.certificates import service as certificates
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.provisioning import keys
from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Refused
from ingest.adapters.http import login
from ingest.adapters.http.exchange import Exchange
from ingest.adapters.http.login import AT_ONCE, Logins, Proof, shown
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from tests.ingest.adapters.http.caller import Caller, caller, client
from tests.ingest.adapters.http.memory import MemoryIdentifier
from tests.support import csr, tokens
from tests.support.line import Line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.tenant import Tenant

FLAT = {"temperature": 4.5}


def proof_of(authorization: str = "", certificate: bytes | None = None) -> Proof | None:
    """What a request with this header and certificate shows."""
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope: dict[str, object] = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    if certificate is not None:
        scope["extensions"] = {"tls": {"client_cert_der": certificate}}
    return shown(Exchange(scope, None, None))  # type: ignore[arg-type]  # nothing is read or sent


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_header_says_who_and_else_the_certificate_does() -> None:
    assert proof_of("Bearer tgd_x") == Proof("", b"tgd_x", None)
    assert proof_of("bearer  tgd_x ") == Proof("", b"tgd_x", None)
    assert proof_of(basic("acme/d/pump-7:tgd_x:y")) == Proof("acme/d/pump-7", b"tgd_x:y", None)
    assert proof_of(certificate=b"der") == Proof("", b"", b"der")
    assert proof_of("Bearer tgd_x", b"der") == Proof("", b"tgd_x", None)
    claims = base64.urlsafe_b64encode(b'{"sub":"acme/d/pump-7"}').rstrip(b"=").decode()
    assert proof_of(f"Bearer eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln") == Proof(
        "acme/d/pump-7", f"eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln".encode(), None
    )


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Digest x",
        "tgd_x",
        "Basic",
        "Basic %%%",
        basic("nobody"),
        basic(":x"),
        basic("x:"),
        "Basic /w==",
    ],
)
def test_what_says_nothing_is_nobody(header: str) -> None:
    assert proof_of(header) is None


@pytest.mark.parametrize("middle", ["", "x", "W10", "bnVsbA", "eyJzdWIiOjF9", "_____w"])
def test_a_jwt_that_names_nobody_is_nobodys(middle: str) -> None:
    assert proof_of(f"Bearer eyJ.{middle}.x") == Proof("", f"eyJ.{middle}.x".encode(), None)


class TestRemembering:
    """Whom the database is asked about, and how often."""

    async def who(self, logins: Logins, token: str = "pump-7", address: str = "192.0.2.7") -> Decision:
        return await logins.identify(Proof("", token.encode(), None), address)

    async def test_a_proof_is_remembered_until_its_device_changes(self) -> None:
        identifier = MemoryIdentifier()
        logins = Logins(identifier)
        device = await self.who(logins)
        assert await self.who(logins) is device
        assert identifier.asked == 1
        steps: list[Callable[[], None]] = [
            lambda: logins.forget(device.device_id),
            lambda: logins.forget_tenant(device.tenant_id),
            logins.forget_all,
        ]
        for asked, forget in enumerate(steps, 2):
            forget()
            await self.who(logins)
            await self.who(logins)
            assert identifier.asked == asked
        logins.forget(device.tenant_id)  # some other device
        await self.who(logins)
        assert identifier.asked == 4

    async def test_an_answer_that_a_change_overtook_is_not_remembered(self) -> None:
        identifier = MemoryIdentifier()
        logins = Logins(identifier)
        identifier.on_asked = logins.forget_all
        await self.who(logins)
        identifier.on_asked = lambda: None
        identifier.refused["pump-7"] = "revoked"
        with pytest.raises(Refused, match="revoked"):
            await self.who(logins)

    async def test_a_credential_that_ends_is_remembered_no_longer(self) -> None:
        identifier = MemoryIdentifier(lifetime_s=0.0)
        logins = Logins(identifier)
        await self.who(logins)
        await self.who(logins)
        assert identifier.asked == 2

    async def test_a_wrong_proof_is_asked_about_once_until_something_changes(self) -> None:
        identifier = MemoryIdentifier(refused={"pump-7": "bad_credentials", "away": "unavailable"})
        logins = Logins(identifier)
        for _ in range(50):
            with pytest.raises(Refused, match="bad_credentials"):
                await self.who(logins)
        assert identifier.asked == 1
        for _ in range(2):
            with pytest.raises(Refused, match="unavailable"):
                await self.who(logins, "away")
        assert identifier.asked == 3, "nobody has said that it is wrong"
        identifier.refused.clear()
        device = await self.who(logins, "another")
        steps: list[Callable[[], None]] = [
            lambda: logins.forget(device.device_id),
            lambda: logins.forget_tenant(device.tenant_id),
            logins.forget_all,
        ]
        for forget in steps:
            identifier.refused["late"] = "pending"
            with pytest.raises(Refused, match="pending"):
                await self.who(logins, "late")
            identifier.refused.clear()
            forget()
            await self.who(logins, "late")
            logins.forget_all()

    async def test_whoever_guesses_shuts_out_nobody_from_the_same_address(self) -> None:
        identifier = MemoryIdentifier(refused={f"wrong-{n}": "bad_credentials" for n in range(1_000)})
        logins = Logins(identifier)
        for n in range(1_000):
            with pytest.raises(Refused, match="bad_credentials"):
                await self.who(logins, f"wrong-{n}")
        assert (await self.who(logins)).device == "pump-7"

    async def test_an_address_asks_so_many_questions_at_once_and_a_known_proof_and_others_do_not_wait(self) -> None:
        identifier = Slow()
        logins = Logins(identifier)
        identifier.open.set()
        known = await self.who(logins)
        identifier.open.clear()
        guesses = [asyncio.create_task(self.who(logins, f"t-{n}")) for n in range(2 * AT_ONCE)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                while identifier.asked < 1 + AT_ONCE:
                    await asyncio.sleep(0)
                assert await self.who(logins) is known
                elsewhere = asyncio.create_task(self.who(logins, "t-0", "192.0.2.8"))
                while identifier.asked < 2 + AT_ONCE:
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert identifier.asked == 2 + AT_ONCE
                identifier.open.set()
                assert len({device.device for device in await asyncio.gather(*guesses)}) == 2 * AT_ONCE
                assert (await elsewhere).device == "t-0"
        finally:
            for guess in guesses:
                guess.cancel()

    async def test_a_turn_that_does_not_come_is_worth_another_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(login, "AT_ONCE", 1)
        monkeypatch.setattr(login, "TURN_WITHIN_S", 0.0)
        identifier = Slow()
        logins = Logins(identifier)
        first = asyncio.create_task(self.who(logins, "first"))
        async with asyncio.timeout(PATIENCE_S):
            while not identifier.asked:
                await asyncio.sleep(0)
            with pytest.raises(Refused, match="unavailable"):
                await self.who(logins, "second")
            identifier.open.set()
            assert (await first).device == "first"
            assert (await self.who(logins, "second")).device == "second"


class Slow(MemoryIdentifier):
    """Answers when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None, *, begins: bool = True
    ) -> Decision:
        decision = await super().authorize(client_id, username, secret, certificate, begins=begins)
        await self.open.wait()
        return decision


async def told(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_token_and_a_jwt_count_by_bearer_and_by_basic(pump: Caller) -> None:
    name = f"{pump.tenant.key}/d/{pump.device.key}"
    made = csr.key()
    async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
        await keys.register(tx, pump.device.id, tokens.public(made))
    for secret in (pump.token, tokens.jwt(made, name)):
        for header in (f"Bearer {secret}", basic(f"{name}:{secret}")):
            assert (await pump.post("telemetry", FLAT, headers={"Authorization": header})).status_code == 200
    forged = tokens.jwt(csr.key(), name)
    for secret in (forged, "tgd_wrong", tokens.jwt(made, name, lasts_s=-1)):
        answer = await pump.post("telemetry", FLAT, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 401
    nobody = await pump.client.post(f"/ingest/v1/{pump.device.key}/telemetry", json=FLAT)
    assert await told(nobody) == (401, "BAD_CREDENTIALS")
    assert nobody.headers["www-authenticate"].startswith("Bearer")


async def test_credentials_are_good_for_their_own_device_and_tenant_alone(
    pump: Caller, neighbour: Tenant, postgres: Postgres
) -> None:
    sibling = await caller(pump.process, pump.tenant)
    namesake = await caller(pump.process, neighbour, pump.device.key)
    path = f"/ingest/v1/{pump.device.key}/telemetry"
    answer = await pump.client.post(path, json=FLAT, headers=sibling.bearer)
    assert await told(answer) == (403, "ANOTHER_DEVICE")
    # a neighbour's device of the same key sends for itself, whatever the path and the name beside its token say
    assert (await pump.client.post(path, json=FLAT, headers=namesake.bearer)).status_code == 200
    assert len(Line(postgres).stored(neighbour)) == 1
    spoofed = {"Authorization": basic(f"{pump.tenant.key}/d/{pump.device.key}:{namesake.token}")}
    assert (await pump.client.post(path, json=FLAT, headers=spoofed)).status_code == 401
    assert Line(postgres).stored(pump.tenant) == []


async def test_who_is_revoked_or_suspended_is_refused_though_it_was_let_in_just_now(pump: Caller) -> None:
    sibling = await caller(pump.process, pump.tenant)

    async def refused(who: Caller) -> tuple[int, str]:
        async with asyncio.timeout(TOLD_S):
            while (answer := await who.post("telemetry", FLAT)).status_code == 200:
                await asyncio.sleep(0.02)
        return await told(answer)

    for who in (pump, sibling):
        assert (await who.post("telemetry", FLAT)).status_code == 200
    async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
        held = await devices.credentials_of(tx, [pump.device.id])
        await devices.revoke_credential(tx, held[pump.device.id][0].id)
        await devices.suspend(tx, sibling.device.id)
    assert await refused(pump) == (401, "REVOKED")
    assert await refused(sibling) == (403, "SUSPENDED")
    await sibling.client.aclose()


async def test_a_certificate_is_good_for_whom_its_authority_signed_it_and_no_public_thing_is_a_secret(
    pump: Caller, neighbour: Tenant, tmp_path: Path
) -> None:
    """The neighbour's own authority names our device in vain: its certificate is the neighbour's device's."""
    namesake = await neighbour.device(pump.device.key)
    path = f"/ingest/v1/{pump.device.key}/telemetry"
    for tenant, device in ((pump.tenant, pump.device), (neighbour, namesake)):
        vault, made = LocalVault(tmp_path / f"{tenant.key}.vault"), csr.key()
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            signed = await certificates.sign(tx, vault, device.id, csr.request("whatever", made))
        name = tmp_path / tenant.key
        name.with_suffix(".pem").write_text(signed.certificate)
        name.with_suffix(".key").write_text(csr.pem(made))
        context = ssl.create_default_context(cafile=str(pump.process.data_dir / "tls" / "server.pem"))
        context.load_cert_chain(name.with_suffix(".pem"), name.with_suffix(".key"))
        async with asyncio.timeout(TOLD_S):  # until the process believes an authority that is new
            while True:
                try:
                    async with client(pump.process, context) as shower:
                        answer = await shower.post(path, json=FLAT)
                        other = await shower.post("/ingest/v1/nobody/telemetry", json=FLAT)
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        assert answer.status_code == 200
        assert await told(other) == (403, "ANOTHER_DEVICE")
        [*_, values] = Line(pump.tenant.postgres).stored(tenant)[0]
        assert values == FLAT
        der = ssl.PEM_cert_to_DER_cert(signed.certificate)
        with pytest.raises(Refused, match="bad_credentials"):
            await door(pump.tenant.postgres, der)


async def door(postgres: Postgres, secret: bytes) -> Decision:
    """Whom the database knows by this secret alone."""
    url = postgres.url("ingest")
    authorizer = DoorAuthorizer(Database(url), Database(url))
    try:
        return await authorizer.authorize("", "", secret, begins=False)
    finally:
        await authorizer.close()


async def test_asking_who_it_is_leaves_a_session_and_its_credential_alone(pump: Caller, postgres: Postgres) -> None:
    url = postgres.url("ingest")
    authorizer = DoorAuthorizer(Database(url), Database(url))
    name = f"{pump.tenant.key}/d/{pump.device.key}"
    session = await authorizer.authorize("any", name, pump.token.encode())
    async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
        credential, other = await devices.issue_token(tx, pump.device.id)
    asked = await authorizer.authorize("", "", other.encode(), begins=False)
    assert (asked.device_id, asked.session_epoch) == (session.device_id, 0)
    async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
        await devices.revoke_credential(tx, credential.id)
    assert await authorizer.dead([session]) == [], "it came in by another token, and nothing took it over"
    with pytest.raises(Refused):
        await authorizer.authorize("any", "", pump.token.encode()), "a session needs a name"
    await authorizer.close()
