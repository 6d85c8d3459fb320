"""A lost second factor taken away by somebody else: who may, who is told, and recovery codes made anew."""

import base64
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from engine.audit import service as audit
from engine.certificates.vault import LocalVault
from engine.errors import EngineError
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, invitations, lost_factor, members, second_factor
from engine.tenants.model import LoggedIn
from engine.tenants.person import myself, take_factor
from engine.tenants.second_factor import STEP_S, code_at
from infra.local.postgres import Postgres
from tests.support.people import Colleague, colleague, found_operator, sign_in
from tests.support.tenant import Tenant


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    """A vault of this test's own."""
    return LocalVault(tmp_path / "vault.key")


async def _newcomer(tenant: Tenant, role: Role) -> tuple[LoggedIn, str]:
    """Somebody who belongs to this tenant alone, and their password."""
    email, password = f"{role}-{time.monotonic_ns()}@only.example", "a password of their own"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        _, secret = await invitations.invite(tx, email=email, role=role)
    return await invitations.accept(tenant.store, secret, name="Only Here", password=password), password


async def _enrol(store: Store, session: LoggedIn, password: str, vault: LocalVault, ahead: int = 0) -> list[str]:
    """Turn somebody's second factor on; their recovery codes."""
    principal = await doorway.session(store, session.secret)
    assert principal is not None
    async with store.as_tenant(principal) as tx:
        secret, _ = await second_factor.enrol(tx, vault, password=password)
        code = code_at(base64.b32decode(secret), int(time.time() // STEP_S) + ahead)
        codes, _ = await second_factor.confirm(tx, vault, code=code)
    return codes


async def _with_a_second_factor(tenant: Tenant) -> set[UUID]:
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        return {each.user.id for each in await members.listed(tx) if each.has_second_factor}


async def test_an_admin_frees_a_member_who_is_told_and_signs_in_by_password(tenant: Tenant, vault: LocalVault) -> None:
    member, password = await _newcomer(tenant, Role.VIEWER)
    await _enrol(tenant.store, member, password, vault)
    with pytest.raises(errors.SecondFactorNeeded):
        await doorway.login(tenant.store, member.user.email, password)
    assert await _with_a_second_factor(tenant) == {member.user.id}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert await lost_factor.of_member(tx, member.user.id, password=tenant.password) == 1
    assert await _with_a_second_factor(tenant) == set()
    assert await doorway.session(tenant.store, member.secret) is None
    again = await doorway.login(tenant.store, member.user.email, password)
    principal = await doorway.session(tenant.store, again.secret)
    assert principal is not None
    async with tenant.store.as_tenant(principal, read_only=True) as tx:
        told, _ = await myself(tx)
        assert told.factor_reset is not None
        assert (told.factor_reset.by, told.has_second_factor, told.recovery_left) == (tenant.email, False, 0)
    await _enrol(tenant.store, again, password, vault, ahead=1)
    async with tenant.store.as_tenant(principal, read_only=True) as tx:
        assert (await myself(tx))[0].factor_reset is None
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        [said] = (await audit.page(tx, action="second_factor.reset")).items
    assert (said.actor_name, said.target_id) == (tenant.email, str(member.user.id))


async def _refused(acting: Colleague | Tenant, user_id: UUID, password: str) -> type[Exception]:
    principal = acting.principal() if isinstance(acting, Tenant) else acting.principal
    store = acting.store if isinstance(acting, Tenant) else acting.tenant.store
    with pytest.raises(EngineError) as refusal:
        async with store.as_tenant(principal) as tx:
            await lost_factor.of_member(tx, user_id, password=password)
    return refusal.type


async def test_nobody_frees_themselves_who_is_above_them_who_is_not_there_or_without_their_password(
    tenant: Tenant, neighbour: Tenant, vault: LocalVault
) -> None:
    await _enrol(tenant.store, await sign_in(tenant), tenant.password, vault)
    admin = await colleague(tenant, Role.ADMIN)
    member, _ = await _newcomer(tenant, Role.VIEWER)
    for acting, user_id, password, refusal in (
        (tenant, tenant.user_id, tenant.password, errors.OwnSecondFactor),
        (admin, tenant.user_id, admin.home.password, errors.RoleTooWide),
        (tenant, neighbour.user_id, tenant.password, errors.MemberNotFound),
        (admin, member.user.id, "not the password", errors.PasswordWrong),
        (admin, member.user.id, admin.home.password, errors.NoSecondFactor),
    ):
        assert await _refused(acting, user_id, password) is refusal


async def test_who_belongs_elsewhere_too_is_freed_by_the_operator_and_every_log_says_so(
    tenant: Tenant, vault: LocalVault, postgres: Postgres, store: Store
) -> None:
    person = await colleague(tenant, Role.VIEWER)
    session = await person.sign_in()
    await _enrol(store, session, person.home.password, vault)
    assert await _refused(tenant, person.id, tenant.password) is errors.BelongsElsewhere
    operator = await found_operator(postgres, store)
    async with store.as_tenant(operator.principal) as tx:
        with pytest.raises(errors.PersonNotFound):
            await lost_factor.of_anybody(tx, "nobody@nowhere.example", password=operator.password)
        with pytest.raises(errors.OwnSecondFactor):
            await lost_factor.of_anybody(tx, operator.email, password=operator.password)
        assert await lost_factor.of_anybody(tx, person.home.email.upper(), password=operator.password) == 1
    assert (await person.sign_in()).user.id == person.id
    for home in (tenant, person.home):
        async with store.as_tenant(home.principal(), read_only=True) as tx:
            [said] = (await audit.page(tx, action="second_factor.reset")).items
        assert (said.actor_kind, said.actor_id, said.target_id) == ("platform", operator.id, str(person.id))


async def test_the_database_frees_nobody_for_who_did_not_prove_themselves(
    tenant: Tenant, neighbour: Tenant, vault: LocalVault, store: Store
) -> None:
    """The door itself looks: at the password's hash, at who shares the tenant, and at where else the person belongs."""
    member, password = await _newcomer(tenant, Role.VIEWER)
    await _enrol(store, member, password, vault)
    async with store.as_tenant(neighbour.principal()) as tx:
        stranger, _ = await myself(tx)
        assert await take_factor(tx, member.user.id, stranger) is None
    async with store.as_tenant(tenant.principal()) as tx:
        owner, _ = await myself(tx)
        assert await take_factor(tx, member.user.id, replace(owner, password_hash="guessed")) is None
        assert await take_factor(tx, member.user.id, stranger) is None
        assert await take_factor(tx, member.user.id, owner) == 1


async def test_new_recovery_codes_take_a_proof_and_make_the_old_ones_worthless(
    tenant: Tenant, vault: LocalVault
) -> None:
    session = await sign_in(tenant)
    old = await _enrol(tenant.store, session, tenant.password, vault)
    for password, code, refusal in (
        ("not the password", old[0], errors.PasswordWrong),
        (tenant.password, "aaaa-bbbb-cccc-dddd", errors.CodeWrong),
    ):
        with pytest.raises(refusal):
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                await second_factor.renew_recovery(tx, vault, password=password, code=code)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        new = await second_factor.renew_recovery(tx, vault, password=tenant.password, code=old[0])
    assert len(set(new)) == second_factor.RECOVERY_CODES
    assert set(new).isdisjoint(old)
    with pytest.raises(errors.CodeWrong):
        await doorway.login(tenant.store, tenant.email, tenant.password, code=old[1], vault=vault)
    assert (await doorway.login(tenant.store, tenant.email, tenant.password, code=new[0], vault=vault)).user.id


async def test_who_has_no_second_factor_has_no_codes_to_renew(tenant: Tenant, vault: LocalVault) -> None:
    with pytest.raises(errors.NoSecondFactor):
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await second_factor.renew_recovery(tx, vault, password=tenant.password, code="123456")
