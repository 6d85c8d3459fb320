"""Who somebody is before a tenant is known: what they prove it with, and the one way to change that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine.store.tx import Tx
from engine.tenancy import Role, scopes_of
from engine.tenants import errors, limits
from engine.tenants.model import Membership

_LOGIN = text("SELECT * FROM app.login(:email)")
_VOUCHED = text("""
SELECT u.id AS user_id, u.email, u.name AS user_name, t.id AS tenant_id, t.key AS tenant_key, t.name AS tenant_name,
       m.role, r.name AS role_name, r.scopes, t.suspended_at IS NOT NULL AS is_suspended, m.groups
FROM sessions s JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
JOIN users u ON u.id = s.user_id JOIN tenants t ON t.id = s.tenant_id
LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE s.tenant_id = :tenant AND s.id = :session AND s.provider_id IS NOT NULL
""")
_SECURE = text("SELECT app.secure(:user, :proof, CAST(:change AS jsonb))")


@dataclass(frozen=True, slots=True)
class FactorReset:
    """That somebody else took a person's lost second factor away; it is told until there is a new one."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person with what proves them. ``totp``: their second factor's secret, sealed; it counts from ``totp_since``."""

    id: UUID
    email: str
    name: str
    password_hash: str | None = field(repr=False)
    totp: bytes | None = field(repr=False)
    totp_since: datetime | None
    totp_step: int
    recovery_left: int
    factor_reset: "FactorReset | None" = None

    @property
    def has_second_factor(self) -> bool:
        """Whether signing in takes a code."""
        return self.totp is not None and self.totp_since is not None

    @classmethod
    def of(cls, row: Mapping[str, Any], email: str) -> "Person":
        """The person in a row of the doors ``login`` and ``invitation``."""
        return cls(
            row["user_id"],
            email.strip().lower(),
            row["user_name"],
            row["password_hash"],
            None if row["totp"] is None else bytes(row["totp"]),
            row["totp_since"],
            row["totp_step"],
            row["recovery_left"],
            FactorReset(row["factor_reset_at"], row["factor_reset_by"]) if row.get("factor_reset_at") else None,
        )


def membership(row: Mapping[str, Any]) -> Membership:
    """The membership in a row of the doors ``login`` and ``invitation``."""
    role = Role(row["role"])
    scopes = scopes_of(role, row["scopes"])
    return Membership(
        row["tenant_id"],
        row["tenant_key"],
        row["tenant_name"],
        role,
        row.get("role_name"),
        scopes,
        row["is_suspended"],
        limits.of(row["groups"]),
    )


async def myself(tx: Tx) -> tuple[Person, Sequence[Membership]]:
    """The person who acts in ``tx`` and all their tenants. Raises NotAPerson for tokens and the platform itself."""
    if tx.principal.kind != "user":
        raise errors.NotAPerson
    found = await known(tx, tx.principal.name)
    if found is None or found[0].id != tx.principal.id:
        raise errors.NotAPerson
    return found


async def acting(tx: Tx) -> tuple[Person, Sequence[Membership]]:
    """As ``myself``, to be shown. In a session that a tenant's identity provider opened, a person is what that tenant
    knows: none of their other tenants, nothing of what proves them elsewhere.
    """
    row = await tx.one(_VOUCHED, {"tenant": tx.principal.tenant_id, "session": tx.principal.session_id})
    if row is None:
        return await myself(tx)
    return Person(row["user_id"], row["email"], row["user_name"], None, None, None, 0, 0), [membership(dict(row))]


async def known(tx: Tx, email: str) -> tuple[Person, Sequence[Membership]] | None:
    """Whoever has this e-mail address, and all their tenants; None for nobody, and for who belongs nowhere."""
    rows = await tx.rows(_LOGIN, {"email": email})
    return (Person.of(dict(rows[0]), email), [membership(dict(row)) for row in rows]) if rows else None


async def secure(tx: Tx, person: Person, **change: Any) -> int | None:
    """Change what proves ``person``, in ``tx``: how many sessions that ended, None where nothing was changed.

    ``change``: password_hash, totp and recovery (hex), totp_since, totp_step (only ever grows), spend (one recovery
    code's hash, hex), keep (a session id or None: every other session ends, in all tenants). Nothing is changed when
    the password is no longer the one that ``person`` was read with.
    """
    return await _secure(tx, person.id, person, change)


async def take_factor(tx: Tx, user_id: UUID, by: Person) -> int | None:
    """Take somebody's second factor away, and end all their sessions; the answer as of ``secure``.

    Nothing is changed unless ``by`` is somebody else in the tenant that acts, whose password is still the one they were
    read with, and the person belongs to that tenant alone (the platform's operator may act on anybody).
    """
    return await _secure(tx, user_id, by, {"reset_by": str(by.id), "reset_name": by.email, "keep": None})


async def _secure(tx: Tx, user_id: UUID, proven: Person, change: Mapping[str, Any]) -> int | None:
    given = {"user": user_id, "proof": proven.password_hash, "change": orjson.dumps(change).decode()}
    ended: int | None = await tx.scalar(_SECURE, given)
    return ended
