"""Profiles as the contract shows them: what devices of one make measure, how often, and what they can be told."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.devices import declared, model
from engine.devices.declared import ValueType
from engine.devices.model import MetricType
from engine.devices.yes_no import yes_no
from schema.directives import Constraint
from schema.enums import shown

shown(
    MetricType,
    "What kind of value a metric carries.",
    NUMBER="A finite number, whole or not.",
    BOOLEAN="True or false.",
    STRING="Text of any kind.",
    OBJECT="A JSON object, such as a place with lat and lon.",
)
shown(
    ValueType,
    "What kind of value an argument of a command or a setting has.",
    NUMBER="A finite number, whole or not.",
    BOOLEAN="True or false.",
    STRING="Text of any kind.",
)

DEVICE_KEY = Constraint(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]{1,40}$")
METRIC_KEY = Constraint(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
WORD = Constraint(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
PATH = Constraint(
    min_length=1, max_length=120, pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}(\.[A-Za-z_][A-Za-z0-9_-]{0,63}){0,4}$"
)
NAME = Constraint(min_length=1, max_length=120)
LABEL = Constraint(max_length=100)
UNIT = Constraint(max_length=20)
INTERVAL = Constraint(min=0, max=2_592_000)
RETENTION = Constraint(min=0, max=90)
CHOICES = Constraint(max_length=50)


@strawberry.type(description="One thing that devices of a profile measure.")
class Metric:
    """A metric of a profile."""

    key: str = strawberry.field(description="The name that devices send, for example temperature.")
    type: MetricType = strawberry.field(description="The kind of value.")
    unit: str | None = strawberry.field(description="The unit of numbers, for example degC.")
    label: str = strawberry.field(description="The name shown to people; empty if it has none.")
    min: float | None = strawberry.field(description="The lowest number accepted.")
    max: float | None = strawberry.field(description="The highest number accepted.")
    when_true: str | None = strawberry.field(description="What true says, as in “door is open”; null for other types.")
    when_false: str | None = strawberry.field(description="What false says, as in “door is closed”; null likewise.")

    @classmethod
    def of(cls, metric: model.Metric) -> Self:
        """The contract's view of ``metric``."""
        said = yes_no(metric.key, metric.label) if metric.type is model.MetricType.BOOLEAN else None
        return cls(
            key=metric.key,
            type=MetricType(metric.type),
            unit=metric.unit,
            label=metric.label,
            min=metric.min,
            max=metric.max,
            when_true=said and said.sentence(True),
            when_false=said and said.sentence(False),
        )


_INTERVAL = "How often a device is expected to send readings, in seconds; null if no reports are expected."
_KEPT = "For how many days readings are kept; null: as long as the organisation's others."
_COMMANDS = "What its devices can be told to do. Declared only: nothing is sent by declaring it."
_SHADOW = "The settings in its devices' shadows."


@strawberry.type(description="One thing that a command is told.")
class CommandArgument:
    """An argument of a command."""

    key: str = strawberry.field(description="The name under which the device is given it.")
    type: ValueType = strawberry.field(description="The kind of value.")
    label: str = strawberry.field(description="The name shown to people; empty if it has none.")
    unit: str | None = strawberry.field(description="The unit of numbers, for example degC.")
    min: float | None = strawberry.field(description="The lowest number accepted.")
    max: float | None = strawberry.field(description="The highest number accepted.")
    choices: list[str] = strawberry.field(description="The texts to choose from; empty if any text will do.")
    is_required: bool = strawberry.field(description="Whether it has to be given.")

    @classmethod
    def of(cls, argument: declared.Argument) -> Self:
        """The contract's view of ``argument``."""
        return cls(
            key=argument.key,
            type=ValueType(argument.type),
            label=argument.label,
            unit=argument.unit,
            min=argument.min,
            max=argument.max,
            choices=list(argument.choices),
            is_required=argument.is_required,
        )


