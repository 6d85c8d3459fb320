"""Why a rule did not fire, as the contract shows it: looks that were taken while it ran."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.rules import tried
from engine.rules.state import Phase
from schema.context import Info, loaded
from schema.devices import Device
from schema.directives import Cost, Needs
from schema.scalars import Json


@strawberry.type(description="One look at which a rule had not fired for a device. They are taken now and then.")
class RuleNonFiring:
    """Why it did not fire."""

    id: UUID = strawberry.field(description="The look's id.")
    rule_id: UUID = strawberry.field(description="The rule's id.")
    rule_version: int = strawberry.field(description="The version of the rule that was looked at.")
    looked_at: datetime = strawberry.field(description="When it was looked at.")
    at: datetime = strawberry.field(description="Of when the newest value it saw was, by the device's clock.")
    is_waiting: bool = strawberry.field(description="Whether its condition was met and only its wait was not over.")
    verdict: bool | None = strawberry.field(description="Whether its condition was true; null: not known.")
    is_near: bool = strawberry.field(
        description="Whether it almost fired: only one of several parts was not so, and if that compares a number, it "
        "was near the limit; or only its wait was not over."
    )
    reason: str = strawberry.field(description="Why it did not fire, in a sentence with the values seen.")
    why: Json = strawberry.field(description="The condition with the values seen and each part's verdict.")
    device_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, look: tried.NonFiring) -> Self:
        """The contract's view of ``look``."""
        return cls(
            id=look.id,
            rule_id=look.rule_id,
            rule_version=look.rule_version,
            looked_at=look.looked_at,
            at=look.at,
            is_waiting=look.phase is Phase.PENDING,
            verdict=look.verdict,
            is_near=look.is_near,
            reason=look.reason,
            why=Json(look.why),
            device_id=look.device_id,
        )

    @strawberry.field(
        description="The device that it is about.", directives=[Needs(scope="devices:read"), Cost(weight=1)]
    )
    def device(self, info: Info) -> Device:
        """The device that it is about."""
        return loaded(info.context.devices, self.device_id, Device.of)
