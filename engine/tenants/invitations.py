"""Asking people to join a tenant: a single-use link that is shown once, and what becomes of it."""

import math
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select, text, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import Role
from engine.tenants import errors, limits, roles, second_factor
from engine.tenants.doorway import enter, principal_of
from engine.tenants.model import Invitation, InvitationStatus, LoggedIn, Offer
from engine.tenants.passwords import SignIn, hash_password, is_right, refuse_weak
from engine.tenants.person import Person, membership
from engine.tenants.second_factor import Vault
from engine.tenants.tables import invitations, memberships, users

LIFE = timedelta(days=7)
A_DAY = timedelta(days=1)
PER_ADDRESS, PER_TENANT = 5, 200
"""Invitations in 24 hours to one address, and in all: each may send mail to somebody who did not ask for it."""
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_ACCEPT = text("SELECT * FROM app.invitation(:secret, :user, :name, :password_hash)")


async def invite(
    tx: Tx, *, email: str, role: Role, role_id: UUID | None = None, groups: Collection[UUID] | None = None
) -> tuple[Invitation, str]:
    """A new invitation and its secret, which is not kept; an open one for the same address is withdrawn.

    ``groups``: the only groups whose devices they will see, None for all devices. Raises EmailMalformed, AlreadyMember,
    InvitedTooOften, and what ``roles.grantable`` and ``limits.grantable`` raise.
    """
    clean = address_of(email)
    custom = await roles.grantable(tx, role, role_id)
    limit = await limits.grantable(tx, groups, role=role)
    here = select(memberships.c.user_id).where(memberships.c.tenant_id == tx.principal.tenant_id)
    if await tx.scalar(select(users.c.id).where(users.c.email == clean, users.c.id.in_(here))):
        raise errors.AlreadyMember
    await refuse_flood(tx, select(invitations.c.created_at).where(_of(tx)), invitations.c.email == clean)
    await _withdraw(tx, invitations.c.email == clean)
    secret = ids.token("tgi")
    row = await tx.one(
        insert(invitations)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            email=clean,
            role=role,
            role_id=custom.id if custom else None,
            groups=limits.stored(limit),
            secret_sha256=ids.fingerprint(secret),
            invited_by=tx.principal.name or tx.principal.kind,
            created_at=tx.now,
            expires_at=tx.now + LIFE,
        )
        .returning(invitations)
    )
    assert row is not None
    invitation = _invitation(tx, row)
    tx.audit("member.invite", "invitation", invitation.id, after=invitation)
    return invitation, secret


def address_of(email: str) -> str:
    """An e-mail address as it is kept; raises EmailMalformed."""
    clean = email.strip().lower()
    if not _EMAIL.fullmatch(clean) or not clean.isprintable():
        raise errors.EmailMalformed
    return clean


async def listed(tx: Tx) -> list[Invitation]:
    """The tenant's invitations, newest first, those that are over too."""
    query = select(invitations).where(_of(tx)).order_by(invitations.c.id.desc()).limit(200)
    return [_invitation(tx, row) for row in await tx.rows(query)]


async def withdraw(tx: Tx, invitation_id: UUID) -> Invitation:
    """Make an invitation worthless. Raises InvitationNotFound, InvitationOver when it was accepted."""
    query = select(invitations).where(_of(tx), invitations.c.id == invitation_id).with_for_update()
    row = await tx.one(query)
    if row is None:
        raise errors.InvitationNotFound
    if row["accepted_at"] is not None:
        raise errors.InvitationOver
    for withdrawn in await _withdraw(tx, invitations.c.id == invitation_id):
        return withdrawn
    return _invitation(tx, row)


async def look(store: Store, secret: str) -> Offer:
    """What an invitation offers to whoever holds its secret. Raises InvitationOver, TenantSuspended."""
    row = await _found(store, ids.fingerprint(secret))
    return Offer(
        row["tenant_name"], row["email"], Role(row["role"]), row["user_id"] is not None, row["totp_since"] is not None
    )


