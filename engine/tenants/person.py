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
from engine.tenants import errors
from engine.tenants.model import Membership

_LOGIN = text("SELECT * FROM app.login(:email)")
_SECURE = text("SELECT app.secure(:user, :proof, CAST(:change AS jsonb))")


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
        )


def membership(row: Mapping[str, Any]) -> Membership:
    """The membership in a row of the doors ``login`` and ``invitation``."""
    role = Role(row["role"])
    scopes = scopes_of(role, row["scopes"])
    return Membership(row["tenant_id"], row["tenant_key"], row["tenant_name"], role, row.get("role_name"), scopes)


async def myself(tx: Tx) -> tuple[Person, Sequence[Membership]]:
    """The person who acts in ``tx`` and all their tenants. Raises NotAPerson for tokens and the platform itself."""
    if tx.principal.kind != "user":
        raise errors.NotAPerson
    rows = await tx.rows(_LOGIN, {"email": tx.principal.name})
    if not rows or rows[0]["user_id"] != tx.principal.id:
        raise errors.NotAPerson
    return Person.of(dict(rows[0]), tx.principal.name), [membership(dict(row)) for row in rows]


async def secure(tx: Tx, person: Person, **change: Any) -> int | None:
    """Change what proves ``person``, in ``tx``: how many sessions that ended, None where nothing was changed.

    ``change``: password_hash, totp and recovery (hex), totp_since, totp_step (only ever grows), spend (one recovery
    code's hash, hex), keep (a session id or None: every other session ends, in all tenants). Nothing is changed when
    the password is no longer the one that ``person`` was read with.
    """
    given = {"user": person.id, "proof": person.password_hash, "change": orjson.dumps(change).decode()}
    ended: int | None = await tx.scalar(_SECURE, given)
    return ended
