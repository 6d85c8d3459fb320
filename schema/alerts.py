"""Alerts as the contract shows them: what a rule found, and what became of it."""

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry

from engine.alerts import model
from engine.alerts.model import AlertStatus
from schema.context import Info, loaded
from schema.devices import Device
from schema.directives import Constraint, Cost, Example, Needs
from schema.enums import shown
from schema.notifications import Delivery
from schema.rules import Rule
from schema.scalars import Json
from schema.severities import Severity

shown(
    AlertStatus,
    "Where an alert stands.",
    ACTIVE="It was raised, and nobody has taken notice yet.",
    ACKNOWLEDGED="Somebody has taken notice, and what it tells of goes on.",
    CLEARED="What it told of is over.",
)


shown(
    model.Happening,
    "What happened to an alert beside its being raised and cleared.",
    ACKNOWLEDGED="Somebody took notice.",
    ASSIGNED="It was given to somebody, or to nobody any more.",
    COMMENTED="Somebody wrote something about it.",
    SNOOZED="Nobody is told of it for a while.",
    WOKEN="The while for which nobody was told is over.",
    SILENCED="A silence covers it, so that nobody is told.",
    TOLD="Somebody was told of it.",
    NOT_TOLD="Somebody should have been told and was not; the note says why.",
)


@strawberry.type(description="One entry of an alert's history.")
class AlertNote:
    """Something done or said about an alert."""

    at: datetime = strawberry.field(description="When it happened.")
    kind: model.Happening = strawberry.field(description="What happened.")
    by: str = strawberry.field(description="Who did it: a person, an API token, or system.")
    text: str | None = strawberry.field(description="What was said, to whom it was given, or who was told.")

    @classmethod
    def of(cls, note: model.AlertNote) -> Self:
        """The contract's view of ``note``."""
        return cls(at=note.at, kind=note.kind, by=note.by, text=note.text)


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
    assigned_to: UUID | None = strawberry.field(description="The member who looks after it.")
    assigned_name: str | None = strawberry.field(description="Their name.")
    snoozed_until: datetime | None = strawberry.field(
        description="Until when nobody is told of it, because somebody has put it off."
    )
    silenced_until: datetime | None = strawberry.field(
        description="Until when nobody is told of it, because of a silence."
    )
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
            assigned_to=alert.assigned_to,
            assigned_name=alert.assigned_name,
            snoozed_until=alert.snoozed_until,
            silenced_until=alert.silenced_until,
            rule_id=alert.rule_id,
            device_id=alert.device_id,
        )

    @strawberry.field(
        description="The rule that fired, as it is now.", directives=[Needs(scope="rules:read"), Cost(weight=1)]
    )
    def rule(self, info: Info) -> Rule:
        """The rule that fired."""
        return loaded(info.context.rules, self.rule_id, Rule.of)

    @strawberry.field(
        description="What the rule says in plain words, as it was when it fired; null if that is no longer known.",
        directives=[Cost(weight=1)],
    )
    def summary(self, info: Info) -> str | None:
        """The rule that fired in plain words."""
        return loaded(info.context.rule_sentences, (self.rule_id, self.rule_version), lambda said: said)

    @strawberry.field(
        description="The device that it is about.", directives=[Needs(scope="devices:read"), Cost(weight=1)]
    )
    def device(self, info: Info) -> Device:
        """The device that it is about."""
        return loaded(info.context.devices, self.device_id, Device.of)

    @strawberry.field(
        description="What was done and said about it, oldest first; at most the newest 200.",
        directives=[Cost(weight=2)],
    )
    def history(self, info: Info) -> list[AlertNote]:
        """What was done and said about it."""
        return loaded(info.context.alert_notes, self.id, lambda notes: [AlertNote.of(note) for note in notes])

    @strawberry.field(
        description="What went out about it, alone or together with others, and what became of it; oldest first, kept "
        "for 30 days. What an entry of the history sent out was made at its moment.",
        directives=[Needs(scope="notifications:read"), Cost(weight=2)],
    )
    def deliveries(self, info: Info) -> list[Delivery]:
        """What went out about it."""
        return loaded(info.context.alert_deliveries, self.id, lambda sent: [Delivery.of(each) for each in sent])


