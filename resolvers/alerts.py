"""Keeps the promises about alerts."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import strawberry

from engine.alerts import life, silences
from engine.alerts import service as alerts
from engine.alerts.model import AlertStatus
from engine.pages import page_size
from engine.rules import service as rules
from engine.rules.model import Severity
from resolvers.arguments import After, First, asks_for, paged
from resolvers.context import Info
from resolvers.live import Happened
from resolvers.streams import BAD_CURSOR, GONE
from resolvers.streams import After as LiveAfter
from schema.alerts import Alert, AlertEvent, AlertEventKind, AlertGroup, Silence, SilenceCreate
from schema.directives import Constraint, Cost, Example, Method, Needs, Problem, Rest
from schema.pages import Page

AlertId = Annotated[UUID, strawberry.argument(description="The alert's id.")]
NOT_FOUND = Problem(status=404, slug="alert-not-found")
SilenceId = Annotated[UUID, strawberry.argument(description="The silence's id.")]
CLEARED = Problem(status=409, slug="alert-cleared")
NO_SILENCE = Problem(status=404, slug="silence-not-found")
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
        severity: Annotated[Severity | None, strawberry.argument(description="Only alerts as bad as this.")] = None,
        assigned_to: Annotated[
            UUID | None, strawberry.argument(description="Only alerts that this member looks after.")
        ] = None,
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
            severity=severity,
            assigned_to=assigned_to,
            first=first,
            after=after,
        )
        wanted = asks_for(info, "rule", "summary", "device", "history", "deliveries")
        if "rule" in wanted:
            await info.context.rules.prime(alert.rule_id for alert in page.items)
        if "summary" in wanted:
            await info.context.rule_sentences.prime((alert.rule_id, alert.rule_version) for alert in page.items)
        if "device" in wanted:
            await info.context.devices.prime(alert.device_id for alert in page.items)
        if "history" in wanted:
            await info.context.alert_notes.prime(alert.id for alert in page.items)
        if "deliveries" in wanted:
            await info.context.alert_deliveries.prime(alert.id for alert in page.items)
        return paged(page, Alert.of)

    @strawberry.field(
        description="Open alerts by rule, the worst and newest first.",
        directives=[
            Needs(scope="alerts:read"),
            Rest(method=Method.GET, path="/alert-groups"),
            Cost(times="first"),
        ],
    )
    async def alert_groups(self, info: Info, first: First = 50) -> list[AlertGroup]:
        """Open alerts, grouped."""
        found = await life.grouped(await info.context.tx(), page_size(first))
        if asks_for(info, "rule"):
            await info.context.rules.prime(group.rule_id for group in found)
        return [AlertGroup.of(group) for group in found]

    @strawberry.field(
        description="Silences, the newest first.",
        directives=[
            Needs(scope="alerts:read"),
            Rest(method=Method.GET, path="/silences"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def silences(
        self,
        info: Info,
        is_open: Annotated[
            bool | None, strawberry.argument(description="True: only those that have not ended; false: the others.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Silence]:
        """A page of silences."""
        return paged(
            await silences.page(await info.context.tx(), is_open=is_open, first=first, after=after), Silence.of
        )

    @strawberry.field(
        description="One silence.",
        directives=[Needs(scope="alerts:read"), Rest(method=Method.GET, path="/silences/{id}"), NO_SILENCE],
    )
    async def silence(self, info: Info, id: SilenceId) -> Silence:
        """The silence with this id."""
        return Silence.of(await silences.get(await info.context.tx(), id))

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
            CLEARED,
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

    @strawberry.mutation(
        description="Says that somebody has seen these alerts; acknowledged and cleared ones stay as they are.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/acknowledge"),
            NOT_FOUND,
            Cost(weight=50, expected=1),
        ],
    )
    async def alerts_acknowledge(
        self,
        info: Info,
        ids: Annotated[
            list[UUID],
            strawberry.argument(description="The alerts' ids.", directives=[Constraint(max_length=life.AT_ONCE)]),
        ],
        note: Annotated[
            str | None,
            strawberry.argument(
                description="A word for those who come after.", directives=[Constraint(max_length=1000)]
            ),
        ] = None,
    ) -> list[Alert]:
        """The alerts as they are now."""
        return [Alert.of(each) for each in await life.acknowledge_all(await info.context.tx(), ids, note)]

    @strawberry.mutation(
        description="Gives an alert to a member who looks after it, or to nobody.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/{id}/assign"),
            NOT_FOUND,
            Problem(status=404, slug="not-a-member"),
            CLEARED,
        ],
    )
    async def alert_assign(
        self,
        info: Info,
        id: AlertId,
        user_id: Annotated[
            UUID | None, strawberry.argument(description="The member's id; null or left out: nobody.")
        ] = None,
    ) -> Alert:
        """The alert, assigned."""
        return Alert.of(await life.assign(await info.context.tx(), id, user_id))

    @strawberry.mutation(
        description="Says something about an alert; it stays in its history.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/{id}/comments"),
            NOT_FOUND,
            Problem(status=422, slug="comment-malformed"),
        ],
    )
    async def alert_comment(
        self,
        info: Info,
        id: AlertId,
        text: Annotated[
            str,
            strawberry.argument(
                description="What is to be said.",
                directives=[Constraint(min_length=1, max_length=life.MAX_COMMENT), Example(json='"A fuse was blown."')],
            ),
        ],
    ) -> Alert:
        """The alert with the comment."""
        return Alert.of(await life.comment(await info.context.tx(), id, text))

    @strawberry.mutation(
        description="Puts an alert off: nobody is told of it until then; if it is open then, telling goes on.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/{id}/snooze"),
            NOT_FOUND,
            CLEARED,
        ],
    )
    async def alert_snooze(
        self,
        info: Info,
        id: AlertId,
        minutes: Annotated[
            int,
            strawberry.argument(
                description="For how many minutes from now.", directives=[Constraint(min=1, max=30 * 24 * 60)]
            ),
        ],
    ) -> Alert:
        """The alert, put off."""
        tx = await info.context.tx()
        return Alert.of(await life.snooze(tx, id, tx.now + timedelta(minutes=minutes)))

    @strawberry.mutation(
        description="Puts these alerts off together: nobody is told of them until then. Those that have cleared stay "
        "as they are.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/snooze"),
            NOT_FOUND,
            Cost(weight=50, expected=1),
        ],
    )
    async def alerts_snooze(
        self,
        info: Info,
        ids: Annotated[
            list[UUID],
            strawberry.argument(description="The alerts' ids.", directives=[Constraint(max_length=life.AT_ONCE)]),
        ],
        minutes: Annotated[
            int,
            strawberry.argument(
                description="For how many minutes from now.", directives=[Constraint(min=1, max=30 * 24 * 60)]
            ),
        ],
    ) -> list[Alert]:
        """The alerts as they are now."""
        tx = await info.context.tx()
        return [Alert.of(each) for each in await life.snooze_all(tx, ids, tx.now + timedelta(minutes=minutes))]

    @strawberry.mutation(
        description="Ends a snooze at once; telling goes on.",
        directives=[
            Needs(scope="alerts:write"),
            Rest(method=Method.POST, path="/alerts/{id}/wake"),
            NOT_FOUND,
            CLEARED,
        ],
    )
    async def alert_wake(self, info: Info, id: AlertId) -> Alert:
        """The alert, awake."""
        return Alert.of(await life.wake(await info.context.tx(), id))

    @strawberry.mutation(
        description="Makes a silence: alerts it is about are raised, and nobody is told of them. Alerts that are open "
        "already stay as they are; snooze them.",
        directives=[
            Needs(scope="alerts:write", whole=True),
            Rest(method=Method.POST, path="/silences", status=201),
            Problem(status=404, slug="rule-not-found"),
            Problem(status=404, slug="device-not-found"),
            Problem(status=404, slug="group-not-found"),
            Problem(status=409, slug="too-many-silences"),
            Problem(status=422, slug="silence-malformed"),
        ],
    )
    async def silence_create(
        self, info: Info, input: Annotated[SilenceCreate, strawberry.argument(description="The silence.")]
    ) -> Silence:
        """A new silence."""
        tx = await info.context.tx()
        if input.rule_id is not None:
            await rules.get(tx, input.rule_id)
        made = await silences.create(
            tx,
            reason=input.reason,
            until_at=input.until_at,
            from_at=input.from_at,
            rule_id=input.rule_id,
            device_id=input.device_id,
            group_id=input.group_id,
        )
        return Silence.of(made)

    @strawberry.mutation(
        description="Ends a silence now: whoever should be told of its open alerts is told.",
        directives=[
            Needs(scope="alerts:write", whole=True),
            Rest(method=Method.POST, path="/silences/{id}/end"),
            NO_SILENCE,
        ],
    )
    async def silence_end(self, info: Info, id: SilenceId) -> Silence:
        """The silence, over."""
        return Silence.of(await silences.end(await info.context.tx(), id))


@strawberry.type
class AlertStreams:
    """What can be followed about alerts."""

    @strawberry.subscription(
        description="Alerts that are raised, acknowledged, changed by people and cleared. Nothing is left out.",
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
