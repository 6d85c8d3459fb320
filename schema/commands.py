"""Commands as the contract shows them: something a device is asked to do, and what became of it."""

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry

from engine.commands import model
from engine.commands.model import CommandStatus
from schema.context import Info, loaded
from schema.devices import Device
from schema.directives import Constraint, Cost, Example, Needs
from schema.enums import shown
from schema.scalars import Json

shown(
    CommandStatus,
    "Where a command stands. QUEUED, SENT and ACKNOWLEDGED may still change; the others are the end.",
    QUEUED="It waits until the device is connected.",
    SENT="It went down to the device.",
    ACKNOWLEDGED="The device has it and is at work.",
    SUCCEEDED="The device has done it.",
    FAILED="The device tried and could not.",
    REJECTED="The device would not.",
    TIMED_OUT="The device had it and did not answer in time.",
    EXPIRED="The device did not come for it in time.",
    CANCELLED="It was called off before the device had it.",
)


@strawberry.type(description="A command: something that a device is asked to do.")
class Command:
    """One command to one device."""

    id: UUID = strawberry.field(description="The command's id; the device gets it too, and answers under it.")
    command: str = strawberry.field(description="Which of the commands that the device's profile declares.")
    arguments: Json = strawberry.field(description="What it is told: an object with the declared arguments.")
    status: CommandStatus = strawberry.field(description="Where the command stands.")
    timeout_seconds: int = strawberry.field(
        description="How long the device may take to answer once it has the command."
    )
    requested_by: str = strawberry.field(description="Who issued it: a person, an API token or a rule.")
    requested_at: datetime = strawberry.field(description="When it was issued.")
    expires_at: datetime = strawberry.field(description="Until when it waits for a device that is not connected.")
    sent_at: datetime | None = strawberry.field(description="When the device confirmed that it has it.")
    acknowledged_at: datetime | None = strawberry.field(description="When the device said that it will do it.")
    finished_at: datetime | None = strawberry.field(description="When it reached its end.")
    reason: str | None = strawberry.field(description="Why it failed, was rejected or was given up, in words.")
    result: Json | None = strawberry.field(description="What the device gave back.")
    late_answer: Json | None = strawberry.field(
        description="What the device said after the command was given up; that changes nothing any more."
    )
    rule_id: UUID | None = strawberry.field(description="The rule that issued it; null if it was no rule.")
    version: int = strawberry.field(description="Rises with every change.")
    device_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, command: model.Command) -> Self:
        """The contract's view of ``command``."""
        return cls(
            id=command.id,
            command=command.command,
            arguments=Json(command.arguments),
            status=command.status,
            timeout_seconds=command.timeout_s,
            requested_by=command.requested_by,
            requested_at=command.requested_at,
            expires_at=command.expires_at,
            sent_at=command.sent_at,
            acknowledged_at=command.acknowledged_at,
            finished_at=command.finished_at,
            reason=command.reason,
            result=None if command.result is None else Json(command.result),
            late_answer=None if command.late is None else Json(command.late),
            rule_id=command.rule_id,
            version=command.version,
            device_id=command.device_id,
        )

    @strawberry.field(
        description="The device that it is for.", directives=[Needs(scope="devices:read"), Cost(weight=1)]
    )
    def device(self, info: Info) -> Device:
        """The device that it is for."""
        return loaded(info.context.devices, self.device_id, Device.of)


@strawberry.input(description="A command to a device.")
class CommandIssue:
    """What a device is asked to do."""

    command: str = strawberry.field(
        description="One of the commands that the device's profile declares.",
        directives=[Constraint(min_length=1, max_length=64), Example(json='"set-speed"')],
    )
    arguments: Json | None = strawberry.field(
        default=None,
        description="What it is told: an object with the declared arguments; left out, none.",
        directives=[Example(json='{"rpm":900}')],
    )
    timeout_seconds: int | None = strawberry.field(
        default=None,
        description="How long the device may take to answer; left out, what its profile declares.",
        directives=[Constraint(min=1, max=model.MAX_TIMEOUT_S)],
    )
    queue_seconds: int = strawberry.field(
        default=model.DEFAULT_QUEUE_S,
        description="How long the command may wait for a device that is not connected.",
        directives=[Constraint(min=1, max=model.MAX_QUEUE_S)],
    )


class CommandEventKind(Enum):
    """What happened to a command."""

    CHANGED = "command.changed"
    ANSWERED_LATE = "command.answered_late"


shown(
    CommandEventKind,
    "What happened to a command.",
    CHANGED="It was issued, or its status changed.",
    ANSWERED_LATE="The device answered when it was over already; its status stays.",
)


@strawberry.type(description="A command was issued, has moved, or was answered too late.")
class CommandEvent:
    """A change of a command, live."""

    cursor: str = strawberry.field(description="Give this as `after` to go on from here.")
    kind: CommandEventKind = strawberry.field(description="What happened.")
    status: CommandStatus | None = strawberry.field(
        description="Where the command stood then; null for a late answer, which moves nothing."
    )
    command_id: strawberry.Private[UUID]
    share: strawberry.Private[str | None] = None

    @strawberry.field(description="The command as it is now.")
    def command(self, info: Info) -> Command:
        """The command as it is now."""
        return loaded(info.context.commands, self.command_id, Command.of)
