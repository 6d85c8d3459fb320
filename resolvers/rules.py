"""Keeps the promises about rules."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine.rules import inspection, storms
from engine.rules import service as rules
from engine.rules.model import RuleOrder
from resolvers.arguments import After, First, Version, asks_for, paged
from resolvers.context import Info
from schema.directives import Constraint, Cost, Example, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.rules import (
    EXAMPLE,
    Rule,
    RuleCheck,
    RuleCreate,
    RuleDifference,
    RuleFilled,
    RuleNotice,
    RuleNoticeKind,
    RuleProfile,
    RuleTemplate,
    RuleUpdate,
)
from schema.scalars import Json

RuleId = Annotated[UUID, strawberry.argument(description="The rule's id.")]
ProfileKey = Annotated[
    str | None,
    strawberry.argument(
        description="A device profile's key; without it, what all profiles agree on.",
        directives=[Constraint(max_length=64)],
    ),
]
NOT_FOUND = Problem(status=404, slug="rule-not-found")
INVALID = Problem(status=422, slug="rule-invalid")
TESTS_FAIL = Problem(status=409, slug="tests-fail")
TOO_LARGE = Problem(status=422, slug="trial-too-large")
BUSY = Problem(status=503, slug="trial-busy")


@strawberry.type
class RuleQuery:
    """What can be asked about rules."""

    @strawberry.field(
        description="The tenant's rules, in the order in which they were made or another.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.GET, path="/rules"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def rules(
        self,
        info: Info,
        search: Annotated[
            str | None,
            strawberry.argument(description="Letters that the name contains.", directives=[Constraint(max_length=120)]),
        ] = None,
        order: Annotated[
            RuleOrder, strawberry.argument(description="How they are listed; a cursor is good for one order alone.")
        ] = RuleOrder.MADE,
        first: First = 50,
        after: After = None,
    ) -> Page[Rule]:
        """A page of rules."""
        page = await rules.page(await info.context.tx(), search=search, order=order, first=first, after=after)
        wanted = asks_for(info, "openAlerts", "lastFiredAt")
        if "openAlerts" in wanted:
            await info.context.open_alerts.prime(rule.id for rule in page.items)
        if "lastFiredAt" in wanted:
            await info.context.last_firings.prime(rule.id for rule in page.items)
        return paged(page, Rule.of)

    @strawberry.field(
        description="One rule.",
        directives=[Needs(scope="rules:read"), Rest(method=Method.GET, path="/rules/{id}"), NOT_FOUND],
    )
    async def rule(self, info: Info, id: RuleId) -> Rule:
        """The rule with this id."""
        return Rule.of(await rules.get(await info.context.tx(), id))

    @strawberry.field(
        description="What should be known about rules at the moment, newest first: which are muted because they did "
        "too much, and what could not be done.",
        directives=[Needs(scope="rules:read", whole=True), Rest(method=Method.GET, path="/rule-notices")],
    )
    async def rule_notices(
        self,
        info: Info,
        rule_id: Annotated[
            UUID | None, strawberry.argument(description="Only about this rule, and about all together.")
        ] = None,
    ) -> list[RuleNotice]:
        """The notices that hold."""
        return [
            RuleNotice(
                rule_id=None if notice.subject == storms.TENANT else UUID(notice.subject),
                kind=RuleNoticeKind(notice.kind),
                message=notice.message,
                since=notice.since,
                until=notice.until,
                times=notice.times,
            )
            for notice in await storms.notices(await info.context.tx(), rule_id)
        ]

    @strawberry.field(
        description="What a document would be as a rule: everything that is wrong with it, or the sentence it says. "
        "Nothing is stored.",
        directives=[Needs(scope="rules:read"), Rest(method=Method.POST, path="/rules/check"), Cost(weight=5)],
    )
    async def rule_check(
        self,
        info: Info,
        document: Annotated[Json, strawberry.argument(description="The document to check.", directives=[EXAMPLE])],
        id: Annotated[UUID | None, strawberry.argument(description="The rule that it would replace.")] = None,
    ) -> RuleCheck:
        """A document, read and judged."""
        return RuleCheck.of(await inspection.inspect(await info.context.tx(), document, replacing=id))

    @strawberry.field(
        description="What changed from one document to another, in plain words.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.POST, path="/rules/compare"),
            INVALID,
            Cost(weight=5),
        ],
    )
    async def rule_difference(
        self,
        info: Info,
        previous: Annotated[Json, strawberry.argument(description="The document before.", directives=[EXAMPLE])],
        document: Annotated[Json, strawberry.argument(description="The document after.", directives=[EXAMPLE])],
    ) -> RuleDifference:
        """The changes in words."""
        return RuleDifference(changes=await inspection.compare(await info.context.tx(), previous, document))

    @strawberry.field(
        description="The device profiles that a new rule may be for: that of most devices first, and of those with "
        "equally many that which most templates fit.",
        directives=[Needs(scope="rules:read"), Rest(method=Method.GET, path="/rule-profiles"), Cost(weight=20)],
    )
    async def rule_profiles(self, info: Info) -> list[RuleProfile]:
        """The profiles to begin with."""
        return [RuleProfile.of(each) for each in await rules.beginnings(await info.context.tx())]

    @strawberry.field(
        description="Rules to begin with, and what of a device profile fits into them; those that fit come first.",
        directives=[Needs(scope="rules:read"), Rest(method=Method.GET, path="/rule-templates"), Cost(weight=20)],
    )
    async def rule_templates(self, info: Info, profile: ProfileKey = None) -> list[RuleTemplate]:
        """The gallery."""
        return [RuleTemplate.of(offer) for offer in await rules.offers(await info.context.tx(), profile)]

    @strawberry.field(
        description="The rule that choices make of a template, and its check. Nothing is stored.",
        directives=[
            Needs(scope="rules:read"),
            Rest(method=Method.POST, path="/rule-templates/{template}/fill"),
            Problem(status=404, slug="template-not-found"),
            Cost(weight=5),
        ],
    )
    async def rule_from_template(
        self,
        info: Info,
        template: Annotated[
            str, strawberry.argument(description="The template's key.", directives=[Constraint(max_length=64)])
        ],
        profile: ProfileKey = None,
        choices: Annotated[
            Json | None,
            strawberry.argument(
                description="What is chosen, by the hole's key; the rest is as the template has it.",
                directives=[Example(json='{"limit":-18}')],
            ),
        ] = None,
        policy: Annotated[
            str | None,
            strawberry.argument(
                description="The key of a notification policy, to tell people too.",
                directives=[Constraint(max_length=64)],
            ),
        ] = None,
    ) -> RuleFilled:
        """A filled template."""
        chosen: dict[str, object] = choices if isinstance(choices, dict) else {}
        tx = await info.context.tx()
        return RuleFilled.of(await rules.filled(tx, template, chosen, profile=profile, policy=policy))


@strawberry.type
class RuleMutation:
    """What can be done to rules."""

    @strawberry.mutation(
        description="Makes a rule; it is in force within a second or two. One whose tests fail is refused.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rules", status=201),
            Problem(status=409, slug="too-many-rules"),
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_create(
        self, info: Info, input: Annotated[RuleCreate, strawberry.argument(description="The new rule.")]
    ) -> Rule:
        """A new rule."""
        return Rule.of(await rules.create(await info.context.tx(), input.document, is_enabled=input.is_enabled))

    @strawberry.mutation(
        description="Replaces a rule's document. Where the condition stays the same, what it remembers stays too. One "
        "whose tests fail is refused.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.PATCH, path="/rules/{id}"),
            NOT_FOUND,
            Problem(status=409, slug="rule-changed"),
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_update(
        self,
        info: Info,
        id: RuleId,
        input: Annotated[RuleUpdate, strawberry.argument(description="The new document.")],
        version: Version = None,
    ) -> Rule:
        """The rule after the change."""
        return Rule.of(await rules.change(await info.context.tx(), id, input.document, expected_version=version))

    @strawberry.mutation(
        description="Switches a rule on, if its tests pass.",
        directives=[
            Needs(scope="rules:write"),
            Rest(method=Method.POST, path="/rules/{id}/enable"),
            NOT_FOUND,
            TESTS_FAIL,
            TOO_LARGE,
            BUSY,
            INVALID,
        ],
    )
    async def rule_enable(self, info: Info, id: RuleId) -> Rule:
        """The rule, on."""
        return Rule.of(await rules.switch(await info.context.tx(), id, is_enabled=True))

    @strawberry.mutation(
        description="Switches a rule off; its open alerts end.",
        directives=[Needs(scope="rules:write"), Rest(method=Method.POST, path="/rules/{id}/disable"), NOT_FOUND],
    )
    async def rule_disable(self, info: Info, id: RuleId) -> Rule:
        """The rule, off."""
        return Rule.of(await rules.switch(await info.context.tx(), id, is_enabled=False))

    @strawberry.mutation(
        description="Takes a rule away. Its open alerts end; its past alerts stay.",
        directives=[Needs(scope="rules:write"), Rest(method=Method.DELETE, path="/rules/{id}"), NOT_FOUND],
    )
    async def rule_delete(self, info: Info, id: RuleId) -> Rule:
        """The rule as it last was."""
        return Rule.of(await rules.delete(await info.context.tx(), id))