@strawberry.type(description="Something that devices of a profile can be told to do.")
class ProfileCommand:
    """A command of a profile."""

    key: str = strawberry.field(description="The command's name, for example open-valve.")
    label: str = strawberry.field(description="The name shown to people; empty if it has none.")
    description: str = strawberry.field(description="What it does, for people; empty if nobody said.")
    arguments: list[CommandArgument] = strawberry.field(description="What it is told.")
    timeout_s: int = strawberry.field(description="After so many seconds without an answer it counts as timed out.")

    @classmethod
    def of(cls, command: declared.Command) -> Self:
        """The contract's view of ``command``."""
        return cls(
            key=command.key,
            label=command.label,
            description=command.description,
            arguments=[CommandArgument.of(argument) for argument in command.arguments],
            timeout_s=command.timeout_s,
        )


@strawberry.type(description="One setting in the shadow of a device: the device reports it, apps may desire another.")
class ShadowLeaf:
    """A leaf of the shadow's schema."""

    path: str = strawberry.field(description="Its name, or names joined by dots, for example heating.setpoint.")
    type: ValueType = strawberry.field(description="The kind of value.")
    label: str = strawberry.field(description="The name shown to people; empty if it has none.")
    unit: str | None = strawberry.field(description="The unit of numbers, for example degC.")
    min: float | None = strawberry.field(description="The lowest number accepted.")
    max: float | None = strawberry.field(description="The highest number accepted.")
    choices: list[str] = strawberry.field(description="The texts to choose from; empty if any text will do.")
    is_writable: bool = strawberry.field(description="Whether apps may desire it; otherwise it is only reported.")

    @classmethod
    def of(cls, leaf: declared.ShadowLeaf) -> Self:
        """The contract's view of ``leaf``."""
        return cls(
            path=leaf.path,
            type=ValueType(leaf.type),
            label=leaf.label,
            unit=leaf.unit,
            min=leaf.min,
            max=leaf.max,
            choices=list(leaf.choices),
            is_writable=leaf.is_writable,
        )


@strawberry.type(
    description="What devices of one make have in common: what they send, how often, and what they can be told."
)
class Profile:
    """A device profile."""

    id: UUID = strawberry.field(description="The profile's id.")
    key: str = strawberry.field(description="The profile's short name; it never changes.")
    name: str = strawberry.field(description="The name shown to people.")
    is_strict: bool = strawberry.field(description="Whether metrics that it does not name are turned away.")
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When the profile was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    reporting_interval_s: int | None = strawberry.field(description=_INTERVAL)
    retention_days: int | None = strawberry.field(description=_KEPT)
    known: strawberry.Private[model.Profile]

    @strawberry.field(description="What its devices measure.")
    def metrics(self) -> list[Metric]:
        """The profile's metrics in the author's order."""
        return [Metric.of(metric) for metric in self.known.metrics]

    @strawberry.field(description=_COMMANDS)
    def commands(self) -> list[ProfileCommand]:
        """The profile's commands in the author's order."""
        return [ProfileCommand.of(command) for command in self.known.commands]

    @strawberry.field(description=_SHADOW)
    def shadow(self) -> list[ShadowLeaf]:
        """The settings of its devices' shadows in the author's order."""
        return [ShadowLeaf.of(leaf) for leaf in self.known.shadow]

    @classmethod
    def of(cls, profile: model.Profile) -> Self:
        """The contract's view of ``profile``."""
        return cls(
            id=profile.id,
            key=profile.key,
            name=profile.name,
            known=profile,
            is_strict=profile.is_strict,
            reporting_interval_s=profile.reporting_interval_s,
            retention_days=profile.retention_days,
            version=profile.version,
            created_at=profile.created_at,
            updated_at=profile.updated_at,
        )


