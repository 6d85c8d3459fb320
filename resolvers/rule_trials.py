"""Keeps the promises about trying rules: backtests, looks, tests, drafts, versions and notes of watching."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.rules import drafts, firings, trial
from engine.rules import service as rules
from engine.rules.errors import TrialMalformed
from engine.rules.invented import Message
from engine.rules.model import Mode, TestDevice
from resolvers.arguments import After, First, Version, asks_for, paged
from resolvers.context import Info
from resolvers.rules import BUSY, INVALID, NOT_FOUND, TESTS_FAIL, TOO_LARGE, RuleId
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.rule_trials import (
    RuleBacktest,
    RuleDraft,
    RuleExplanation,
    RuleFiring,
    RuleGiven,
    RulePreview,
    RuleTestDevice,
    RuleTestResult,
    RuleVersion,
)
from schema.rules import EXAMPLE, Rule
from schema.scalars import Json

Document = Annotated[Json, strawberry.argument(description="The rule's document.", directives=[EXAMPLE])]
DraftId = Annotated[UUID, strawberry.argument(description="The draft's id.")]
MALFORMED = Problem(status=422, slug="trial-malformed")
NO_DRAFT = Problem(status=404, slug="draft-not-found")
MOST_GIVEN = 200


@strawberry.type
class RuleTrialQuery:
    """What can be asked about rules before they act, and about what they were."""

    @strawberry.field(
        description="What a rule would have done over stored history: the live engine, played over it. Nothing is "
        "stored and nobody is told. A long history of many devices, or a rule that takes long to compute, is "
        "played in part, and says so. Each tenant has one backtest at a time in a web process.",
        directives=[
            Needs(scope="rules:read"),
            Needs(scope="telemetry:read"),
            Rest(method=Method.POST, path="/rules/backtest"),
            INVALID,
            MALFORMED,
            Problem(status=503, slug="backtest-busy"),
            Cost(weight=500, expected=1),
        ],
    )
    async def rule_backtest(
        self,
        info: Info,
        document: Document,
        from_: Annotated[
            datetime, strawberry.argument(name="from", description="Where it begins: in the last 90 days.")
        ],
        to: Annotated[datetime | None, strawberry.argument(description="Where it ends; left out: now.")] = None,
        device_ids: Annotated[
            list[UUID] | None,
            strawberry.argument(
                description="Only these of the devices that the rule would watch.",
                directives=[Constraint(max_length=trial.MOST_DEVICES)],
            ),
        ] = None,
    ) -> RuleBacktest:
        """A backtest."""
        # In a transaction of its own: while it plays, it holds no connection.
        store, principal = info.context.services.store, info.context.principal
        found = await trial.backtest(store, principal, document, from_, to, device_ids)
        shown = (*(episode.device_id for episode in found.episodes[:500]), *found.nearest)
        await info.context.devices.prime(map(UUID, shown))
        return RuleBacktest.of(found)

    @strawberry.field(
        description="How a rule stands for a device now or at a moment of the past, and why it fires or does not.",
        directives=[
            Needs(scope="rules:read"),
            Needs(scope="telemetry:read"),
            Rest(method=Method.POST, path="/rules/explain"),
            INVALID,
            Problem(status=404, slug="device-not-found"),
            TOO_LARGE,
            BUSY,
            Cost(weight=200, expected=1),
        ],
    )
    async def rule_explain(
        self,
        info: Info,
        document: Document,
        device_id: Annotated[UUID, strawberry.argument(description="The device.")],
        at: Annotated[datetime | None, strawberry.argument(description="The moment; left out: now.")] = None,
    ) -> RuleExplanation:
        """A look at a rule."""
        return RuleExplanation.of(await trial.look(await info.context.tx(), document, device_id, at))

    @strawberry.field(
        description="What each action of a rule would say, send or set now, by the values of one device. Nothing is "
        "sent.",
        directives=[
            Needs(scope="rules:read"),
            Needs(scope="telemetry:read"),
            Rest(method=Method.POST, path="/rules/preview"),
            INVALID,
            Problem(status=404, slug="device-not-found"),
            TOO_LARGE,
            BUSY,
            Cost(weight=200, expected=1),
        ],
    )
    async def rule_preview(
        self,
        info: Info,
        document: Document,
        device_id: Annotated[UUID, strawberry.argument(description="The device.")],
    ) -> list[RulePreview]:
        """The actions that have words or values."""
        return [RulePreview.of(each) for each in await trial.preview(await info.context.tx(), document, device_id)]

    @strawberry.field(
        description="How a rule stands after each of some invented messages of one device.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.POST, path="/rules/rehearse"),
            INVALID,
            MALFORMED,
            TOO_LARGE,
            BUSY,
            Cost(weight=100, expected=1),
        ],
    )
    async def rule_rehearse(
        self,
        info: Info,
        document: Document,
        given: Annotated[
            list[RuleGiven],
            strawberry.argument(
                description="The messages in the order of their times.", directives=[Constraint(max_length=MOST_GIVEN)]
            ),
        ],
        device: Annotated[
            RuleTestDevice | None, strawberry.argument(description="What is known of the device; left out: nothing.")
        ] = None,
    ) -> list[RuleExplanation]:
        """How it stands, message by message."""
        said, known = [_message(each) for each in given], None if device is None else _known(device)
        steps = await trial.rehearse(await info.context.tx(), document, said, known)
        return [RuleExplanation.of(step) for step in steps]

    @strawberry.field(
        description="Runs the tests that are kept in a rule's document.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.POST, path="/rules/tests"),
            INVALID,
            TOO_LARGE,
            BUSY,
            Cost(weight=100, expected=1),
        ],
    )
    async def rule_tests(self, info: Info, document: Document) -> list[RuleTestResult]:
        """Each test, run."""
        return [RuleTestResult.of(result) for result in await trial.tests(await info.context.tx(), document)]

    @strawberry.field(
        description="Rules being written, newest first.",
        directives=[
            Needs(scope="rules:read", whole=True),
            Rest(method=Method.GET, path="/rule-drafts"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def rule_drafts(self, info: Info, first: First = 50, after: After = None) -> Page[RuleDraft]:
        """A page of drafts."""
        return paged(await drafts.page(await info.context.tx(), first=first, after=after), RuleDraft.of)

    @strawberry.field(
        description="One rule being written.",
        directives=[
            Needs(scope="rules:read", whole=True),
            Rest(method=Method.GET, path="/rule-drafts/{id}"),
            NO_DRAFT,
        ],
    )
    async def rule_draft(self, info: Info, id: DraftId) -> RuleDraft:
        """The draft with this id."""
        return RuleDraft.of(await drafts.get(await info.context.tx(), id))

    @strawberry.field(
        description="A rule's versions, newest first, each with what was changed.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.GET, path="/rules/{id}/versions"),
            NOT_FOUND,
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def rule_versions(self, info: Info, id: RuleId, first: First = 50, after: After = None) -> Page[RuleVersion]:
        """A page of versions."""
        return paged(await drafts.versions(await info.context.tx(), id, first=first, after=after), RuleVersion.of)

    @strawberry.field(
        description="When and why a rule fired without raising an alert, because it only watched or raises none; "
        "newest first, kept for 30 days, of a rule the newest 1,000. Where a rule was muted, what it did not do is not "
        "among them.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.GET, path="/rules/{id}/firings"),
            NOT_FOUND,
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def rule_firings(self, info: Info, id: RuleId, first: First = 50, after: After = None) -> Page[RuleFiring]:
        """A page of notes."""
        tx = await info.context.tx()
        await rules.get(tx, id)
        page = await firings.page(tx, id, first=first, after=after)
        if asks_for(info, "device"):
            await info.context.devices.prime(each.device_id for each in page.items)
        return paged(page, RuleFiring.of)


@strawberry.type
class RuleTrialMutation:
    """What can be done with drafts, versions and modes."""

    @strawberry.mutation(
        description="Saves a rule being written as it is, finished or not. Without an id it is a new draft; a rule has "
        "at most one.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rule-drafts"),
            NO_DRAFT,
            NOT_FOUND,
            Problem(status=409, slug="draft-changed"),
            Problem(status=409, slug="too-many-drafts"),
            Problem(status=422, slug="draft-too-large"),
        ],
    )
    async def rule_draft_save(
        self,
        info: Info,
        document: Document,
        id: Annotated[UUID | None, strawberry.argument(description="The draft's id, if it was saved before.")] = None,
        rule_id: Annotated[
            UUID | None, strawberry.argument(description="The rule whose next version it is; left out: a new rule.")
        ] = None,
        rule_version: Annotated[
            int | None,
            strawberry.argument(
                description="The version of the rule that you saw; left out: the one in force.",
                directives=[Constraint(min=1, max=2_147_483_647)],
            ),
        ] = None,
        version: Version = None,
    ) -> RuleDraft:
        """The draft, saved."""
        tx = await info.context.tx()
        saved = await drafts.save(
            tx, document, draft_id=id, rule_id=rule_id, rule_version=rule_version, expected_version=version
        )
        return RuleDraft.of(saved)

    @strawberry.mutation(
        description="Throws a draft away. What is published stays.",
        directives=[Needs(scope="rules:write"), Rest(method=Method.DELETE, path="/rule-drafts/{id}"), NO_DRAFT],
    )
    async def rule_draft_delete(self, info: Info, id: DraftId) -> RuleDraft:
        """The draft as it was."""
        return RuleDraft.of(await drafts.discard(await info.context.tx(), id))

    @strawberry.mutation(
        description="Makes a draft the rule, or its next version. One whose tests fail is refused, and one that would "
        "undo what was published since it was begun.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rule-drafts/{id}/publish"),
            NO_DRAFT,
            Problem(status=409, slug="draft-changed"),
            Problem(status=409, slug="rule-changed"),
            Problem(status=409, slug="too-many-rules"),
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_publish(
        self,
        info: Info,
        id: DraftId,
        mode: Annotated[
            Mode | None, strawberry.argument(description="What it is to do; left out: as before, a new rule acts.")
        ] = None,
        version: Version = None,
    ) -> Rule:
        """The rule as it is published."""
        return Rule.of(await drafts.publish(await info.context.tx(), id, mode, expected_version=version))

    @strawberry.mutation(
        description="Publishes an earlier version of a rule again, as a new one.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rules/{id}/revert"),
            NOT_FOUND,
            Problem(status=404, slug="rule-version-not-found"),
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_revert(
        self,
        info: Info,
        id: RuleId,
        version: Annotated[
            int, strawberry.argument(description="The version.", directives=[Constraint(min=1, max=2_147_483_647)])
        ],
    ) -> Rule:
        """The rule after the change."""
        return Rule.of(await drafts.revert(await info.context.tx(), id, version))

    @strawberry.mutation(
        description="Lets a rule act, only watch (it notes what it would do, and does nothing), or rest. What it left "
        "open in its mode of before ends. One whose tests fail may not do more than before.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rules/{id}/mode"),
            NOT_FOUND,
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_mode_set(
        self, info: Info, id: RuleId, mode: Annotated[Mode, strawberry.argument(description="What it is to do.")]
    ) -> Rule:
        """The rule in its mode."""
        return Rule.of(await rules.set_mode(await info.context.tx(), id, mode))


def _message(given: RuleGiven) -> Message:
    values: object = {} if given.values is None else given.values
    if not isinstance(values, Mapping):
        raise TrialMalformed('The values of a message are an object, such as {"temperature": 9.5}.')
    return Message(given.after_seconds * 1000, values, given.event, given.is_online)


def _known(device: RuleTestDevice) -> TestDevice:
    found: object = {} if device.attributes is None else device.attributes
    if not isinstance(found, Mapping) or not all(isinstance(text, str) for text in found.values()):
        raise TrialMalformed('Attributes are an object of texts, such as {"site": "Kiel"}.')
    groups = None if device.groups is None else tuple(map(str, device.groups))
    return TestDevice(tuple(found.items()), None if device.tags is None else tuple(device.tags), groups)
