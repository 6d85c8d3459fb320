"""Invitations: who may give which, that each works once, and who joins by it."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from engine import ids
from engine.audit import service as audit
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, invitations, members
from engine.tenants.model import Invitation, InvitationStatus
from engine.tenants.tables import invitations as table
from tests.support.people import colleague
from tests.support.tenant import Tenant

PASSWORD = "seven sober otters"


def _address() -> str:
    return f"new@{ids.uuid7().hex}.example"


async def _invite(tenant: Tenant, email: str, role: Role = Role.OPERATOR) -> tuple[Invitation, str]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await invitations.invite(tx, email=email, role=role)


async def _status(tenant: Tenant) -> list[InvitationStatus]:
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        return [each.status for each in await invitations.listed(tx)]


async def test_somebody_new_chooses_a_name_and_a_password_and_is_in(tenant: Tenant, store: Store) -> None:
    email = _address()
    invitation, secret = await _invite(tenant, f" {email.upper()} ")
    assert (invitation.email, invitation.status) == (email, InvitationStatus.PENDING)
    assert invitation.expires_at - invitation.created_at == timedelta(days=7)
    offer = await invitations.look(store, secret)
    assert (offer.email, offer.role, offer.is_known) == (email, Role.OPERATOR, False)
    joined = await invitations.accept(store, secret, name="Ada", password=PASSWORD, agent="Browser")
    principal = await doorway.session(store, joined.secret)
    assert principal is not None
    assert (principal.tenant_id, principal.name) == (tenant.id, email)
    async with store.as_tenant(tenant.principal()) as tx:
        member = await members.get(tx, joined.user.id)
    assert (member.user.name, member.role) == ("Ada", Role.OPERATOR)
    assert (await doorway.login(store, email, PASSWORD)).user.id == joined.user.id


async def test_an_invitation_works_once(tenant: Tenant, store: Store) -> None:
    _, secret = await _invite(tenant, _address())
    ends = await asyncio.gather(
        *(invitations.accept(store, secret, name="Ada", password=PASSWORD) for _ in range(3)), return_exceptions=True
    )
    assert sum(not isinstance(end, BaseException) for end in ends) == 1
    assert {type(end) for end in ends if isinstance(end, BaseException)} == {errors.InvitationOver}
    with pytest.raises(errors.InvitationOver):
        await invitations.look(store, secret)
    assert await _status(tenant) == [InvitationStatus.ACCEPTED]


async def test_nobody_is_flooded_with_invitations_and_withdrawing_them_does_not_help(tenant: Tenant) -> None:
    email = _address()
    for _ in range(invitations.PER_ADDRESS):
        invitation, _ = await _invite(tenant, email)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await invitations.withdraw(tx, invitation.id)
    with pytest.raises(errors.InvitedTooOften) as refused:
        await _invite(tenant, f" {email.upper()}")
    wait = refused.value.details["retry_after_s"]
    assert isinstance(wait, int)
    assert timedelta(hours=23) < timedelta(seconds=wait) <= timedelta(days=1)
    assert (await _invite(tenant, _address()))[0].status is InvitationStatus.PENDING, "somebody else can be invited"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        tx.now += timedelta(days=1, seconds=1)
        assert (await invitations.invite(tx, email=email, role=Role.VIEWER))[0].email == email


async def test_a_tenant_invites_so_many_in_a_day_even_all_at_once_and_its_neighbour_is_free(
    tenant: Tenant, neighbour: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "PER_TENANT", 6)
    made = await asyncio.gather(*(_invite(tenant, _address()) for _ in range(9)), return_exceptions=True)
    refused = [each for each in made if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [errors.InvitedTooOften] * 3
    assert len(await _status(tenant)) == 6
    assert (await _invite(neighbour, _address()))[0].status is InvitationStatus.PENDING


async def test_who_has_an_account_joins_with_its_password_only(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    _, secret = await _invite(tenant, neighbour.email, Role.VIEWER)
    assert (await invitations.look(store, secret)).is_known
    with pytest.raises(errors.BadCredentials):
        await invitations.accept(store, secret, name="Mallory", password=PASSWORD)
    joined = await invitations.accept(store, secret, name="Mallory", password=neighbour.password)
    assert (joined.user.id, joined.user.name) == (neighbour.user_id, "Test Owner")
    assert joined.membership.tenant_id == tenant.id
    opened = await doorway.login(store, neighbour.email, neighbour.password, tenant_key=tenant.key)
    assert opened.membership.role is Role.VIEWER


async def test_a_weak_password_or_no_name_leaves_the_invitation_open(tenant: Tenant, store: Store) -> None:
    email = _address()
    _, secret = await _invite(tenant, email)
    for name, password, refusal in (
        ("Ada", "short", errors.PasswordWeak),
        ("Ada", email, errors.PasswordWeak),
        (" ", PASSWORD, errors.PersonUnnamed),
        ("A\0da", PASSWORD, errors.PersonUnnamed),
    ):
        with pytest.raises(refusal):
            await invitations.accept(store, secret, name=name, password=password)
    assert await invitations.accept(store, secret, name="Ada", password=PASSWORD)


async def test_a_withdrawn_or_old_invitation_is_over(tenant: Tenant, store: Store) -> None:
    withdrawn, first = await _invite(tenant, _address())
    old, second = await _invite(tenant, _address())
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await invitations.withdraw(tx, withdrawn.id)).status is InvitationStatus.WITHDRAWN
        assert (await invitations.withdraw(tx, withdrawn.id)).status is InvitationStatus.WITHDRAWN
        await tx.execute(update(table).where(table.c.id == old.id).values(expires_at=tx.now))
    for secret in (first, second, ids.token("tgi"), ""):
        with pytest.raises(errors.InvitationOver):
            await invitations.look(store, secret)
        with pytest.raises(errors.InvitationOver):
            await invitations.accept(store, secret, name="Ada", password=PASSWORD)
    assert await _status(tenant) == [InvitationStatus.EXPIRED, InvitationStatus.WITHDRAWN]


async def test_inviting_again_ends_the_invitation_before(tenant: Tenant, store: Store) -> None:
    email = _address()
    _, first = await _invite(tenant, email)
    _, second = await _invite(tenant, email)
    with pytest.raises(errors.InvitationOver):
        await invitations.look(store, first)
    assert (await invitations.look(store, second)).email == email


async def test_nobody_invites_to_more_than_they_may_nor_whom_they_have(tenant: Tenant, store: Store) -> None:
    admin = await colleague(tenant, Role.ADMIN)
    for email, role, refusal in (
        (_address(), Role.OWNER, errors.RoleTooWide),
        (_address(), Role.CUSTOM, errors.RoleUnclear),
        (admin.home.email, Role.VIEWER, errors.AlreadyMember),
        ("nobody", Role.VIEWER, errors.EmailMalformed),
        ("a b@c.example", Role.VIEWER, errors.EmailMalformed),
    ):
        with pytest.raises(refusal):
            async with store.as_tenant(admin.principal) as tx:
                await invitations.invite(tx, email=email, role=role)
    assert await _status(tenant) == []


async def test_the_log_tells_who_was_invited_and_joined_and_no_secret(tenant: Tenant, store: Store) -> None:
    _, secret = await _invite(tenant, _address())
    await invitations.accept(store, secret, name="Ada", password=PASSWORD)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        entries = (await audit.page(tx)).items
    assert [entry.action for entry in entries] == ["session.open", "member.join", "member.invite"]
    assert not [word for word in (secret, PASSWORD, "argon2", "sha256") if word in repr(entries)]
