"""Who it is in the tenant that a provider vouches for: a member known to it, one with that address, or somebody new.

A provider speaks for its own tenant alone. Somebody new becomes a person of that tenant's own, even where the platform
knows the address already: an account with a password is never reached, changed or joined to anything this way.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.identity_providers import errors
from engine.identity_providers.model import Provider, Vouched
from engine.identity_providers.tables import identities
from engine.store.tx import Tx
from engine.tenancy import Role
from engine.tenants import limits
from engine.tenants.errors import TenantSuspended
from engine.tenants.model import Membership
from engine.tenants.person import Person, membership
from engine.tenants.tables import invitations, memberships, roles, users

_MEMBER = """
SELECT u.id AS user_id, u.email, u.name AS user_name, t.id AS tenant_id, t.key AS tenant_key, t.name AS tenant_name,
       m.role, r.name AS role_name, r.scopes, t.suspended_at IS NOT NULL AS is_suspended, m.groups
FROM memberships m JOIN users u ON u.id = m.user_id JOIN tenants t ON t.id = m.tenant_id
LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE m.tenant_id = :tenant AND {which}
ORDER BY u.home_id NULLS LAST LIMIT 1
"""
_BY_ID = text(_MEMBER.format(which="u.id = :user"))
_BY_EMAIL = text(_MEMBER.format(which="u.email = :email"))
_IS_SUSPENDED = text("SELECT suspended_at IS NOT NULL FROM tenants WHERE id = :tenant")


async def let_in(tx: Tx, provider: Provider, said: Vouched) -> tuple[Person, Membership]:
    """The member whom ``provider`` vouches for, made one if need be; ``tx`` acts as the provider.

    First counts whom the provider's subject stood for before, then the member with that e-mail address. Whoever was
    sent away comes back by invitation only. Raises TenantSuspended, NotInvited, SubjectChanged.
    """
    if await tx.scalar(_IS_SUSPENDED, _named(tx)):
        raise TenantSuspended
    lock = func.hashtextextended(f"identity|{tx.principal.tenant_id}|{said.email}", 0)
    await tx.execute(select(func.pg_advisory_xact_lock(lock)))
    linked = await _linked(tx, provider, said)
    row = await tx.one(_BY_ID, {**_named(tx), "user": linked}) if linked else None
    if row is None:
        row = await tx.one(_BY_EMAIL, {**_named(tx), "email": said.email})
        if row is not None:
            await _link(tx, provider, said, row["user_id"])
    if row is None:
        user_id = await _join(tx, provider, said, was_here=linked is not None)
        row = await tx.one(_BY_ID, {**_named(tx), "user": user_id})
    assert row is not None
    return _person(row), membership(dict(row))


async def _linked(tx: Tx, provider: Provider, said: Vouched) -> UUID | None:
    mine = identities.c.tenant_id == tx.principal.tenant_id
    query = select(identities.c.user_id).where(mine, identities.c.provider_id == provider.id)
    found: UUID | None = await tx.scalar(query.where(identities.c.subject == said.subject))
    return found


async def _link(tx: Tx, provider: Provider, said: Vouched, user_id: UUID, *, replaces: bool = False) -> None:
    """From now on this subject is that person, instead of another one if it ``replaces`` them.

    Raises SubjectChanged where another one is, and it does not: the address was given to somebody else.
    """
    values = {"tenant_id": tx.principal.tenant_id, "provider_id": provider.id, "subject": said.subject}
    entered = upsert(identities).values(**values, user_id=user_id, created_at=tx.now)
    key = [identities.c.tenant_id, identities.c.provider_id, identities.c.subject]
    mine = identities.c.tenant_id == tx.principal.tenant_id
    theirs = mine & (identities.c.provider_id == provider.id) & (identities.c.user_id == user_id)
    other = await tx.scalar(select(identities.c.subject).where(theirs))
    if other is not None and other != said.subject:
        if not replaces:
            raise errors.SubjectChanged
        await tx.execute(delete(identities).where(theirs))
    await tx.execute(entered.on_conflict_do_update(index_elements=key, set_={"user_id": user_id}))
    tx.audit("identity.link", "user", user_id, after={"email": said.email, "provider": provider.name})


async def _join(tx: Tx, provider: Provider, said: Vouched, *, was_here: bool) -> UUID:
    """Make somebody a member, as they were invited or as the provider's newcomers are. Raises NotInvited."""
    own = (users.c.home_id == tx.principal.tenant_id) & (users.c.email == said.email)
    user_id: UUID | None = await tx.scalar(select(users.c.id).where(own))
    role, role_id, groups = await _role(tx, provider, said, is_new=user_id is None and not was_here)
    if user_id is None:
        user_id = ids.uuid7()
        home = {"home_id": tx.principal.tenant_id, "created_at": tx.now}
        await tx.execute(insert(users).values(id=user_id, email=said.email, name=said.name, **home))
    await _link(tx, provider, said, user_id, replaces=True)  # who was away is invited: whoever has the address now
    joined = {"tenant_id": tx.principal.tenant_id, "user_id": user_id, "created_at": tx.now}
    await tx.execute(insert(memberships).values(**joined, role=role, role_id=role_id, groups=groups))
    joined_as = {"email": said.email, "role": role, "provider": provider.name, **limits.said(limits.of(groups))}
    tx.audit("member.join", "user", user_id, after=joined_as)
    return user_id


async def _role(
    tx: Tx, provider: Provider, said: Vouched, *, is_new: bool
) -> tuple[Role, UUID | None, list[UUID] | None]:
    """What they become, and limited to which groups; an invitation of theirs is spent."""
    is_open = invitations.c.accepted_at.is_(None) & invitations.c.withdrawn_at.is_(None)
    mine = (invitations.c.tenant_id == tx.principal.tenant_id) & (invitations.c.email == said.email)
    query = select(invitations).where(mine, is_open, invitations.c.expires_at > tx.now)
    invited = await tx.one(query.order_by(invitations.c.id.desc()).limit(1).with_for_update())
    given: Any = (provider.role, provider.role_id, limits.stored(provider.groups)) if is_new else (None, None, None)
    if invited is not None:
        here = (invitations.c.tenant_id == tx.principal.tenant_id) & (invitations.c.id == invited["id"])
        await tx.execute(update(invitations).where(here).values(accepted_at=tx.now))
        given = (invited["role"], invited["role_id"], invited["groups"])
    if given[0] is None or not await _exists(tx, given[1]):
        raise errors.NotInvited
    return Role(given[0]), given[1], given[2]


async def _exists(tx: Tx, role_id: UUID | None) -> bool:
    """Whether a role of the tenant's own is still there; held until COMMIT."""
    if role_id is None:
        return True
    query = select(roles.c.id).where(roles.c.tenant_id == tx.principal.tenant_id, roles.c.id == role_id)
    return await tx.scalar(query.with_for_update(read=True)) is not None


def _named(tx: Tx) -> dict[str, object]:
    return {"tenant": tx.principal.tenant_id}


def _person(row: RowMapping) -> Person:
    """The person without what proves them: the provider did that."""
    return Person(row["user_id"], row["email"], row["user_name"], None, None, None, 0, 0)
