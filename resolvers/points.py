"""Keeps the promises about point tables."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from uuid import UUID

import strawberry

from engine.commands import service as commands
from engine.commands.errors import CommandArgumentsInvalid
from engine.points import check
from engine.points import service as points
from engine.points.changes import changes
from engine.points.model import MAX_TEXT_BYTES, Checked, Version
from resolvers.context import Info
from resolvers.devices import NOT_FOUND, DeviceId
from schema.commands import Command
from schema.directives import Constraint, Cost, Example, Method, Needs, Problem, Rest
from schema.points import PointTable, PointTableCheck, PointTableText, PointTableVersion
from schema.scalars import Json

_READ_TIMEOUT_S, _DISCOVER_TIMEOUT_S = 20, 120
_QUEUE_S = 30
"""Whoever tries something waits for it: an edge that is away shall not do it tomorrow."""
_CHECKING = ThreadPoolExecutor(1, "points")
"""One text at a time: the largest costs a second of a core, and one that is made to, three."""
MAX_VERSION = 2**31 - 1
VERSION_NOT_FOUND = Problem(status=404, slug="point-table-version-not-found")
OUT_OF_SERVICE = Problem(status=409, slug="device-out-of-service")
TOO_LARGE = Problem(status=422, slug="point-table-too-large")
Text = Annotated[
    str,
    strawberry.argument(
        description="The table, YAML or JSON.",
        directives=[
            Constraint(min_length=1, max_length=MAX_TEXT_BYTES),
            Example(json='"connections:\\n  plc: {protocol: modbus-tcp, host: 192.168.10.20}\\n"'),
        ],
    ),
]
_Asked = Annotated[
    Json | None,
    strawberry.argument(
        description="What narrows it, an object in the protocol's own words: for Modbus unit, table, from and to. With "
        "skip, as many as earlier answers held are left out.",
        directives=[Example(json='{"unit":1,"table":"holding","from":0,"to":99}')],
    ),
]


@strawberry.type
class PointQuery:
    """What can be asked about point tables."""

    @strawberry.field(
        description="A gateway's point table: what it shall read and write, and what its edge said of it.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/devices/{deviceId}/points"), NOT_FOUND],
    )
    async def point_table(self, info: Info, device_id: DeviceId) -> PointTable:
        """The table of this device."""
        return PointTable.of(await points.get(await info.context.tx(), device_id))

    @strawberry.field(
        description="The versions of a gateway's point table that are kept, the newest first.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/devices/{deviceId}/points/versions"),
            NOT_FOUND,
        ],
    )
    async def point_table_versions(self, info: Info, device_id: DeviceId) -> list[PointTableVersion]:
        """The versions of this device's table."""
        return [PointTableVersion.of(each) for each in await points.versions(await info.context.tx(), device_id)]

    @strawberry.field(
        description="One version of a gateway's point table: its text, and what is different from another version.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/devices/{deviceId}/points/versions/{version}"),
            NOT_FOUND,
            VERSION_NOT_FOUND,
            Cost(weight=20),
        ],
    )
    async def point_table_version(
        self,
        info: Info,
        device_id: DeviceId,
        version: Annotated[
            int, strawberry.argument(description="Its number.", directives=[Constraint(min=1, max=MAX_VERSION)])
        ],
        against: Annotated[
            int | None,
            strawberry.argument(
                description="With which version to compare it; with the one before it if nothing is said.",
                directives=[Constraint(min=1, max=MAX_VERSION)],
            ),
        ] = None,
    ) -> PointTableText:
        """The version, and its changes."""
        tx = await info.context.tx()
        found = await points.version(tx, device_id, version)
        other: Version | None = None
        if against is not None:
            other = await points.version(tx, device_id, against)
        elif any(each.version == version - 1 for each in await points.versions(tx, device_id)):
            other = await points.version(tx, device_id, version - 1)
        before = other.text if other else ""
        different = await asyncio.get_running_loop().run_in_executor(_CHECKING, changes, before, found.text)
        return PointTableText.of(found, other, different)

    @strawberry.field(
        description="Whether a point table can be used, line by line, before it is sent to any edge.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/points/check"),
            TOO_LARGE,
            Cost(weight=20),
        ],
    )
    async def point_table_check(self, info: Info, text: Text) -> PointTableCheck:
        """What the grammar says."""
        points.check_size(text)
        return PointTableCheck.of(await _checked(text))


