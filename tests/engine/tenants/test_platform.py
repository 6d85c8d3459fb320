"""The platform's operator: makes, names, suspends and resumes tenants, and sees nothing that is in them."""

import psycopg
import pytest
from psycopg import errors as refusals
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.exc import ProgrammingError

from engine import ids
from engine.audit import service as audit
from engine.pages import BadCursor
from engine.store.pool import Store
from engine.tenancy import SCOPES, Principal, Role, system
from engine.tenants import doorway, errors, invitations, members, platform, roles
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from tests.support.people import Operator, colleague, found_operator, sign_in
from tests.support.tenant import Tenant, found_tenant


@pytest.fixture(scope="module")
async def operator(postgres: Postgres, store: Store) -> Operator:
    """An operator for all tests of this module: none of them changes who it is."""
    return await found_operator(postgres, store)


async def _suspend(operator: Operator, tenant: Tenant) -> None:
    async with operator.store.as_tenant(operator.principal) as tx:
        await platform.suspend(tx, tenant.id, reason="unpaid")


async def _resume(operator: Operator, tenant: Tenant) -> None:
    async with operator.store.as_tenant(operator.principal) as tx:
        await platform.resume(tx, tenant.id)


async def test_an_operator_acts_in_the_platforms_own_tenant_and_that_is_no_customers(operator: Operator) -> None:
    session = await operator.sign_in()
    assert (session.membership.role, session.membership.tenant_key) == (Role.PLATFORM, "platform")
    principal = await doorway.session(operator.store, session.secret)
    assert principal is not None
    assert principal.scopes == SCOPES[Role.PLATFORM]
    async with operator.store.as_tenant(operator.principal, read_only=True) as tx:
        assert (await platform.page(tx, search="platform")).items == ()
        with pytest.raises(errors.TenantNotFound):
            await platform.get(tx, operator.platform_id)


async def test_the_database_shows_an_operator_no_row_of_any_tenant(
    operator: Operator, tenant: Tenant, postgres: Postgres
) -> None:
    await tenant.device_token(await tenant.device())
    await tenant.api_token()
    with psycopg.connect(postgres.url("superuser")) as connection:
        tables = connection.execute(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND a.attname = 'tenant_id'"
        ).fetchall()
    asked = 0
    with psycopg.connect(postgres.url("app")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", [str(operator.platform_id)])
        for (table,) in tables:
            query = sql.SQL("SELECT count(*) FROM {} WHERE tenant_id <> %s").format(sql.Identifier(table))
            try:
                with connection.transaction():
                    assert connection.execute(query, [operator.platform_id]).fetchone() == (0,), table
                    asked += 1
            except refusals.InsufficientPrivilege:
                continue
        assert connection.execute("SELECT key FROM tenants").fetchall() == [("platform",)]
    assert asked > 10


@pytest.mark.parametrize("verb", ["list", "get", "create", "rename", "suspend", "resume", "invite"])
async def test_the_door_stays_shut_to_every_tenant(verb: str, tenant: Tenant, postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("app")) as connection:
        for acting in (str(tenant.id), ""):
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [acting])
            with pytest.raises(refusals.InsufficientPrivilege, match="only the platform's operator"):
                connection.execute("SELECT * FROM app.platform(%s, %s)", [verb, Jsonb({"id": str(tenant.id)})])
            connection.rollback()
    for role in ("worker", "ingest"):
        with psycopg.connect(postgres.url(role)) as connection, pytest.raises(refusals.InsufficientPrivilege):
            connection.execute("SELECT * FROM app.platform(%s, '{}')", [verb])


@pytest.mark.parametrize("role", ["app", "worker", "ingest"])
@pytest.mark.parametrize(
    "call",
    [
        "operator(gen_random_uuid(), gen_random_uuid(), 'a@b.example', sha256('x'), now())",
        "found(gen_random_uuid(), 'stolen', 'Stolen', gen_random_uuid(), 'a@b.example', 'A', 'x')",
    ],
)
def test_only_the_databases_owner_makes_operators(role: str, call: str, postgres: Postgres) -> None:
    with psycopg.connect(postgres.url(role)) as connection, pytest.raises(refusals.InsufficientPrivilege):
        connection.execute(f"SELECT app.{call}")


