"""Trying rules before they act, as the contract shows it: backtests, looks, tests, drafts, versions, notes."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine import clock
from engine.rules import tried
from engine.rules.state import Phase
from schema.context import Info, loaded
from schema.devices import Device
from schema.directives import Constraint, Cost, Example, Needs
from schema.enums import shown
from schema.scalars import Json

shown(
    Phase,
    "Where a rule stands for a device.",
    name="RulePhase",
    OK="Its condition is not met.",
    PENDING="Its condition is met, but not for long enough yet.",
    FIRING="It has fired.",
    CLEARING="It has fired, and its end has begun but not lasted long enough yet.",
)


@strawberry.type(description="One time that a rule would have fired for a device.")
class RuleEpisode:
    """A firing and its end."""

    raised_at: datetime = strawberry.field(description="When it would have fired, by the device's clock.")
    cleared_at: datetime | None = strawberry.field(description="When it would have cleared; null: still on at the end.")
    reason: str = strawberry.field(description="Why, in a sentence with the values seen.")
    cleared_reason: str | None = strawberry.field(description="Why it would have cleared, in a sentence.")
    why: Json = strawberry.field(description="The condition with the values seen and each part's verdict.")
    device_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, episode: tried.Episode) -> Self:
        """The contract's view of ``episode``."""
        return cls(
            raised_at=clock.from_ms(episode.raised_at),
            cleared_at=None if episode.cleared_at is None else clock.from_ms(episode.cleared_at),
            reason=episode.reason,
            cleared_reason=episode.cleared_reason,
            why=Json(episode.why),
            device_id=UUID(episode.device_id),
        )

    @strawberry.field(
        description="The device that it is about.", directives=[Needs(scope="devices:read"), Cost(weight=1)]
    )
    def device(self, info: Info) -> Device:
        """The device that it is about."""
        return loaded(info.context.devices, self.device_id, Device.of)


@strawberry.type(
    description="What a rule would have done over stored history. Attributes, tags and groups are those of now; who "
    "was connected is not kept, so what asks for it is unknown."
)
class RuleBacktest:
    """A backtest."""

    start: datetime = strawberry.field(name="from", description="Where it begins.")
    end: datetime = strawberry.field(name="to", description="Where it ends.")
    messages: int = strawberry.field(description="How many messages were played.")
    devices: int = strawberry.field(description="Of how many devices.")
    devices_in_scope: int = strawberry.field(description="How many devices the rule would watch.")
    is_complete: bool = strawberry.field(
        description="Whether that was everything; a long history of many devices is played in part."
    )
    fired_devices: int = strawberry.field(description="On how many devices it would have fired.")
    per_day: float | None = strawberry.field(
        description="How often a day it would fire, over all devices in scope; null: there is too little history."
    )
    estimate: str = strawberry.field(
        description="The same in words: how often, and by how much history; or that there is too little."
    )
    history_seconds: int = strawberry.field(
        description="For how much of that time there is history, on average over the devices that have any."
    )
    episodes: list[RuleEpisode] = strawberry.field(description="Each time that it would have fired, oldest first.")
    total: int = strawberry.field(description="How often it would have fired; at most 500 times are listed.")
    nearest_ids: strawberry.Private[tuple[UUID, ...]] = ()

    @strawberry.field(
        description="Some of the devices with data, those first that came nearest to firing; at most 20.",
        directives=[Needs(scope="devices:read"), Cost(weight=1)],
    )
    async def nearest(self, info: Info) -> list[Device]:
        """The devices worth looking at, whether or not it fired."""
        return [Device.of(await info.context.devices.load(each)) for each in self.nearest_ids]

    @classmethod
    def of(cls, backtest: tried.Backtest) -> Self:
        """The contract's view of ``backtest``."""
        return cls(
            start=backtest.start,
            end=backtest.end,
            messages=backtest.messages,
            devices=backtest.devices,
            devices_in_scope=backtest.devices_in_scope,
            is_complete=backtest.is_complete,
            fired_devices=backtest.fired_devices,
            per_day=backtest.per_day,
            estimate=backtest.estimate,
            history_seconds=round(backtest.history.total_seconds()),
            episodes=[RuleEpisode.of(episode) for episode in backtest.episodes[:500]],
            total=backtest.total,
            nearest_ids=tuple(map(UUID, backtest.nearest)),
        )


@strawberry.type(description="How a rule stands for a device at a moment, and why.")
class RuleExplanation:
    """A look at a rule."""

    at: datetime = strawberry.field(description="The moment.")
    phase: Phase = strawberry.field(description="Where the rule stands.")
    verdict: bool | None = strawberry.field(description="Whether its condition is true; null: not known.")
    sentence: str = strawberry.field(description="Why it fires or does not, in a sentence with the values seen.")
    why: Json = strawberry.field(description="The condition with the values seen and each part's verdict.")
    did: list[str] = strawberry.field(description="What the rule would have done at this step, in words.")

    @classmethod
    def of(cls, look: tried.Look) -> Self:
        """The contract's view of ``look``."""
        return cls(
            at=look.at,
            phase=look.phase,
            verdict=look.verdict,
            sentence=look.sentence,
            why=Json(look.why),
            did=list(look.did),
        )


