"""A device's public keys, the erasure of its data, and transfers: what is asked, and what is never sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.erasure import Erasure
from ui.components.memberships import Memberships
from ui.components.oscore_contexts import OscoreContexts
from ui.components.public_keys import PublicKeys, public_key_of
from ui.pages.transfers import Transfers, offer_line

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PEM = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"
KEY: dict[str, Any] = {
    "id": "c1",
    "kind": "jwt",
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": None,
    "revokedAt": None,
    "fingerprint": "3fa0" * 16,
}
OFFER: dict[str, Any] = {
    "id": "x1",
    "deviceId": "d1",
    "status": "OFFERED",
    "toTenant": None,
    "offeredBy": "ada@example.org",
    "offeredAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2026-01-04T00:00:00Z",
    "acceptedAt": None,
    "withdrawnAt": None,
}


@pytest.fixture
async def keys(gateway: Gateway, visit: Visit) -> PublicKeys:
    device = {"key": "fan-1", "status": "ACTIVE", "profile": {"metrics": []}, "credentials": [KEY]}
    gateway.answers["DeviceCertificates"] = {"device": device}
    state = visit(PublicKeys, "/devices/d1")
    await state.load()
    return state


async def test_a_public_key_is_registered(keys: PublicKeys, gateway: Gateway) -> None:
    assert [each.sign for each in keys.lines] == ["3F:A0:3F:A0:3F:A0:3F:A0:…"]
    gateway.answers["PublicKeyRegister"] = {"publicKeyRegister": {"id": "c2"}}
    await keys.add({"key": f"read EC key\n{PEM}\n", "days": ""})
    assert gateway.variables("PublicKeyRegister") == {"deviceId": "d1", "publicKey": PEM + "\n", "expiresAt": None}
    assert keys.said


@pytest.mark.parametrize(
    "pasted", [PEM.replace("PUBLIC", "EC PRIVATE"), '{"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "c"}', "x"]
)
async def test_what_is_no_public_key_is_not_sent(keys: PublicKeys, gateway: Gateway, pasted: str) -> None:
    await keys.add({"key": pasted, "days": "90"})
    assert "public" in keys.form_problem
    assert not any(name == "PublicKeyRegister" for name, _ in gateway.asked)


async def test_a_context_is_issued_shown_once_and_revoked(gateway: Gateway, visit: Visit) -> None:
    held = [{**KEY, "kind": "oscore", "fingerprint": None}, KEY]
    device = {"key": "fan-1", "status": "ACTIVE", "profile": {"metrics": []}, "credentials": held}
    gateway.answers["DeviceCertificates"] = {"device": device}
    issued = {"masterSecret": "00ff", "senderId": "01", "recipientId": "00"}
    gateway.answers["OscoreContextIssue"] = {"oscoreContextIssue": issued}
    gateway.answers["CredentialRevoke"] = {"credentialRevoke": {"id": "c1"}}
    state = visit(OscoreContexts, "/devices/d1")
    await state.load()
    assert [each.id for each in state.lines] == ["c1"], "a public key is not among them"
    await state.add({"days": ""})
    assert gateway.variables("OscoreContextIssue") == {"deviceId": "d1", "expiresAt": None}
    assert (state.secret, state.sender_id, state.recipient_id) == ("00ff", "01", "00")
    state.put_away()
    assert state.secret == ""
    await state.revoke("c1")
    assert "no longer works" in state.said


def test_a_public_key_may_be_a_jwk() -> None:
    assert public_key_of(' {"kty": "EC"} ') == '{"kty": "EC"}'


async def test_nothing_is_erased_before_the_key_is_typed(gateway: Gateway, visit: Visit) -> None:
    gateway.refuses("DeviceErasure", "Nobody asked for it.", "ERASURE_NOT_FOUND")
    gateway.answers["DeviceErase"] = {"deviceErase": {"deviceId": "d1"}}
    state = visit(Erasure, "/devices/d1")
    await state.load()
    assert (state.is_shown, state.status) == (True, "")
    await state.erase("fan-1", {"key": "fan-2"})
    assert "Nothing was erased" in state.problem
    assert not any(name == "DeviceErase" for name, _ in gateway.asked)
    gone = [{"kind": "telemetry", "rows": 1234}, {"kind": "alerts", "rows": 0}]
    found = {"status": "running", "requestedBy": "ada", "requestedAt": "2026", "finishedAt": None, "erased": gone}
    gateway.answers["DeviceErasure"] = {"deviceErasure": {**found, "expected": 2000}}
    await state.erase("fan-1", {"key": " fan-1 "})
    assert (state.status, state.gone) == ("running", ["Telemetry: 1,234"])


@pytest.fixture
async def transfers(gateway: Gateway, visit: Visit) -> Transfers:
    gateway.answers["DeviceTransfers"] = {"deviceTransfers": {"items": [OFFER]}, "profiles": {"items": []}}
    gateway.answers["DeviceName"] = {"device": {"id": "d1", "key": "fan-1", "name": "Fan 1"}}
    state = visit(Transfers, "/devices/transfers?device=d1")
    async for _ in state.load():
        pass
    return state


async def test_a_device_is_offered_and_its_code_shown_once(transfers: Transfers, gateway: Gateway) -> None:
    assert (transfers.device_name, [each.device for each in transfers.open]) == ("Fan 1", ["Fan 1"])
    offered = {"code": "tgx_once", "moves": ["Its key."], "stays": ["Its history."], "transfer": {"id": "x2"}}
    gateway.answers["DeviceTransferOffer"] = {"deviceTransferOffer": offered}
    await transfers.offer({"tenant": " Acme ", "hours": "24"})
    assert gateway.variables("DeviceTransferOffer") == {"deviceId": "d1", "toTenant": "acme", "hours": 24}
    assert (transfers.code, transfers.moves, transfers.device_id) == ("tgx_once", ["Its key."], "")
    async for _ in transfers.load():
        pass
    assert transfers.code == ""


async def test_a_device_is_taken_over_by_a_code_that_was_broken_over_lines(
    transfers: Transfers, gateway: Gateway
) -> None:
    device = {"id": "d9", "key": "fan-1", "name": "Fan 1", "profile": {"name": "Fan", "metrics": []}}
    taken = {"token": "tgd_once", "isNewProfile": True, "moves": [], "stays": [], "device": device}
    gateway.answers["DeviceTransferAccept"] = {"deviceTransferAccept": taken}
    await transfers.accept({"code": " tgx_ab\n cd ", "key": "", "profileId": ""})
    assert gateway.variables("DeviceTransferAccept") == {"code": "tgx_abcd", "key": None, "profileId": None}
    assert (transfers.token, transfers.taken_id, "tgd_once" in transfers.command) == ("tgd_once", "d9", True)


async def test_a_refused_code_says_why_and_leaves_the_form_open(transfers: Transfers, gateway: Gateway) -> None:
    transfers.take(True)
    gateway.refuses("DeviceTransferAccept", "This code was used.", "TRANSFER_CODE_SPENT")
    await transfers.accept({"code": "tgx_x"})
    assert (transfers.form_problem, transfers.is_taking) == ("This code was used.", True)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({}, ""),
        ({"status": "ACCEPTED", "acceptedAt": "2026-01-02T00:00:00Z"}, "taken over"),
        ({"status": "WITHDRAWN", "withdrawnAt": "2026-01-02T00:00:00Z"}, "withdrawn"),
        ({"status": "EXPIRED"}, "ran out"),
    ],
)
def test_an_offer_says_how_it_ended(change: dict[str, str], how: str) -> None:
    line = offer_line({**OFFER, **change}, {})
    assert (line.ended_how, bool(line.ended_at)) == (how, bool(how))


async def test_a_device_names_the_groups_that_hold_it(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["DeviceMemberships"] = {"device": {"groups": [{"id": "g1", "name": "Site 7"}]}}
    state = visit(Memberships, "/devices/d1")
    await state.load()
    assert gateway.variables("DeviceMemberships") == {"id": "d1"}
    assert ([each.name for each in state.groups], state.is_asked) == (["Site 7"], True)
    gateway.refuses("DeviceMemberships", "No such device.", "DEVICE_NOT_FOUND")
    await state.load()
    assert (state.groups, state.is_asked, state.problem != "") == ([], False, True)