class AlertEventKind(Enum):
    """What happened to an alert."""

    RAISED = "alert.raised"
    ACKNOWLEDGED = "alert.acknowledged"
    CLEARED = "alert.cleared"
    CHANGED = "alert.changed"


shown(
    AlertEventKind,
    "What happened to an alert.",
    RAISED="A rule fired.",
    ACKNOWLEDGED="Somebody took notice.",
    CLEARED="What it told of is over.",
    CHANGED="It was assigned, commented, snoozed or silenced, or somebody was told.",
)


@strawberry.type(description="An alert was raised, acknowledged or cleared, or somebody did something about it.")
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


@strawberry.type(description="The open alerts of one rule together.")
class AlertGroup:
    """Open alerts of a rule."""

    open: int = strawberry.field(description="How many of the rule's alerts are not cleared.")
    unacknowledged: int = strawberry.field(description="How many of them nobody has taken note of.")
    severity: Severity = strawberry.field(description="The worst of them.")
    oldest_at: datetime = strawberry.field(description="When the first of them was raised.")
    newest_at: datetime = strawberry.field(description="When the last of them was raised.")
    rule_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, group: model.AlertGroup) -> Self:
        """The contract's view of ``group``."""
        return cls(
            open=group.open,
            unacknowledged=group.unacknowledged,
            severity=Severity(group.severity),
            oldest_at=group.oldest_at,
            newest_at=group.newest_at,
            rule_id=group.rule_id,
        )

    @strawberry.field(description="The rule.", directives=[Needs(scope="rules:read"), Cost(weight=1)])
    def rule(self, info: Info) -> Rule:
        """The rule."""
        return loaded(info.context.rules, self.rule_id, Rule.of)


@strawberry.type(
    description="A time in which alerts are raised but nobody is told, such as a maintenance. It is about a rule, a "
    "device or a group; about everything if none is named."
)
class Silence:
    """A silence."""

    id: UUID = strawberry.field(description="The silence's id.")
    reason: str = strawberry.field(description="Why, in words.")
    rule_id: UUID | None = strawberry.field(description="The rule that it is about; null: any.")
    device_id: UUID | None = strawberry.field(description="The device that it is about; null: any.")
    group_id: UUID | None = strawberry.field(description="The group of devices that it is about; null: any.")
    from_at: datetime = strawberry.field(description="When it begins.")
    until_at: datetime = strawberry.field(description="When it ends by itself.")
    ended_at: datetime | None = strawberry.field(description="When somebody ended it.")
    created_by: str = strawberry.field(description="Who made it.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, silence: model.Silence) -> Self:
        """The contract's view of ``silence``."""
        return cls(
            id=silence.id,
            reason=silence.reason,
            rule_id=silence.rule_id,
            device_id=silence.device_id,
            group_id=silence.group_id,
            from_at=silence.from_at,
            until_at=silence.until_at,
            ended_at=silence.ended_at,
            created_by=silence.created_by,
            created_at=silence.created_at,
        )


@strawberry.input(description="A new silence.")
class SilenceCreate:
    """What is to be silent, and how long."""

    reason: str = strawberry.field(
        description="Why, in words for those who wonder.",
        directives=[Constraint(min_length=1, max_length=500), Example(json='"The cold room is being cleaned."')],
    )
    until_at: datetime = strawberry.field(description="When it ends; at most 366 days ahead.")
    from_at: datetime | None = strawberry.field(default=None, description="When it begins; left out: now.")
    rule_id: UUID | None = strawberry.field(default=None, description="Only alerts of this rule.")
    device_id: UUID | None = strawberry.field(default=None, description="Only alerts about this device.")
    group_id: UUID | None = strawberry.field(default=None, description="Only alerts about devices of this group.")