@strawberry.type(description="What an action of a rule says, sends or sets.")
class RulePreview:
    """The words of one action."""

    path: str = strawberry.field(description="The action's place in the document.")
    text: str = strawberry.field(description="Its words, with every placeholder filled.")

    @classmethod
    def of(cls, preview: tried.Preview) -> Self:
        """The contract's view of ``preview``."""
        return cls(path=preview.path, text=preview.text)


@strawberry.input(description="What an invented device does: it connects or goes, sends values, tells an event.")
class RuleGiven:
    """So long after the beginning, this."""

    after_seconds: int = strawberry.field(
        description="How long after the beginning it is.", directives=[Constraint(min=0, max=30 * 86_400)]
    )
    values: Json | None = strawberry.field(
        description="Values by metric; a position is an object with lat and lon.",
        directives=[Example(json='{"temperature":9.5}')],
        default=None,
    )
    event: str | None = strawberry.field(
        description="The type of the device event that it tells.",
        directives=[Constraint(min_length=1, max_length=64)],
        default=None,
    )
    is_online: bool | None = strawberry.field(
        description="True: it connects before that; false: it goes.", default=None
    )


@strawberry.input(description="What is known of an invented device.")
class RuleTestDevice:
    """What a rule may ask of the device itself."""

    attributes: Json | None = strawberry.field(
        description="Texts by attribute.", directives=[Example(json='{"site":"Kiel"}')], default=None
    )
    tags: list[str] | None = strawberry.field(
        description="Its tags.", directives=[Constraint(max_length=20)], default=None
    )
    groups: list[UUID] | None = strawberry.field(
        description="The groups that it is in.", directives=[Constraint(max_length=20)], default=None
    )


@strawberry.type(description="Whether a test that is kept with a rule holds.")
class RuleTestResult:
    """A test, run."""

    name: str = strawberry.field(description="What the test is called.")
    passed: bool = strawberry.field(description="Whether the rule did what the test expects.")
    said: str = strawberry.field(description="What the rule did instead, in words.")

    @classmethod
    def of(cls, result: tried.TestResult) -> Self:
        """The contract's view of ``result``."""
        return cls(name=result.name, passed=result.passed, said=result.said)


@strawberry.type(description="A rule being written: a new one, or the next version of one.")
class RuleDraft:
    """A saved draft."""

    id: UUID = strawberry.field(description="The draft's id.")
    rule_id: UUID | None = strawberry.field(description="The rule whose next version it is; null: a new rule.")
    rule_version: int | None = strawberry.field(description="The version of the rule that it was begun on.")
    name: str = strawberry.field(description="What it is called so far.")
    document: Json = strawberry.field(description="The document as it was saved, finished or not.")
    version: int = strawberry.field(description="Rises with every save; send it back to save safely.")
    saved_by: str = strawberry.field(description="Who saved it last.")
    saved_at: datetime = strawberry.field(description="When it was saved last.")

    @classmethod
    def of(cls, draft: tried.Draft) -> Self:
        """The contract's view of ``draft``."""
        return cls(
            id=draft.id,
            rule_id=draft.rule_id,
            rule_version=draft.rule_version,
            name=draft.name,
            document=Json(draft.document),
            version=draft.version,
            saved_by=draft.saved_by,
            saved_at=draft.saved_at,
        )


@strawberry.type(description="A rule as it was from one change to the next.")
class RuleVersion:
    """One version of a rule."""

    version: int = strawberry.field(description="Its number.")
    document: Json = strawberry.field(description="The rule as it was then.")
    changes: list[str] = strawberry.field(description="What was changed, a sentence for each change.")
    created_by: str = strawberry.field(description="Who made the change.")
    created_at: datetime = strawberry.field(description="When the change was made.")

    @classmethod
    def of(cls, version: tried.Version) -> Self:
        """The contract's view of ``version``."""
        return cls(
            version=version.version,
            document=Json(version.document),
            changes=list(version.changes),
            created_by=version.created_by,
            created_at=version.created_at,
        )


@strawberry.type(description="One time that a rule fired without raising an alert: it only watched, or raises none.")
class RuleFiring:
    """A note of why a rule fired."""

    id: UUID = strawberry.field(description="The note's id.")
    rule_version: int = strawberry.field(description="The version of the rule that fired.")
    fired_at: datetime = strawberry.field(description="When it fired.")
    reason: str = strawberry.field(description="Why, in a sentence with the values seen.")
    why: Json = strawberry.field(description="The condition with the values seen and each part's verdict.")
    would: list[str] = strawberry.field(
        description="What it would have done, in words; empty where the rule was in force and did what it says."
    )
    cleared_at: datetime | None = strawberry.field(description="When it cleared; null: it is still on.")
    cleared_reason: str | None = strawberry.field(description="Why it cleared, in a sentence.")
    device_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, firing: tried.Firing) -> Self:
        """The contract's view of ``firing``."""
        return cls(
            id=firing.id,
            rule_version=firing.rule_version,
            fired_at=firing.fired_at,
            reason=firing.reason,
            why=Json(firing.why),
            would=list(firing.would),
            cleared_at=firing.cleared_at,
            cleared_reason=firing.cleared_reason,
            device_id=firing.device_id,
        )

    @strawberry.field(
        description="The device that it is about.", directives=[Needs(scope="devices:read"), Cost(weight=1)]
    )
    def device(self, info: Info) -> Device:
        """The device that it is about."""
        return loaded(info.context.devices, self.device_id, Device.of)
