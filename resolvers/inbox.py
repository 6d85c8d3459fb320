"""Keeps the promises about the inbox: what was turned away and why, replays, and what is thrown away."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from engine.inbox import service as inbox
from engine.inbox.model import Group
from engine.inbox.model import Rejected as Message
from resolvers.arguments import After, First, asks_for, paged
from resolvers.context import Info
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.inbox import InboxAsked, InboxGroup, Rejected
from schema.pages import Page

MessageId = Annotated[UUID, strawberry.argument(description="The message's id.")]
GroupId = Annotated[UUID, strawberry.argument(description="The group's id.")]
OfDevice = Annotated[UUID | None, strawberry.argument(description="Only those of this device.")]
NO_MESSAGE = Problem(status=404, slug="inbox-message-not-found")
NO_GROUP = Problem(status=404, slug="inbox-group-not-found")
NOTHING_KEPT = Problem(status=409, slug="inbox-nothing-kept")


@strawberry.type
class InboxQuery:
    """What can be asked about the inbox."""

    @strawberry.field(
        description="Messages that could not be accepted, newest first, each with the reason and its bytes.",
        directives=[
            Needs(scope="inbox:read"),
            Rest(method=Method.GET, path="/inbox"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def inbox(
        self,
        info: Info,
        device_id: OfDevice = None,
        group_id: Annotated[UUID | None, strawberry.argument(description="Only those of this group.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Rejected]:
        """The tenant's rejected messages."""
        tx = await info.context.tx()
        return paged(
            await inbox.page(tx, device_id=device_id, group_id=group_id, first=first, after=after), Rejected.of
        )

    @strawberry.field(
        description="One message that could not be accepted.",
        directives=[Needs(scope="inbox:read"), Rest(method=Method.GET, path="/inbox/{id}"), NO_MESSAGE],
    )
    async def inbox_message(self, info: Info, id: MessageId) -> Rejected:
        """The message with this id."""
        return Rejected.of(await inbox.get(await info.context.tx(), id))

    @strawberry.field(
        description="What went wrong: the messages in the inbox by their faults, the last first.",
        directives=[
            Needs(scope="inbox:read"),
            Rest(method=Method.GET, path="/inbox-groups"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def inbox_groups(
        self, info: Info, device_id: OfDevice = None, first: First = 50, after: After = None
    ) -> Page[InboxGroup]:
        """A page of groups."""
        tx = await info.context.tx()
        page = await inbox.groups(tx, device_id=device_id, first=first, after=after)
        newest = await _newest(info, page.items)
        return paged(page, lambda group: InboxGroup.of(group, newest.get(group.id)))

    @strawberry.field(
        description="All messages in the inbox with one fault.",
        directives=[Needs(scope="inbox:read"), Rest(method=Method.GET, path="/inbox-groups/{id}"), NO_GROUP],
    )
    async def inbox_group(self, info: Info, id: GroupId) -> InboxGroup:
        """The group with this id."""
        group = await inbox.group(await info.context.tx(), id)
        return InboxGroup.of(group, (await _newest(info, [group])).get(group.id))


async def _newest(info: Info, groups: Sequence[Group]) -> dict[UUID, Message]:
    """The newest message of each group, for who asks for it."""
    wanted = {group.id: group.newest_id for group in groups if group.newest_id is not None}
    if not wanted or not asks_for(info, "newest"):
        return {}
    found = await inbox.by_ids(await info.context.tx(), list(wanted.values()))
    return {group_id: found[newest_id] for group_id, newest_id in wanted.items() if newest_id in found}


@strawberry.type
class InboxMutation:
    """What can be done about the inbox."""

    @strawberry.mutation(
        description="Has a message decided again, by the profile as it is now: it is stored as if it came now for the "
        "first time, with the time at which it did come, or stays with the reason that it has now. Asking twice is "
        "asking once.",
        directives=[
            Needs(scope="telemetry:write"),
            Needs(scope="inbox:read"),
            Rest(method=Method.POST, path="/inbox/{id}/replay"),
            NO_MESSAGE,
            NOTHING_KEPT,
        ],
    )
    async def inbox_message_replay(self, info: Info, id: MessageId) -> InboxAsked:
        """It is about to be decided."""
        await inbox.replay(await info.context.tx(), id)
        return InboxAsked(messages=1)

    @strawberry.mutation(
        description="Has all messages of a group decided again, as far as they were kept.",
        directives=[
            Needs(scope="telemetry:write"),
            Needs(scope="inbox:read"),
            Rest(method=Method.POST, path="/inbox-groups/{id}/replay"),
            NO_GROUP,
            NOTHING_KEPT,
        ],
    )
    async def inbox_group_replay(self, info: Info, id: GroupId) -> InboxAsked:
        """They are about to be decided."""
        return InboxAsked(messages=(await inbox.replay_group(await info.context.tx(), id)).waiting)

    @strawberry.mutation(
        description="Throws a message away. It stays counted as rejected.",
        directives=[
            Needs(scope="telemetry:write"),
            Needs(scope="inbox:read"),
            Rest(method=Method.DELETE, path="/inbox/{id}"),
            NO_MESSAGE,
        ],
    )
    async def inbox_message_discard(self, info: Info, id: MessageId) -> InboxAsked:
        """It is gone."""
        await inbox.discard(await info.context.tx(), id)
        return InboxAsked(messages=1)

    @strawberry.mutation(
        description="Throws away all messages of a group, and forgets it. They stay counted as rejected.",
        directives=[
            Needs(scope="telemetry:write"),
            Needs(scope="inbox:read"),
            Rest(method=Method.DELETE, path="/inbox-groups/{id}"),
            NO_GROUP,
        ],
    )
    async def inbox_group_discard(self, info: Info, id: GroupId) -> InboxAsked:
        """They are gone."""
        return InboxAsked(messages=(await inbox.discard_group(await info.context.tx(), id)).count)