@strawberry.type(description="What a profile said from one change to the next, and who made that change.")
class ProfileVersion:
    """One version of a profile."""

    profile_id: UUID = strawberry.field(description="The profile.")
    version: int = strawberry.field(description="Which version; the first is 1.")
    changed_by: str = strawberry.field(description="Who made it; empty where that was not kept yet.")
    changed_at: datetime = strawberry.field(description="When it was made.")
    changes: list[str] = strawberry.field(description="What it changed, in sentences.")
    name: str = strawberry.field(description="The name shown to people.")
    is_strict: bool = strawberry.field(description="Whether metrics that it does not name were turned away.")
    reporting_interval_s: int | None = strawberry.field(description=_INTERVAL)
    retention_days: int | None = strawberry.field(description=_KEPT)
    metrics: list[Metric] = strawberry.field(description="What its devices measured.")
    commands: list[ProfileCommand] = strawberry.field(description=_COMMANDS)
    shadow: list[ShadowLeaf] = strawberry.field(description=_SHADOW)

    @classmethod
    def of(cls, kept: model.ProfileVersion) -> Self:
        """The contract's view of ``kept``."""
        said = kept.declared
        return cls(
            profile_id=kept.profile_id,
            version=kept.version,
            changed_by=kept.changed_by,
            changed_at=kept.changed_at,
            changes=list(kept.changes),
            name=said.name,
            is_strict=said.is_strict,
            reporting_interval_s=said.reporting_interval_s,
            retention_days=said.retention_days,
            metrics=[Metric.of(metric) for metric in said.metrics],
            commands=[ProfileCommand.of(command) for command in said.commands],
            shadow=[ShadowLeaf.of(leaf) for leaf in said.shadow],
        )


@strawberry.input(description="One thing that devices of the profile measure.")
class MetricInput:
    """A metric as written by the profile's author."""

    key: str = strawberry.field(description="The name that devices send.", directives=[METRIC_KEY])
    type: MetricType = strawberry.field(description="The kind of value.")
    unit: str | None = strawberry.field(
        description="The unit of numbers.", default=None, directives=[Constraint(max_length=20)]
    )
    label: str | None = strawberry.field(
        description="The name shown to people.", default=None, directives=[Constraint(max_length=100)]
    )
    min: float | None = strawberry.field(description="The lowest number accepted.", default=None)
    max: float | None = strawberry.field(description="The highest number accepted.", default=None)

    def model(self) -> model.Metric:
        """The metric this describes."""
        return model.Metric(self.key, self.type, self.label or "", self.unit, self.min, self.max)


@strawberry.input(description="One thing that a command is told.")
class CommandArgumentInput:
    """An argument as written by the profile's author."""

    key: str = strawberry.field(description="The name under which the device is given it.", directives=[WORD])
    type: ValueType = strawberry.field(description="The kind of value.")
    label: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[LABEL])
    unit: str | None = strawberry.field(description="The unit of numbers.", default=None, directives=[UNIT])
    min: float | None = strawberry.field(description="The lowest number accepted.", default=None)
    max: float | None = strawberry.field(description="The highest number accepted.", default=None)
    choices: list[str] | None = strawberry.field(
        description="The texts to choose from; left out: any text.", default=None, directives=[CHOICES]
    )
    is_required: bool = strawberry.field(description="Whether it has to be given.", default=True)

    def model(self) -> declared.Argument:
        """The argument this describes."""
        return declared.Argument(
            self.key,
            self.type,
            self.label or "",
            self.unit,
            self.min,
            self.max,
            tuple(self.choices or ()),
            self.is_required,
        )


@strawberry.input(description="Something that devices of the profile can be told to do.")
class ProfileCommandInput:
    """A command as written by the profile's author."""

    key: str = strawberry.field(description="The command's name, for example open-valve.", directives=[WORD])
    label: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[LABEL])
    description: str | None = strawberry.field(
        description="What it does, for people.", default=None, directives=[Constraint(max_length=500)]
    )
    arguments: list[CommandArgumentInput] | None = strawberry.field(
        description="What it is told.", default=None, directives=[Constraint(max_length=20)]
    )
    timeout_s: int = strawberry.field(
        description="After so many seconds without an answer it counts as timed out.",
        default=30,
        directives=[Constraint(min=1, max=86_400)],
    )

    def model(self) -> declared.Command:
        """The command this describes."""
        arguments = tuple(argument.model() for argument in self.arguments or ())
        return declared.Command(self.key, self.label or "", self.description or "", arguments, self.timeout_s)


