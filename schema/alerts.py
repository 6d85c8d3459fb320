"""Alerts as the contract shows them: what a rule found, and what became of it."""

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry

from engine.alerts import model
from engine.alerts.model import AlertStatus
from engine.rules.model import Severity
from schema.context import Info, loaded
from schema.devices import Device
from schema.directives import Cost
from schema.rules import Rule
from schema.scalars import Json

strawberry.enum(AlertStatus, description="Where an alert stands.")


@strawberry.type(description="An alert: a rule has found something wrong with a device.")
class Alert:
    """One episode of a rule on a device."""

    id: UUID = strawberry.field(description="The alert's id.")
    severity: Severity = strawberry.field(description="How bad it is.")
    status: AlertStatus = strawberry.field(description="Where the alert stands.")
    reason: str = strawberry.field(description="What happened, in a sentence with the values seen.")
    why: Json = strawberry.field(description="The rule's condition with the values seen and each part's verdict.")
    rule_version: int = strawberry.field(description="The version of the rule that fired.")
    episode: int = strawberry.field(description="The number of this episode of the rule on the device.")
    version: int = strawberry.field(description="Rises with every change.")
    raised_at: datetime = strawberry.field(description="When the rule fired.")
    acknowledged_at: datetime | None = strawberry.field(description="When somebody took note of it.")
    acknowledged_by: str | None = strawberry.field(description="Who took note of it.")
    note: str | None = strawberry.field(description="What they wrote.")
    cleared_at: datetime | None = strawberry.field(description="When what it was about was over.")
    cleared_reason: str | None = strawberry.field(description="Why it cleared, in a sentence.")
    rule_id: strawberry.Private[UUID]
    device_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, alert: model.Alert) -> Self:
        """The contract's view of ``alert``."""
        return cls(
            id=alert.id,
            severity=Severity(alert.severity),
            status=alert.status,
            reason=alert.reason,
            why=Json(alert.why),
            rule_version=alert.rule_version,
            episode=alert.episode,
            version=alert.version,
            raised_at=alert.raised_at,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=alert.acknowledged_by,
            note=alert.note,
            cleared_at=alert.cleared_at,
            cleared_reason=alert.cleared_reason,
            rule_id=alert.rule_id,
            device_id=alert.device_id,
        )

    @strawberry.field(description="The rule that fired, as it is now.", directives=[Cost(weight=1)])
    def rule(self, info: Info) -> Rule:
        """The rule that fired."""
        return loaded(info.context.rules, self.rule_id, Rule.of)

    @strawberry.field(description="The device that it is about.", directives=[Cost(weight=1)])
    def device(self, info: Info) -> Device:
        """The device that it is about."""
        return loaded(info.context.devices, self.device_id, Device.of)


@strawberry.enum(description="What happened to an alert.")
class AlertEventKind(Enum):
    """What happened to an alert."""

    RAISED = "alert.raised"
    ACKNOWLEDGED = "alert.acknowledged"
    CLEARED = "alert.cleared"


@strawberry.type(description="An alert was raised, acknowledged or cleared.")
class AlertEvent:
    """A change of an alert, live."""

    cursor: str = strawberry.field(description="Give this as `after` to go on from here.")
    kind: AlertEventKind = strawberry.field(description="What happened.")
    alert_id: strawberry.Private[UUID]
    share: strawberry.Private[str | None] = None

    @strawberry.field(description="The alert as it is now.")
    def alert(self, info: Info) -> Alert:
        """The alert as it is now."""
        return loaded(info.context.alerts, self.alert_id, Alert.of)
