"""Keeps the promises about alerts."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated
from uuid import UUID

import strawberry

from engine.alerts import service as alerts
from engine.alerts.model import AlertStatus
from resolvers.arguments import After, First, asks_for, paged
from resolvers.context import Info
from resolvers.live import Happened
from resolvers.streams import BAD_CURSOR, GONE
from resolvers.streams import After as LiveAfter
from schema.alerts import Alert, AlertEvent, AlertEventKind
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page

AlertId = Annotated[UUID, strawberry.argument(description="The alert's id.")]
NOT_FOUND = Problem(status=404, slug="alert-not-found")
KINDS = tuple(kind.value for kind in AlertEventKind)


@strawberry.type
class AlertQuery:
    """What can be asked about alerts."""

    @strawberry.field(
        description="The tenant's alerts, newest first.",
        directives=[
            Needs(scope="alerts:read"),
            Rest(method=Method.GET, path="/alerts"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def alerts(
        self,
        info: Info,
        status: Annotated[AlertStatus | None, strawberry.argument(description="Only alerts that stand there.")] = None,
        is_open: Annotated[
            bool | None, strawberry.argument(description="True: only those not cleared; false: only cleared ones.")
        ] = None,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only alerts about this device.")] = None,
        rule_id: Annotated[UUID | None, strawberry.argument(description="Only alerts of this rule.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Alert]:
        """A page of alerts."""
        page = await alerts.page(
            await info.context.tx(),
            status=status,
            is_open=is_open,
            device_id=device_id,
            rule_id=rule_id,
            first=first,
            after=after,
        )
        wanted = asks_for(info, "rule", "device")
        if "rule" in wanted:
            await info.context.rules.prime(alert.rule_id for alert in page.items)
        if "device" in wanted:
            await info.context.devices.prime(alert.device_id for alert in page.items)
        return paged(page, Alert.of)

    @strawberry.field(
        description="One alert.",
        directives=[Needs(scope="alerts:read"), Rest(method=Method.GET, path="/alerts/{id}"), NOT_FOUND],
    )
    async def alert(self, info: Info, id: AlertId) -> Alert:
        """The alert with this id."""
        return Alert.of(await alerts.get(await info.context.tx(), id))


@strawberry.type
class AlertMutation:
    """What can be done to alerts."""

    @strawberry.mutation(
        description="Says that somebody has seen an alert. Repeating it changes nothing.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/{id}/acknowledge"),
            NOT_FOUND,
            Problem(status=409, slug="alert-cleared"),
        ],
    )
    async def alert_acknowledge(
        self,
        info: Info,
        id: AlertId,
        note: Annotated[
            str | None,
            strawberry.argument(
                description="A word for those who come after.", directives=[Constraint(max_length=1000)]
            ),
        ] = None,
    ) -> Alert:
        """The alert, acknowledged."""
        return Alert.of(await alerts.acknowledge(await info.context.tx(), id, note))


@strawberry.type
class AlertStreams:
    """What can be followed about alerts."""

    @strawberry.subscription(
        description="Alerts that are raised, acknowledged and cleared. Nothing is left out.",
        directives=[Needs(scope="alerts:read"), Rest(method=Method.GET, path="/stream/alerts"), GONE, BAD_CURSOR],
    )
    async def alerts(self, info: Info, after: LiveAfter = None) -> AsyncGenerator[AlertEvent, None]:
        """Alerts, live."""
        principal, live = info.context.principal, info.context.services.live
        await live.check(principal.tenant_id, after)
        return _alerts(live.events(principal, KINDS, after))


async def _alerts(source: AsyncIterator[Happened]) -> AsyncGenerator[AlertEvent, None]:
    async for event in source:
        yield AlertEvent(
            cursor=event.cursor,
            kind=AlertEventKind(event.kind),
            alert_id=UUID(event.body["alert"]),
            share=event.cursor,
        )
