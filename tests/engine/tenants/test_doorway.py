"""Coming in: who is let in, as whom, and who is not."""

import asyncio

import pytest

from engine import ids
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, members, passwords, service
from engine.tenants.model import LoggedIn, Member
from tests.support.people import colleague, sign_in
from tests.support.tenant import Tenant


async def test_the_right_password_opens_a_session_of_that_tenant(tenant: Tenant, store: Store) -> None:
    opened = await doorway.login(store, tenant.email.upper(), tenant.password)
    principal = await doorway.session(store, opened.secret)
    assert principal is not None
    assert (principal.tenant_id, principal.id, principal.kind) == (tenant.id, tenant.user_id, "user")
    assert principal.may("tenant:write")


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(tenant: Tenant, store: Store) -> None:
    for email in (tenant.email, "nobody@nowhere.example", "nul\0@nowhere.example"):
        with pytest.raises(errors.BadCredentials) as refusal:
            await doorway.login(store, email, "not the password")
        assert refusal.value.message == "The e-mail address or the password is not right."


async def test_the_eleventh_try_in_a_minute_has_to_wait(tenant: Tenant, store: Store) -> None:
    for _ in range(passwords.TRIES):
        passwords.throttle.failed(f"{tenant.email}|10.0.0.9")
    with pytest.raises(errors.TooManyTries):
        await doorway.login(store, tenant.email, tenant.password, address="10.0.0.9")
    assert await doorway.login(store, tenant.email, tenant.password, address="10.0.0.10")


async def test_one_address_that_tries_everybody_and_everybody_who_tries_one_have_to_wait(
    tenant: Tenant, neighbour: Tenant, store: Store
) -> None:
    for number in range(passwords.WIDE_TRIES):
        passwords.SignIn(f"{number}@plant.example", "192.0.2.66").failed()
        passwords.SignIn(neighbour.email, f"198.51.100.{number}").failed()
    with pytest.raises(errors.TooManyTries):
        await doorway.login(store, tenant.email, tenant.password, address="192.0.2.66")
    with pytest.raises(errors.TooManyTries):
        await doorway.login(store, neighbour.email, neighbour.password, address="203.0.113.5")
    assert await doorway.login(store, tenant.email, tenant.password, address="203.0.113.5")


async def test_whoever_comes_when_too_many_passwords_wait_to_be_checked_is_told_at_once(
    tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", 2)
    async with passwords._hashing, passwords._hashing:
        waiting = [asyncio.create_task(passwords.hash_password("four plain words here")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(errors.SigningInBusy):
            await doorway.login(store, tenant.email, tenant.password)
    await asyncio.gather(*waiting)
    assert await doorway.login(store, tenant.email, tenant.password)


async def test_somebody_goes_from_one_of_their_tenants_to_another_and_leaves_the_first(
    tenant: Tenant, neighbour: Tenant, store: Store
) -> None:
    guest = await colleague(tenant, Role.VIEWER)
    at_home = await sign_in(guest.home)
    moved = await doorway.switch(store, at_home.secret, tenant.key, address="192.0.2.7", agent="a browser")
    principal = await doorway.session(store, moved.secret)
    assert principal is not None
    assert (principal.tenant_id, principal.id, principal.may("rules:write")) == (tenant.id, guest.id, False)
    assert await doorway.session(store, at_home.secret) is None
    for nowhere in (neighbour.key, "", "nul\0"):
        with pytest.raises(errors.NotAMember):
            await doorway.switch(store, moved.secret, nowhere)
    assert await doorway.session(store, moved.secret) is not None
    with pytest.raises(errors.NotAMember):
        await doorway.switch(store, moved.secret, tenant.key)  # there they are already
    assert await doorway.session(store, moved.secret) is not None
    with pytest.raises(errors.BadCredentials):
        await doorway.switch(store, at_home.secret, tenant.key)


async def test_of_several_ways_out_of_a_session_one_is_taken_and_none_makes_it_longer(
    tenant: Tenant, store: Store
) -> None:
    guest = await colleague(tenant, Role.VIEWER)
    at_home = await sign_in(guest.home)
    ways = [doorway.switch(store, at_home.secret, tenant.key) for _ in range(4)]
    taken = await asyncio.gather(*ways, return_exceptions=True)
    [moved] = [each for each in taken if isinstance(each, LoggedIn)]
    assert all(isinstance(each, (LoggedIn, errors.BadCredentials)) for each in taken)
    assert moved.expires_at == at_home.expires_at


async def test_a_session_ended_by_logout_is_nobodys(tenant: Tenant, store: Store) -> None:
    opened = await doorway.login(store, tenant.email, tenant.password)
    await doorway.logout(store, opened.secret)
    assert await doorway.session(store, opened.secret) is None
    await doorway.logout(store, opened.secret)


async def test_a_token_holds_its_scopes_until_it_is_revoked(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        token, secret = await service.issue_token(tx, name="dashboard", scopes=["devices:read"])
    principal = await doorway.token(store, secret)
    assert principal is not None
    assert principal.scopes == {"devices:read"}
    async with store.as_tenant(tenant.principal()) as tx:
        await service.revoke_token(tx, token.id)
    assert await doorway.token(store, secret) is None
    assert await doorway.token(store, ids.token("tg")) is None


async def test_nobody_gives_away_more_than_they_hold(tenant: Tenant, store: Store) -> None:
    with pytest.raises(errors.ScopesTooWide):
        async with store.as_tenant(tenant.principal(Role.ADMIN)) as tx:
            await service.issue_token(tx, name="mighty", scopes=["tenant:write"])


async def test_secrets_are_kept_as_hashes_only(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        _, secret = await service.issue_token(tx, name="dashboard", scopes=["devices:read"])
        tokens = await service.tokens(tx)
    assert secret not in repr(tokens)
    assert [member.user.email for member in await _members(store, tenant)] == [tenant.email]


async def _members(store: Store, tenant: Tenant) -> list[Member]:
    async with store.as_tenant(tenant.principal()) as tx:
        return await members.listed(tx)
