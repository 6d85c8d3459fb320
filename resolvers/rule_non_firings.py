"""Keeps the promise about why rules did not fire."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine.rules import non_firings
from engine.rules import service as rules
from resolvers.arguments import After, First, asks_for, paged
from resolvers.context import Info
from resolvers.rules import NOT_FOUND
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.rule_non_firings import RuleNonFiring


@strawberry.type
class RuleNonFiringQuery:
    """What can be asked about what rules let pass."""

    @strawberry.field(
        description="Looks at which rules had not fired, and why, newest first. They are taken while rules run, some a "
        "minute, near misses first; the newest few of each rule and device are kept, for 7 days.",
        directives=[
            Needs(scope="rules:read"),
            Needs(scope="telemetry:read"),
            Rest(method=Method.GET, path="/rule-non-firings"),
            NOT_FOUND,
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def rule_non_firings(
        self,
        info: Info,
        rule_id: Annotated[UUID | None, strawberry.argument(description="Only of this rule.")] = None,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only of this device.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[RuleNonFiring]:
        """A page of looks."""
        tx = await info.context.tx()
        if rule_id is not None:
            await rules.get(tx, rule_id)
        page = await non_firings.page(tx, rule_id, device_id, first=first, after=after)
        if asks_for(info, "device"):
            await info.context.devices.prime(each.device_id for each in page.items)
        return paged(page, RuleNonFiring.of)
