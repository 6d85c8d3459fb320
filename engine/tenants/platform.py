"""The platform's operator: who makes, names, suspends and resumes tenants, and sees nothing that is in them.

An operator acts in the platform's own tenant, which has no devices and no data, so row-level security shows them as
much of a tenant as it shows any stranger: nothing. All they have beyond that is the door ``platform``.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import and_, select, text

from engine import clock, ids, pages
from engine.audit import service as audit
from engine.audit.tables import audit as log
from engine.pages import Page
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenants import errors
from engine.tenants.invitations import A_DAY, LIFE, address_of, refuse_flood
from engine.tenants.model import Hosted

KEY = "[a-z0-9-]{1,20}"
_DOOR = text("SELECT * FROM app.platform(:verb, CAST(:given AS jsonb))")


async def page(
    tx: Tx, *, search: str | None = None, is_suspended: bool | None = None, first: int = 50, after: str | None = None
) -> Page[Hosted]:
    """The tenants by key; ``search`` is part of a key or name. Raises BadCursor, BadPageSize."""
    size = pages.page_size(first)
    given = {"search": search or None, "is_suspended": is_suspended, "first": size + 1}
    rows = await _ask(tx, "list", {**given, "after": pages.decode(after) if after is not None else None})
    return pages.cut(rows, size, lambda tenant: tenant.key)


async def get(tx: Tx, tenant_id: UUID) -> Hosted:
    """One tenant; raises TenantNotFound."""
    return await _of(tx, "get", tenant_id)


async def create(tx: Tx, *, key: str, name: str, email: str) -> tuple[Hosted, str]:
    """A new tenant, and the secret of its first owner's invitation, which is not kept.

    Raises TenantMalformed, EmailMalformed, TenantKeyTaken, InvitedTooOften.
    """
    if not re.fullmatch(KEY, key):
        raise errors.TenantMalformed
    invitation, secret = await _invitation(tx, email)
    found = await _ask(tx, "create", {"id": ids.uuid7(), "key": key, "name": _named(name), **invitation})
    if not found:
        raise errors.TenantKeyTaken
    told = {"key": key, "name": found[0].name, "email": invitation["email"]}
    tx.audit("tenant.create", "tenant", found[0].id, after=told)
    return found[0], secret


async def invite(tx: Tx, tenant_id: UUID, *, email: str) -> tuple[Hosted, str]:
    """Invite the first owner anew; the invitation before ends.

    Raises EmailMalformed, TenantNotFound, TenantOwned, InvitedTooOften.
    """
    invitation, secret = await _invitation(tx, email)
    tenant = await _of(tx, "invite", tenant_id, invitation)
    if tenant.has_owner:
        raise errors.TenantOwned
    tx.audit("tenant.invite", "tenant", tenant_id, after={"email": invitation["email"]})
    return tenant, secret


async def rename(tx: Tx, tenant_id: UUID, name: str) -> Hosted:
    """Give a tenant another name; its key never changes. Raises TenantMalformed, TenantNotFound."""
    before = await get(tx, tenant_id)
    after = await _of(tx, "rename", tenant_id, {"name": _named(name)})
    tx.audit("tenant.rename", "tenant", tenant_id, before={"name": before.name}, after={"name": after.name})
    return after


async def suspend(tx: Tx, tenant_id: UUID, *, reason: str = "") -> Hosted:
    """Shut a tenant: its people, tokens, streams and devices are cut on every process, and nothing is deleted.

    Who is suspended already stays so, for the reason that was given then. Raises TenantNotFound.
    """
    tenant = await _of(tx, "suspend", tenant_id, {"reason": reason.strip()[:400]})
    tx.audit("tenant.suspend", "tenant", tenant_id, after={"reason": tenant.suspended_reason})
    return tenant


async def resume(tx: Tx, tenant_id: UUID) -> Hosted:
    """Open a suspended tenant again; sessions, tokens and devices work as before. Raises TenantNotFound."""
    tenant = await _of(tx, "resume", tenant_id)
    tx.audit("tenant.resume", "tenant", tenant_id)
    return tenant


async def invite_operator(owner: Store, email: str) -> str | None:
    """As the database's owner: the secret of an invitation to operate the platform; None for who does already.

    Raises EmailMalformed. The first one brings the platform's own tenant into being.
    """
    secret = ids.token("tgi")
    rows = await owner.door(
        "operator", ids.uuid7(), ids.uuid7(), address_of(email), ids.fingerprint(secret), clock.now() + LIFE
    )
    return secret if rows[0]["operator"] else None


async def _of(tx: Tx, verb: str, tenant_id: UUID, given: Mapping[str, Any] | None = None) -> Hosted:
    found = await _ask(tx, verb, {"id": tenant_id, **(given or {})})
    if not found:
        raise errors.TenantNotFound
    return found[0]


async def _ask(tx: Tx, verb: str, given: Mapping[str, Any]) -> list[Hosted]:
    said = orjson.dumps({**given, "actor": tx.principal.id}).decode()
    return [Hosted(**row) for row in await tx.rows(_DOOR, {"verb": verb, "given": said})]


async def _invitation(tx: Tx, email: str) -> tuple[dict[str, Any], str]:
    secret, clean = ids.token("tgi"), address_of(email)
    await _refuse_flood(tx, clean)
    given = {"email": clean, "invitation_id": ids.uuid7(), "expires_at": tx.now + LIFE}
    return {**given, "secret_sha256": ids.fingerprint(secret).hex()}, secret


async def _refuse_flood(tx: Tx, email: str) -> None:
    """Raises InvitedTooOften, by the platform's own log: an operator sees no tenant's invitations."""
    lowest = await audit.lowest_since(tx, tx.now - A_DAY)
    lately = and_(log.c.tenant_id == tx.principal.tenant_id, log.c.seq >= lowest, log.c.result == "done")
    made = select(log.c.at).where(lately, log.c.action.in_(("tenant.create", "tenant.invite")))
    await refuse_flood(tx, made, log.c.after["email"].astext == email)


def _named(name: str) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 120 or not clean.isprintable():
        raise errors.TenantMalformed
    return clean
