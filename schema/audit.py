"""The audit log as the contract shows it: who did what, to what, with what result."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

import strawberry

from engine.audit import model
from schema.enums import shown
from schema.scalars import Json


class AuditResult(StrEnum):
    """What became of a deed."""

    DONE = "done"
    DENIED = "denied"
    REFUSED = "refused"


shown(
    AuditResult,
    "What became of it.",
    DONE="It was done.",
    DENIED="Whoever tried had no right to it.",
    REFUSED="It was allowed, but could not be as things stood.",
)


@strawberry.type(description="One entry of the audit log. Entries are never changed and never deleted.")
class AuditEntry:
    """One deed."""

    seq: int = strawberry.field(description="Its number in the tenant's log, without gaps.")
    at: datetime = strawberry.field(description="When it was done.")
    actor_kind: str = strawberry.field(
        description="Who did it: user, token, system, platform (its operator), provisioner (a way in for devices), or "
        "provider (of identities)."
    )
    actor_id: UUID = strawberry.field(description="The user's or token's id.")
    actor_name: str = strawberry.field(description="The user's e-mail address or the token's name.")
    action: str = strawberry.field(description="What was done, for example device.change.")
    target_kind: str = strawberry.field(description="What kind of thing it was done to.")
    target_id: str = strawberry.field(description="That thing's id.")
    result: AuditResult = strawberry.field(description="What became of it.")
    reason: str | None = strawberry.field(description="The code of the refusal, when it was denied or refused.")
    before: Json | None = strawberry.field(description="The thing as it was, where the deed changed it.")
    after: Json | None = strawberry.field(description="The thing as it became.")
    address: str | None = strawberry.field(description="The network address it was asked from, where known.")

    @classmethod
    def of(cls, entry: model.Entry) -> Self:
        """The contract's view of ``entry``."""
        return cls(
            seq=entry.seq,
            at=entry.at,
            actor_kind=entry.actor_kind,
            actor_id=entry.actor_id,
            actor_name=entry.actor_name,
            action=entry.action,
            target_kind=entry.target_kind,
            target_id=entry.target_id,
            result=AuditResult(entry.result),
            reason=entry.reason,
            before=None if entry.before is None else Json(entry.before),
            after=None if entry.after is None else Json(entry.after),
            address=entry.address,
        )
