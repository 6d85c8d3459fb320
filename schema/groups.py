"""Groups of devices as the contract shows them."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.devices.filter import Group
from schema.devices import DEVICE_KEY, NAME
from schema.directives import Example
from schema.scalars import Json

FILTER = (
    "Which devices it holds: an object with some of labels, profile (keys), status and keyPrefix. All that is named "
    "must hold; each takes one text or a list of which any may hold."
)
EXAMPLE = Example(json='{"labels": {"site": ["7", "8"]}, "profile": "cold-room", "keyPrefix": "pump-"}')


@strawberry.type(description="Devices that belong together: put in one by one, or found by a filter at any moment.")
class DeviceGroup:
    """A group of devices."""

    id: UUID = strawberry.field(description="The group's id.")
    key: str = strawberry.field(description="The group's short name; it never changes.")
    name: str = strawberry.field(description="The name shown to people.")
    filter: Json | None = strawberry.field(description=f"{FILTER} Null: it holds the devices put into it.")
    device_count: int = strawberry.field(description="How many devices it holds, decommissioned ones left out.")
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When the group was made.")
    updated_at: datetime = strawberry.field(description="When it or its members last changed.")

    @classmethod
    def of(cls, group: Group, device_count: int) -> Self:
        """The contract's view of ``group``."""
        return cls(
            id=group.id,
            key=group.key,
            name=group.name,
            filter=None if group.filter is None else Json(group.filter.document()),
            device_count=device_count,
            version=group.version,
            created_at=group.created_at,
            updated_at=group.updated_at,
        )


@strawberry.input(description="A new group of devices.")
class DeviceGroupCreate:
    """Input of deviceGroupCreate."""

    key: str = strawberry.field(description="The group's short name; chosen once.", directives=[DEVICE_KEY])
    name: str = strawberry.field(description="The name shown to people.", directives=[NAME])
    filter: Json | None = strawberry.field(
        description=f"{FILTER} Leave it out to put devices in by hand.", default=None, directives=[EXAMPLE]
    )


@strawberry.input(description="Changes to a group; what is left out stays.")
class DeviceGroupUpdate:
    """Input of deviceGroupUpdate."""

    name: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[NAME])
    filter: Json | None = strawberry.field(
        description="Another filter, for a group that has one.", default=None, directives=[EXAMPLE]
    )
