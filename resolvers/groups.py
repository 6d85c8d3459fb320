"""Keeps the promises about groups of devices."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine.devices import groups
from engine.devices.filter import Group
from resolvers.arguments import After, First, Version
from resolvers.context import Info
from resolvers.devices import STALE
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.groups import DeviceGroup, DeviceGroupCreate, DeviceGroupUpdate
from schema.pages import Page, PageInfo

GroupId = Annotated[UUID, strawberry.argument(description="The group's id.")]
DeviceIds = Annotated[
    list[UUID],
    strawberry.argument(
        description="The devices' ids.", directives=[Constraint(min_length=1, max_length=groups.MAX_AT_ONCE)]
    ),
]
NOT_FOUND = Problem(status=404, slug="group-not-found")
MALFORMED = Problem(status=422, slug="filter-malformed")


async def _shown(info: Info, group: Group) -> DeviceGroup:
    counted = await groups.counts(await info.context.tx(), [group])
    return DeviceGroup.of(group, counted[group.id])


@strawberry.type
class GroupQuery:
    """What can be asked about groups."""

    @strawberry.field(
        description="The tenant's groups of devices by key.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/device-groups"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first", weight=5),
        ],
    )
    async def device_groups(self, info: Info, first: First = 50, after: After = None) -> Page[DeviceGroup]:
        """A page of groups."""
        tx = await info.context.tx()
        found = await groups.page(tx, first=first, after=after)
        counted = await groups.counts(tx, found.items)
        return Page(
            items=[DeviceGroup.of(group, counted[group.id]) for group in found.items],
            page_info=PageInfo(has_next_page=found.has_next_page, end_cursor=found.end_cursor),
        )

    @strawberry.field(
        description="One group of devices. Its devices are found by devices(groupId).",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/device-groups/{id}"), NOT_FOUND],
    )
    async def device_group(self, info: Info, id: GroupId) -> DeviceGroup:
        """The group with this id."""
        return await _shown(info, await groups.get(await info.context.tx(), id))


@strawberry.type
class GroupMutation:
    """What can be done to groups."""

    @strawberry.mutation(
        description="Makes a group: of the devices put into it, or of those that its filter finds at any moment.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/device-groups", status=201),
            Problem(status=409, slug="group-key-taken"),
            Problem(status=409, slug="too-many-groups"),
            Problem(status=422, slug="name-malformed"),
            MALFORMED,
        ],
    )
    async def device_group_create(
        self, info: Info, input: Annotated[DeviceGroupCreate, strawberry.argument(description="The new group.")]
    ) -> DeviceGroup:
        """The new group."""
        tx = await info.context.tx()
        return await _shown(info, await groups.create(tx, key=input.key, name=input.name, filter_=input.filter))

    @strawberry.mutation(
        description="Changes a group's name or filter.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.PATCH, path="/device-groups/{id}"),
            NOT_FOUND,
            STALE,
            Problem(status=409, slug="group-static"),
            Problem(status=422, slug="name-malformed"),
            MALFORMED,
        ],
    )
    async def device_group_update(
        self,
        info: Info,
        id: GroupId,
        input: Annotated[DeviceGroupUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> DeviceGroup:
        """The group after the change."""
        tx = await info.context.tx()
        changed = await groups.change(tx, id, name=input.name, filter_=input.filter, expected_version=version)
        return await _shown(info, changed)

    @strawberry.mutation(
        description="Deletes a group. The devices stay.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.DELETE, path="/device-groups/{id}"),
            NOT_FOUND,
        ],
    )
    async def device_group_delete(self, info: Info, id: GroupId) -> DeviceGroup:
        """The group as it was."""
        tx = await info.context.tx()
        shown = await _shown(info, await groups.get(tx, id))
        await groups.remove(tx, id)
        return shown

    @strawberry.mutation(
        description="Puts devices into a group that has no filter.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/device-groups/{id}/devices"),
            NOT_FOUND,
            Problem(status=404, slug="device-not-found"),
            Problem(status=409, slug="group-dynamic"),
        ],
    )
    async def device_group_add(self, info: Info, id: GroupId, device_ids: DeviceIds) -> DeviceGroup:
        """The group with them."""
        return await _shown(info, await groups.add_devices(await info.context.tx(), id, device_ids))

    @strawberry.mutation(
        description="Takes devices out of a group that has no filter. The devices stay.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/device-groups/{id}/devices/remove"),
            NOT_FOUND,
            Problem(status=409, slug="group-dynamic"),
        ],
    )
    async def device_group_remove(self, info: Info, id: GroupId, device_ids: DeviceIds) -> DeviceGroup:
        """The group without them."""
        return await _shown(info, await groups.remove_devices(await info.context.tx(), id, device_ids))
