"""Keeps the promise about the audit log: it can be read, by those who may."""

from datetime import datetime
from typing import Annotated

import strawberry

from engine.audit import service as audit
from resolvers.arguments import After, First, paged
from resolvers.context import Info
from schema.audit import AuditEntry, AuditResult
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page


@strawberry.type
class AuditQuery:
    """What can be asked about what was done."""

    @strawberry.field(
        description="What was done in the tenant and what was denied, newest first.",
        directives=[
            Needs(scope="audit:read"),
            Rest(method=Method.GET, path="/audit"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def audit(
        self,
        info: Info,
        action: Annotated[
            str | None,
            strawberry.argument(
                description="Only actions that begin like this, for example device.",
                directives=[Constraint(max_length=64)],
            ),
        ] = None,
        target_id: Annotated[
            str | None,
            strawberry.argument(
                description="Only what was done to this thing.", directives=[Constraint(max_length=64)]
            ),
        ] = None,
        actor: Annotated[
            str | None,
            strawberry.argument(
                description="Letters of the name of who did it.", directives=[Constraint(max_length=120)]
            ),
        ] = None,
        result: Annotated[AuditResult | None, strawberry.argument(description="Only what ended like this.")] = None,
        from_: Annotated[
            datetime | None, strawberry.argument(name="from", description="Only what was done then or later.")
        ] = None,
        to: Annotated[datetime | None, strawberry.argument(description="Only what was done before then.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[AuditEntry]:
        """A page of the log."""
        page = await audit.page(
            await info.context.tx(),
            action=action,
            target_id=target_id,
            actor=actor,
            result=result.value if result else None,
            start=from_,
            end=to,
            first=first,
            after=after,
        )
        return paged(page, AuditEntry.of)