@strawberry.input(description="One setting in the shadow of the profile's devices.")
class ShadowLeafInput:
    """A leaf of the shadow's schema as written by the profile's author."""

    path: str = strawberry.field(
        description="Its name, or up to five names joined by dots, for example heating.setpoint.", directives=[PATH]
    )
    type: ValueType = strawberry.field(description="The kind of value.")
    label: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[LABEL])
    unit: str | None = strawberry.field(description="The unit of numbers.", default=None, directives=[UNIT])
    min: float | None = strawberry.field(description="The lowest number accepted.", default=None)
    max: float | None = strawberry.field(description="The highest number accepted.", default=None)
    choices: list[str] | None = strawberry.field(
        description="The texts to choose from; left out: any text.", default=None, directives=[CHOICES]
    )
    is_writable: bool = strawberry.field(
        description="Whether apps may desire it; otherwise it is only reported.", default=False
    )

    def model(self) -> declared.ShadowLeaf:
        """The leaf this describes."""
        return declared.ShadowLeaf(
            self.path,
            self.type,
            self.label or "",
            self.unit,
            self.min,
            self.max,
            tuple(self.choices or ()),
            self.is_writable,
        )


@strawberry.input(description="A new profile.")
class ProfileCreate:
    """Input of profileCreate."""

    key: str = strawberry.field(description="The profile's short name; chosen once.", directives=[DEVICE_KEY])
    name: str = strawberry.field(description="The name shown to people.", directives=[NAME])
    metrics: list[MetricInput] = strawberry.field(
        description="What its devices measure.", directives=[Constraint(max_length=200)]
    )
    is_strict: bool = strawberry.field(
        description="Whether metrics that it does not name are turned away.", default=False
    )
    reporting_interval_s: int | None = strawberry.field(
        description="How often a device is expected to send readings, in seconds; 0 or left out: nothing is expected.",
        default=None,
        directives=[INTERVAL],
    )
    commands: list[ProfileCommandInput] | None = strawberry.field(
        description="What its devices can be told to do.", default=None, directives=[Constraint(max_length=100)]
    )
    shadow: list[ShadowLeafInput] | None = strawberry.field(
        description=_SHADOW, default=None, directives=[Constraint(max_length=200)]
    )
    retention_days: int | None = strawberry.field(
        description="For how many days readings are kept; 0 or left out: as long as the organisation's others.",
        default=None,
        directives=[RETENTION],
    )


@strawberry.input(description="Changes to a profile; what is left out stays.")
class ProfileUpdate:
    """Input of profileUpdate."""

    name: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[NAME])
    metrics: list[MetricInput] | None = strawberry.field(
        description="All metrics, old and new.", default=None, directives=[Constraint(max_length=200)]
    )
    is_strict: bool | None = strawberry.field(
        description="Whether metrics that it does not name are turned away.", default=None
    )
    reporting_interval_s: int | None = strawberry.field(
        description="How often a device is expected to send readings, in seconds; 0: no reports are expected any more.",
        default=None,
        directives=[INTERVAL],
    )
    commands: list[ProfileCommandInput] | None = strawberry.field(
        description="All commands, old and new.", default=None, directives=[Constraint(max_length=100)]
    )
    shadow: list[ShadowLeafInput] | None = strawberry.field(
        description="All settings of the shadow, old and new.", default=None, directives=[Constraint(max_length=200)]
    )
    retention_days: int | None = strawberry.field(
        description="For how many days readings are kept; 0: as long as the organisation's others. Older ones go.",
        default=None,
        directives=[RETENTION],
    )
