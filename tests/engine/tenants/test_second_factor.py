"""The second factor: the codes of RFC 6238, each good once, and no session without one."""

import asyncio
import base64
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from engine.audit import service as audit
from engine.certificates.vault import LocalVault
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, invitations, second_factor
from engine.tenants.model import LoggedIn
from engine.tenants.person import myself
from engine.tenants.second_factor import STEP_S, code_at, matching_step
from infra.local.postgres import Postgres
from tests.support.people import sign_in
from tests.support.tenant import Tenant

RFC_6238_SECRET = b"12345678901234567890"
RFC_6238_SHA1 = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}


@pytest.mark.parametrize(("at_s", "code"), RFC_6238_SHA1.items())
def test_codes_are_those_of_rfc_6238(at_s: int, code: str) -> None:
    assert code_at(RFC_6238_SECRET, at_s // STEP_S, digits=8) == code
    assert code_at(RFC_6238_SECRET, at_s // STEP_S) == code[2:]


def test_a_code_fits_its_own_step_and_the_neighbours_and_only_later_than_the_last() -> None:
    code = code_at(RFC_6238_SECRET, 100)
    assert [matching_step(RFC_6238_SECRET, code, n * STEP_S, 0) for n in (98, 99, 100, 101, 102)] == [
        None,
        *([100] * 3),
        None,
    ]
    assert matching_step(RFC_6238_SECRET, code, 100 * STEP_S, 99) == 100
    assert matching_step(RFC_6238_SECRET, code, 100 * STEP_S, 100) is None


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    """A vault of this test's own."""
    return LocalVault(tmp_path / "vault.key")


NOW = time.time()


@pytest.fixture(autouse=True)
def _the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making a code and asking about it no step of thirty seconds ends."""
    monkeypatch.setattr("engine.tenants.second_factor.time", SimpleNamespace(time=lambda: NOW))


class Phone:
    """An authenticator app: shows the code of the step after the one that confirmed, and so on."""

    def __init__(self, secret: str) -> None:
        self._secret = base64.b32decode(secret)
        self._shown = 0

    def code(self) -> str:
        """The next code that was not shown yet; one step ahead at most, as a fast clock would be."""
        self._shown = max(self._shown + 1, int(NOW // STEP_S) - 1)
        return code_at(self._secret, self._shown)

    def same_again(self) -> str:
        """The code shown last."""
        return code_at(self._secret, self._shown)


async def _enrolled(tenant: Tenant, vault: LocalVault) -> tuple[Phone, list[str]]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        secret, _ = await second_factor.enrol(tx, vault, password=tenant.password)
    phone = Phone(secret)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        codes, _ = await second_factor.confirm(tx, vault, code=phone.code())
    return phone, codes


async def _login(tenant: Tenant, vault: LocalVault, code: str) -> LoggedIn:
    return await doorway.login(tenant.store, tenant.email, tenant.password, code=code, vault=vault)


async def test_once_confirmed_the_password_alone_opens_nothing(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    phone, _ = await _enrolled(tenant, vault)
    with pytest.raises(errors.SecondFactorNeeded):
        await doorway.login(store, tenant.email, tenant.password)
    with pytest.raises(errors.SecondFactorNeeded):
        await _login(tenant, vault, "")
    with pytest.raises(errors.CodeWrong):
        await _login(tenant, vault, "000000" if phone.same_again() != "000000" else "000001")
    assert (await _login(tenant, vault, phone.code())).user.id == tenant.user_id


async def test_before_it_is_confirmed_it_asks_for_nothing(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        secret, uri = await second_factor.enrol(tx, vault, password=tenant.password)
    said = parse_qs(urlsplit(uri).query)
    assert (said["secret"], said["issuer"], urlsplit(uri).scheme) == ([secret], ["Tidegate"], "otpauth")
    assert await sign_in(tenant)
    with pytest.raises(errors.CodeWrong):
        async with store.as_tenant(tenant.principal()) as tx:
            await second_factor.confirm(tx, vault, code=code_at(base64.b32decode(secret), 1))
    assert await sign_in(tenant)


async def test_a_code_opens_one_session_even_if_sent_three_times_at_once(tenant: Tenant, vault: LocalVault) -> None:
    phone, _ = await _enrolled(tenant, vault)
    code = phone.code()
    ends = await asyncio.gather(*(_login(tenant, vault, code) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(end, LoggedIn) for end in ends) == 1
    assert [type(end) for end in ends if isinstance(end, BaseException)] == [errors.CodeWrong] * 2
    with pytest.raises(errors.CodeWrong):
        await _login(tenant, vault, phone.same_again())


async def test_a_recovery_code_opens_one_session_and_its_use_is_in_the_log(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    _, codes = await _enrolled(tenant, vault)
    assert len(set(codes)) == 10
    assert await _login(tenant, vault, codes[0].upper().replace("-", " "))
    with pytest.raises(errors.CodeWrong):
        await _login(tenant, vault, codes[0])
    assert await _login(tenant, vault, codes[1])
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await myself(tx))[0].recovery_left == 8
        entries = (await audit.page(tx)).items
    assert [entry.after for entry in entries if entry.action == "second_factor.recover"] == [
        {"codes_left": 8},
        {"codes_left": 9},
    ]
    assert not [code for code in (*codes, tenant.password) if code in repr(entries)]


async def test_the_second_step_goes_on_from_the_first_and_ends_with_the_password(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    phone, codes = await _enrolled(tenant, vault)
    with pytest.raises(errors.SecondFactorNeeded) as needed:
        await _login(tenant, vault, "")
    note = str(needed.value.details["challenge"])
    with pytest.raises(errors.SecondFactorNeeded):
        await doorway.second_step(store, note, "", vault=vault)
    with pytest.raises(errors.CodeWrong):
        await doorway.second_step(store, note, "no code at all", vault=vault)
    assert (await doorway.second_step(store, note, phone.code(), vault=vault)).user.id == tenant.user_id
    for forged in ("", "AAAA", note[:-4] + "AAA="):
        with pytest.raises(errors.BadCredentials):
            await doorway.second_step(store, forged, codes[0], vault=vault)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute("UPDATE users SET password_hash = 'other' WHERE id = %s", [tenant.user_id])
    with pytest.raises(errors.BadCredentials):
        await doorway.second_step(store, note, codes[0], vault=vault)


async def test_turning_it_off_takes_the_password_and_a_code(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    _, codes = await _enrolled(tenant, vault)
    for password, code, refusal in (
        ("not the password", codes[0], errors.PasswordWrong),
        (tenant.password, "not a code", errors.CodeWrong),
    ):
        with pytest.raises(refusal):
            async with store.as_tenant(tenant.principal()) as tx:
                await second_factor.remove(tx, vault, password=password, code=code)
    with pytest.raises(errors.SecondFactorPresent):
        async with store.as_tenant(tenant.principal()) as tx:
            await second_factor.enrol(tx, vault, password=tenant.password)
    async with store.as_tenant(tenant.principal()) as tx:
        await second_factor.remove(tx, vault, password=tenant.password, code=codes[0])
    assert await sign_in(tenant)


async def test_turning_it_on_ends_the_other_sessions(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    before = await sign_in(tenant)
    await _enrolled(tenant, vault)
    assert await doorway.session(store, before.secret) is None


async def test_guessing_codes_is_slowed(tenant: Tenant, vault: LocalVault) -> None:
    phone, _ = await _enrolled(tenant, vault)
    for _ in range(10):
        with pytest.raises(errors.CodeWrong):
            await _login(tenant, vault, "not-a-recovery-code")
    with pytest.raises(errors.TooManyTries):
        await _login(tenant, vault, phone.code())


async def test_joining_another_tenant_takes_the_code_too(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    _, codes = await _enrolled(neighbour, vault)
    async with store.as_tenant(tenant.principal()) as tx:
        _, secret = await invitations.invite(tx, email=neighbour.email, role=Role.VIEWER)
    assert (await invitations.look(store, secret)).needs_code
    with pytest.raises(errors.SecondFactorNeeded):
        await invitations.accept(store, secret, password=neighbour.password, vault=vault)
    joined = await invitations.accept(store, secret, password=neighbour.password, code=codes[0], vault=vault)
    assert joined.membership.tenant_id == tenant.id


async def test_the_secret_lies_sealed_and_codes_hashed(tenant: Tenant, postgres: Postgres, vault: LocalVault) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        secret, _ = await second_factor.enrol(tx, vault, password=tenant.password)
    with psycopg.connect(postgres.url("superuser")) as connection:
        row = connection.execute("SELECT totp FROM users WHERE id = %s", [tenant.user_id]).fetchone()
    assert row is not None
    assert base64.b32decode(secret) not in bytes(row[0])
    assert await vault.open(bytes(row[0]), b"totp|" + tenant.user_id.bytes) == base64.b32decode(secret)
