"""Passwords: which are refused, what hashing one costs, and what a new one ends."""

import importlib.util

import psycopg
import pytest
from argon2 import extract_parameters, profiles
from psycopg import errors as database

from engine.audit import service as audit
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, passwords
from infra.local.postgres import Postgres
from tests.support.people import colleague, sign_in
from tests.support.tenant import Tenant

NEW = "seven sober otters"


@pytest.mark.parametrize(
    "password",
    [
        "elevenchars",
        "x" * 201,
        "ababababababab",
        "somebody@plant.example",
        "SomeBody@Plant.example ",
        "PasswordPassword",
        "administrator",
    ],
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(errors.PasswordWeak):
        passwords.refuse_weak(password, "somebody@plant.example")


@pytest.mark.parametrize("password", [NEW, "Ünïcødé wörds", "ordinary12345"])
def test_a_password_of_twelve_characters_will_do(password: str) -> None:
    passwords.refuse_weak(password, "somebody@plant.example")


async def test_hashing_costs_what_rfc_9106_asks_and_as_much_for_nobody() -> None:
    """The module anew, since it hashes at less cost for all other tests."""
    spec = importlib.util.find_spec("engine.tenants.passwords")
    assert spec is not None
    assert spec.loader is not None
    as_shipped = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(as_shipped)
    hashed = await as_shipped.hash_password(NEW)
    assert extract_parameters(hashed) == extract_parameters(as_shipped._NOBODY) == profiles.RFC_9106_LOW_MEMORY
    assert await as_shipped.is_right(hashed, NEW)
    assert not await as_shipped.is_right(hashed, NEW + "x")


async def test_a_new_password_ends_all_other_sessions_in_every_tenant(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    there, other, here = await sign_in(viewer.home), await viewer.sign_in(), await viewer.sign_in()
    principal = await doorway.session(store, here.secret)
    assert principal is not None
    async with store.as_tenant(principal) as tx:
        assert await passwords.change(tx, current=viewer.home.password, new=NEW) == 2
    assert await doorway.session(store, here.secret) is not None
    for ended in (there, other):
        assert await doorway.session(store, ended.secret) is None
    with pytest.raises(errors.BadCredentials):
        await viewer.sign_in()
    assert (await doorway.login(store, viewer.home.email, NEW)).user.id == viewer.id


async def test_the_present_password_is_asked_for_and_guessing_is_slowed(tenant: Tenant, store: Store) -> None:
    for _ in range(passwords.TRIES):
        with pytest.raises(errors.PasswordWrong):
            async with store.as_tenant(tenant.principal()) as tx:
                await passwords.change(tx, current="not the password", new=NEW)
    with pytest.raises(errors.TooManyTries):
        async with store.as_tenant(tenant.principal()) as tx:
            await passwords.change(tx, current=tenant.password, new=NEW)
    assert await sign_in(tenant)


async def test_a_weak_one_changes_nothing(tenant: Tenant, store: Store) -> None:
    with pytest.raises(errors.PasswordWeak):
        async with store.as_tenant(tenant.principal()) as tx:
            await passwords.change(tx, current=tenant.password, new=tenant.email)
    assert await sign_in(tenant)


async def test_neither_password_nor_hash_is_in_the_log(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        await passwords.change(tx, current=tenant.password, new=NEW)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        said = repr(await audit.page(tx))
    assert "password.change" in said
    assert not [word for word in (tenant.password, NEW, "argon2") if word in said]


def test_no_tenants_transaction_reads_or_writes_what_proves_a_person(tenant: Tenant, postgres: Postgres) -> None:
    for statement in (
        "SELECT password_hash FROM users",
        "SELECT totp FROM users",
        "UPDATE users SET password_hash = 'x'",
        "UPDATE users SET email = 'x'",
    ):
        with psycopg.connect(postgres.url("app")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
            with pytest.raises(database.InsufficientPrivilege):
                connection.execute(statement)