@strawberry.type
class PointMutation:
    """What can be done with point tables."""

    @strawberry.mutation(
        description="Lets a gateway's edge run this point table from now on. It is sent when the edge is connected, "
        "the newest one only; the edge goes on with the one it has until then, or if it cannot use this one. It may "
        "let commands write to more of the machines, so it needs the right to send commands as well.",
        directives=[
            Needs(scope="devices:write"),
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/points"),
            NOT_FOUND,
            OUT_OF_SERVICE,
            TOO_LARGE,
            Problem(status=409, slug="point-table-stale"),
            Problem(status=422, slug="point-table-invalid"),
        ],
    )
    async def point_table_set(
        self,
        info: Info,
        device_id: DeviceId,
        text: Text,
        version: Annotated[
            int,
            strawberry.argument(
                description="The version from which it was made, 0 if there was none.", directives=[Constraint(min=0)]
            ),
        ],
    ) -> PointTable:
        """The table as it is kept now."""
        points.check_size(text)
        checked = await _checked(text)
        return PointTable.of(await points.want(await info.context.tx(), device_id, text, checked, version))

    @strawberry.mutation(
        description="Goes back to a former version of a gateway's point table, as a new version: see pointTableSet.",
        directives=[
            Needs(scope="devices:write"),
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/points/revert"),
            NOT_FOUND,
            VERSION_NOT_FOUND,
            OUT_OF_SERVICE,
            Problem(status=409, slug="point-table-stale"),
            Problem(status=422, slug="point-table-invalid"),
        ],
    )
    async def point_table_revert(
        self,
        info: Info,
        device_id: DeviceId,
        to: Annotated[
            int,
            strawberry.argument(
                description="The version to go back to.", directives=[Constraint(min=1, max=MAX_VERSION)]
            ),
        ],
        version: Annotated[
            int,
            strawberry.argument(
                description="The newest version, as it was seen.", directives=[Constraint(min=1, max=MAX_VERSION)]
            ),
        ],
    ) -> PointTable:
        """The table as it is kept now."""
        tx = await info.context.tx()
        text = (await points.version(tx, device_id, to)).text
        checked = await _checked(text)
        return PointTable.of(await points.want(tx, device_id, text, checked, version, deed="revert"))

    @strawberry.mutation(
        description="Asks a gateway's edge to read a point now, from the machine itself. The answer is the command's "
        "result: value, unit and quality. A `point` that is in no table yet is tried over a connection of the running "
        "one.",
        directives=[
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/points/read", status=201),
            NOT_FOUND,
            OUT_OF_SERVICE,
            Problem(status=409, slug="too-many-commands"),
            Problem(status=422, slug="command-arguments-invalid"),
        ],
    )
    async def point_read(
        self,
        info: Info,
        device_id: DeviceId,
        child: Annotated[
            str, strawberry.argument(description="The key of the machine.", directives=[Constraint(max_length=40)])
        ],
        metric: Annotated[
            str, strawberry.argument(description="The point's metric.", directives=[Constraint(max_length=64)])
        ],
        connection: Annotated[
            str | None,
            strawberry.argument(
                description="For a point in no table yet: over what.", directives=[Constraint(max_length=64)]
            ),
        ] = None,
        point: Annotated[
            Json | None,
            strawberry.argument(
                description="A point in no table yet, as a table would have it.",
                directives=[Example(json='{"address":{"unit":1,"holding":100},"type":"int16","scale":0.1}')],
            ),
        ] = None,
    ) -> Command:
        """The command that asks."""
        arguments: dict[str, object] = {"device": child, "metric": metric}
        if point is not None:
            if not isinstance(point, Mapping) or not connection:
                raise CommandArgumentsInvalid('Describe the point, {"address": …}, and name the `connection`.')
            arguments |= {"connection": connection, "point": point}
        return await _ask(info, device_id, "edge-read", arguments, _READ_TIMEOUT_S)

    @strawberry.mutation(
        description="Asks a gateway's edge to look around behind one of its connections: a scan of registers, a "
        "browse, or who-is. The answer is the command's result: points that could be in its table, and how many were "
        "found, of which one answer holds some dozens. Where it had to end early, `stopped` says why.",
        directives=[
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/points/discover", status=201),
            NOT_FOUND,
            OUT_OF_SERVICE,
            Problem(status=409, slug="too-many-commands"),
            Problem(status=422, slug="command-arguments-invalid"),
        ],
    )
    async def point_discover(
        self,
        info: Info,
        device_id: DeviceId,
        connection: Annotated[
            str, strawberry.argument(description="The connection's name.", directives=[Constraint(max_length=64)])
        ],
        wanted: _Asked = None,
    ) -> Command:
        """The command that asks."""
        if wanted is not None and not isinstance(wanted, Mapping):
            raise CommandArgumentsInvalid('Say what is wanted as an object, such as {"unit": 1, "table": "holding"}.')
        arguments = {**(wanted or {}), "connection": connection}
        return await _ask(info, device_id, "edge-discover", arguments, _DISCOVER_TIMEOUT_S)


async def _checked(text: str) -> Checked:
    return await asyncio.get_running_loop().run_in_executor(_CHECKING, check.checked, text)


async def _ask(info: Info, device_id: UUID, command: str, arguments: Mapping[str, object], timeout_s: int) -> Command:
    tx = await info.context.tx()
    return Command.of(
        await commands.issue_own(tx, device_id, command, arguments, timeout_s=timeout_s, queue_s=_QUEUE_S)
    )