async def test_the_database_knows_operators_in_the_platforms_tenant_only_and_nobody_else_there(
    operator: Operator, tenant: Tenant, postgres: Postgres
) -> None:
    for tenant_id, role in ((tenant.id, "platform"), (operator.platform_id, "owner")):
        for statement in (
            "INSERT INTO memberships (tenant_id, user_id, role) VALUES (%(t)s, %(u)s, %(r)s)",
            "INSERT INTO invitations (tenant_id, id, email, role, secret_sha256, invited_by, expires_at) "
            "VALUES (%(t)s, %(u)s, 'a@b.example', %(r)s, sha256('x'), 'x', now())",
        ):
            with psycopg.connect(postgres.url("app")) as connection:
                connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant_id)])
                user = operator.id if tenant_id == tenant.id else tenant.user_id
                with pytest.raises(refusals.ForeignKeyViolation):
                    connection.execute(statement, {"t": tenant_id, "u": user, "r": role})


async def test_no_tenant_can_make_an_operator_or_take_a_right_of_the_platforms(tenant: Tenant) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.RoleTooWide):
            await invitations.invite(tx, email="a@b.example", role=Role.PLATFORM)
        with pytest.raises(errors.ScopesUnknown):
            await roles.create(tx, name="sly", scopes=["platform:write"])
        with pytest.raises(errors.ScopesUnknown):
            await tenants.issue_token(tx, name="sly", scopes=["platform:read"])


async def test_an_operator_invites_another_and_nobody_else(operator: Operator) -> None:
    email = f"second@{ids.uuid7().hex[-8:]}.example"
    async with operator.store.as_tenant(operator.principal) as tx:
        for role in (Role.OWNER, Role.VIEWER):
            with pytest.raises(errors.RoleTooWide):
                await invitations.invite(tx, email=email, role=role)
        custom = await roles.create(tx, name=email[:20], scopes=["users:read"])
        with pytest.raises(errors.RoleTooWide):
            await invitations.invite(tx, email=email, role=Role.CUSTOM, role_id=custom.id)
        _, secret = await invitations.invite(tx, email=email, role=Role.PLATFORM)
    second = await invitations.accept(operator.store, secret, name="Second", password=ids.token("pw"))
    assert second.membership.role is Role.PLATFORM
    async with operator.store.as_tenant(operator.principal) as tx:
        await members.remove(tx, second.user.id)
    assert await doorway.session(operator.store, second.secret) is None


async def test_a_new_tenants_first_owner_comes_in_by_the_link_and_nobody_by_a_second(operator: Operator) -> None:
    key, email = f"new-{ids.uuid7().hex[-8:]}", f"boss@{ids.uuid7().hex[-8:]}.example"
    async with operator.store.as_tenant(operator.principal) as tx:
        made, lost = await platform.create(tx, key=key, name=" New ", email=email)
        assert (made.key, made.name, made.has_owner, made.suspended_at) == (key, "New", False, None)
    async with operator.store.as_tenant(operator.principal) as tx:
        _, secret = await platform.invite(tx, made.id, email=email)
    with pytest.raises(errors.InvitationOver):
        await invitations.look(operator.store, lost)
    offer = await invitations.look(operator.store, secret)
    assert (offer.tenant_name, offer.email, offer.role) == ("New", email, Role.OWNER)
    boss = await invitations.accept(operator.store, secret, name="Boss", password=ids.token("pw"))
    assert (boss.membership.tenant_id, boss.membership.role) == (made.id, Role.OWNER)
    async with operator.store.as_tenant(operator.principal) as tx:
        assert (await platform.get(tx, made.id)).has_owner
        with pytest.raises(errors.TenantOwned):
            await platform.invite(tx, made.id, email="operator@inside.example")
    with pytest.raises(errors.TenantKeyTaken):
        async with operator.store.as_tenant(operator.principal) as tx:
            await platform.create(tx, key=key, name="Again", email=email)