async def accept(
    store: Store,
    secret: str,
    *,
    password: str,
    name: str = "",
    code: str = "",
    address: str = "",
    agent: str = "",
    vault: Vault | None = None,
) -> LoggedIn:
    """Join the tenant, and open a session there.

    Somebody new chooses a name and a password; who has an account proves it with theirs, and with ``code`` where there
    is a second factor. Raises InvitationOver, PersonUnnamed, PasswordWeak, BadCredentials, TooManyTries, CodeWrong,
    and TenantSuspended: the invitation is good again when the tenant is.
    """
    digest = ids.fingerprint(secret)
    row = await _found(store, digest)
    if row["user_id"] is None:
        person, password_hash = await _newcomer(row["email"], name, password)
    else:
        person, password_hash = await _known(Person.of(row, row["email"]), password, address), None
    async with store.as_tenant(principal_of(person, membership(row), address)) as tx:
        await second_factor.prove(tx, vault, person, code)
        given = {"secret": digest, "user": person.id, "name": person.name, "password_hash": password_hash}
        joined = await tx.one(_ACCEPT, given)
        if joined is None or joined["is_suspended"]:
            raise errors.InvitationOver if joined is None else errors.TenantSuspended
        joined_as = {"email": person.email, "role": row["role"], **limits.said(limits.of(row["groups"]))}
        tx.audit("member.join", "user", person.id, after=joined_as)
        return await enter(tx, person, membership(dict(joined)), agent)


async def _found(store: Store, digest: bytes) -> Mapping[str, Any]:
    rows = await store.door("invitation", digest, None, None, None)
    if not rows:
        raise errors.InvitationOver
    if rows[0]["is_suspended"]:
        raise errors.TenantSuspended
    return rows[0]


async def _newcomer(email: str, name: str, password: str) -> tuple[Person, str]:
    clean = name.strip()
    if not 1 <= len(clean) <= 120 or not clean.isprintable():
        raise errors.PersonUnnamed
    refuse_weak(password, email)
    password_hash = await hash_password(password)
    return Person(ids.uuid7(), email, clean, password_hash, None, None, 0, 0), password_hash


async def _known(person: Person, password: str, address: str) -> Person:
    attempt = SignIn(person.email, address)
    attempt.check()
    if not await is_right(person.password_hash, password):
        attempt.failed()
        raise errors.BadCredentials
    return person


async def refuse_flood(tx: Tx, made: Select[tuple[datetime]], to_the_address: ColumnElement[bool]) -> None:
    """Raises InvitedTooOften; one at a time in each tenant until COMMIT, so that many at once do not pass it.

    ``made``: when invitations were made; ``to_the_address``: which of them went to this address.
    """
    tenant, (at,) = tx.principal.tenant_id, made.selected_columns
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"invite|{tenant}", 0))))
    made = made.where(at > tx.now - A_DAY)
    for query, most in ((made.where(to_the_address), PER_ADDRESS), (made, PER_TENANT)):
        full_since = await tx.scalar(query.order_by(at.desc()).offset(most - 1).limit(1))
        if full_since is not None:
            wait = full_since + A_DAY - tx.now
            raise errors.InvitedTooOften(retry_after_s=max(1, math.ceil(wait.total_seconds())))


async def _withdraw(tx: Tx, which: ColumnElement[bool]) -> list[Invitation]:
    is_open = invitations.c.accepted_at.is_(None) & invitations.c.withdrawn_at.is_(None)
    rows = await tx.rows(
        update(invitations).where(_of(tx), which, is_open).values(withdrawn_at=tx.now).returning(invitations)
    )
    found = [_invitation(tx, row) for row in rows]
    for invitation in found:
        tx.audit("invitation.withdraw", "invitation", invitation.id, after=invitation)
    return found


def _of(tx: Tx) -> ColumnElement[bool]:
    return invitations.c.tenant_id == tx.principal.tenant_id


def _invitation(tx: Tx, row: RowMapping) -> Invitation:
    status = InvitationStatus.PENDING
    if row["accepted_at"] is not None:
        status = InvitationStatus.ACCEPTED
    elif row["withdrawn_at"] is not None:
        status = InvitationStatus.WITHDRAWN
    elif row["expires_at"] <= tx.now:
        status = InvitationStatus.EXPIRED
    return Invitation(
        row["id"],
        row["email"],
        Role(row["role"]),
        row["role_id"],
        row["invited_by"],
        row["created_at"],
        row["expires_at"],
        status,
        limits.of(row["groups"]),
    )