async def test_an_operator_floods_nobody_with_links_whichever_tenants_they_lead_to(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag, made = ids.uuid7().hex[-8:], []
    email = f"boss@{tag}.example"
    async with operator.store.as_tenant(operator.principal) as tx:
        made += [(await platform.create(tx, key=f"f{n}-{tag}", name="Flood", email=email))[0] for n in range(2)]
    for n in range(invitations.PER_ADDRESS - 2):
        async with operator.store.as_tenant(operator.principal) as tx:
            await platform.invite(tx, made[n % 2].id, email=f" {email.upper()}")
    async with operator.store.as_tenant(operator.principal) as tx:
        with pytest.raises(errors.InvitedTooOften) as refused:
            await platform.invite(tx, made[0].id, email=email)
        with pytest.raises(errors.InvitedTooOften):
            await platform.create(tx, key=f"f3-{tag}", name="Flood", email=email)
        wait = refused.value.details["retry_after_s"]
        assert isinstance(wait, int)
        assert 23 * 3600 < wait <= 24 * 3600
        await platform.invite(tx, made[0].id, email=f"another@{tag}.example")
        monkeypatch.setattr(invitations, "PER_TENANT", 1)
        with pytest.raises(errors.InvitedTooOften):
            await platform.invite(tx, made[0].id, email=f"third@{tag}.example")


async def test_what_is_no_key_no_name_and_no_address_is_refused(operator: Operator) -> None:
    for key, name, email, refusal in (
        ("No", "x", "a@b.example", errors.TenantMalformed),
        ("a" * 21, "x", "a@b.example", errors.TenantMalformed),
        ("a-key", " ", "a@b.example", errors.TenantMalformed),
        ("a-key", "line\nbreak", "a@b.example", errors.TenantMalformed),
        ("a-key", "x", "nobody", errors.EmailMalformed),
        ("platform", "x", "a@b.example", errors.TenantKeyTaken),
    ):
        with pytest.raises(refusal):
            async with operator.store.as_tenant(operator.principal) as tx:
                await platform.create(tx, key=key, name=name, email=email)


async def test_tenants_are_listed_by_key_in_pages_and_found_by_letters(operator: Operator, postgres: Postgres) -> None:
    made = sorted([(await found_tenant(postgres, operator.store)).key for _ in range(3)])
    async with operator.store.as_tenant(operator.principal, read_only=True) as tx:
        seen, after = [], None
        while True:
            page = await platform.page(tx, first=2, after=after)
            seen += [each.key for each in page.items]
            if not page.has_next_page:
                break
            after = page.end_cursor
        assert seen == sorted(seen)
        assert set(made) <= set(seen)
        assert [each.key for each in (await platform.page(tx, search=made[1].upper())).items] == [made[1]]
        assert (await platform.page(tx, search="%")).items == ()
        with pytest.raises(BadCursor):
            await platform.page(tx, after="nonsense!")


async def test_a_suspended_tenants_secrets_open_nothing_until_it_is_resumed_and_then_all_do(
    operator: Operator, tenant: Tenant
) -> None:
    session, token = await sign_in(tenant), await tenant.api_token()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        _, invited = await invitations.invite(tx, email=f"late@{tenant.key}.example", role=Role.VIEWER)
    await _suspend(operator, tenant)
    for attempt in (
        doorway.session(tenant.store, session.secret),
        doorway.token(tenant.store, token),
        sign_in(tenant),
        sign_in(tenant, tenant.key),
        invitations.look(tenant.store, invited),
        invitations.accept(tenant.store, invited, name="Late", password=ids.token("pw")),
    ):
        with pytest.raises(errors.TenantSuspended, match="Nothing was deleted"):
            await attempt
    with pytest.raises(errors.BadCredentials):  # who does not know the password learns nothing
        await doorway.login(tenant.store, tenant.email, "not the password", address="192.0.2.7")
    await _resume(operator, tenant)
    assert await doorway.session(tenant.store, session.secret) == tenant.principal()
    assert await doorway.token(tenant.store, token) is not None
    assert (await sign_in(tenant)).membership.tenant_id == tenant.id
    late = await invitations.accept(tenant.store, invited, name="Late", password=ids.token("pw"))
    assert late.membership.role is Role.VIEWER


async def test_who_belongs_to_another_tenant_too_still_comes_in_there(operator: Operator, tenant: Tenant) -> None:
    person = await colleague(tenant, Role.VIEWER)
    await _suspend(operator, person.home)
    entered = await doorway.login(tenant.store, person.home.email, person.home.password)
    assert entered.membership.tenant_id == tenant.id
    with pytest.raises(errors.TenantSuspended):
        await doorway.login(tenant.store, person.home.email, person.home.password, tenant_key=person.home.key)


async def test_who_signs_out_of_a_suspended_tenant_is_out_when_it_is_resumed(
    operator: Operator, tenant: Tenant
) -> None:
    left, kept = await sign_in(tenant), await sign_in(tenant)
    await _suspend(operator, tenant)
    await doorway.logout(tenant.store, left.secret)
    await _resume(operator, tenant)
    assert await doorway.session(tenant.store, left.secret) is None
    assert await doorway.session(tenant.store, kept.secret) is not None


async def test_the_platforms_own_tenant_cannot_be_suspended(operator: Operator, postgres: Postgres) -> None:
    async with operator.store.as_tenant(operator.principal) as tx:
        for act in (platform.suspend(tx, operator.platform_id), platform.rename(tx, operator.platform_id, "Mine")):
            with pytest.raises(errors.TenantNotFound):
                await act
    with psycopg.connect(postgres.url("superuser")) as connection, pytest.raises(refusals.CheckViolation):
        connection.execute("UPDATE tenants SET suspended_at = now() WHERE is_platform")


async def test_both_logs_say_what_was_done_and_hold(operator: Operator, tenant: Tenant, worker_store: Store) -> None:
    await _suspend(operator, tenant)
    await _suspend(operator, tenant)  # it is so already: not told twice
    await _resume(operator, tenant)
    async with operator.store.as_tenant(operator.principal) as tx:
        await platform.rename(tx, tenant.id, "Renamed")
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        theirs = (await audit.page(tx, action="tenant.")).items
    assert [(e.action, e.actor_kind, e.actor_name, e.after) for e in theirs] == [
        ("tenant.rename", "platform", "the platform's operator", {"name": "Renamed"}),
        ("tenant.resume", "platform", "the platform's operator", None),
        ("tenant.suspend", "platform", "the platform's operator", {"reason": "unpaid"}),
    ]
    async with operator.store.as_tenant(operator.principal, read_only=True) as tx:
        ours = (await audit.page(tx, target_id=str(tenant.id))).items
    assert {(e.action, e.actor_name) for e in ours} == {
        (action, operator.email) for action in ("tenant.rename", "tenant.resume", "tenant.suspend")
    }
    for tenant_id in (tenant.id, operator.platform_id):
        async with worker_store.as_tenant(system(tenant_id), read_only=True) as tx:
            assert (await audit.verify(tx)).fault is None


async def test_a_principal_that_only_claims_to_be_an_operator_is_stopped_by_the_database(tenant: Tenant) -> None:
    sly = Principal(tenant.id, "user", tenant.user_id, SCOPES[Role.PLATFORM], tenant.email)
    with pytest.raises(ProgrammingError, match="only the platform's operator"):
        async with tenant.store.as_tenant(sly) as tx:
            await platform.page(tx)


async def test_an_operator_without_a_second_factor_has_no_right_but_to_set_one_up(
    postgres: Postgres, store: Store
) -> None:
    operator = await found_operator(postgres, store)
    entered = await operator.begin()
    held = await doorway.session(store, entered.secret)
    assert held is not None
    assert (held.lacks_factor, held.scopes) == (True, frozenset())
    again = await operator.sign_in()
    free = await doorway.session(store, again.secret)
    assert free is not None
    assert (free.lacks_factor, free.scopes) == (False, SCOPES[Role.PLATFORM])


async def test_who_is_no_operator_needs_no_second_factor(tenant: Tenant, store: Store) -> None:
    entered = await sign_in(tenant)
    held = await doorway.session(store, entered.secret)
    assert held is not None
    assert (held.lacks_factor, held.scopes) == (False, SCOPES[Role.OWNER])
