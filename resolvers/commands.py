"""Keeps the promises about commands."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Annotated
from uuid import UUID

import strawberry

from engine.commands import service as commands
from engine.commands.errors import CommandArgumentsInvalid
from engine.commands.model import CommandStatus
from resolvers.arguments import After, First, asks_for, paged
from resolvers.context import Info
from resolvers.devices import NOT_FOUND as DEVICE_NOT_FOUND
from resolvers.devices import DeviceId
from resolvers.live import Happened
from resolvers.streams import BAD_CURSOR, GONE
from resolvers.streams import After as LiveAfter
from schema.commands import Command, CommandEvent, CommandEventKind, CommandIssue
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.pages import Page

CommandId = Annotated[UUID, strawberry.argument(description="The command's id.")]
NOT_FOUND = Problem(status=404, slug="command-not-found")
KINDS = tuple(kind.value for kind in CommandEventKind)


@strawberry.type
class CommandQuery:
    """What can be asked about commands."""

    @strawberry.field(
        description="The tenant's commands, newest first.",
        directives=[
            Needs(scope="commands:read"),
            Rest(method=Method.GET, path="/commands"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def commands(
        self,
        info: Info,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only commands to this device.")] = None,
        status: Annotated[
            CommandStatus | None, strawberry.argument(description="Only commands that stand there.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Command]:
        """A page of commands."""
        tx = await info.context.tx()
        page = await commands.page(tx, device_id=device_id, status=status, first=first, after=after)
        if asks_for(info, "device"):
            await info.context.devices.prime(command.device_id for command in page.items)
        return paged(page, Command.of)

    @strawberry.field(
        description="One command.",
        directives=[Needs(scope="commands:read"), Rest(method=Method.GET, path="/commands/{id}"), NOT_FOUND],
    )
    async def command(self, info: Info, id: CommandId) -> Command:
        """The command with this id."""
        return Command.of(await commands.get(await info.context.tx(), id))


@strawberry.type
class CommandMutation:
    """What can be done with commands."""

    @strawberry.mutation(
        description="Asks a device to do something. It is sent at once if the device is connected and listens, else "
        "when it comes; it may be sent more than once, and the id tells a repeat.",
        directives=[
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/commands", status=201),
            DEVICE_NOT_FOUND,
            Problem(status=409, slug="device-out-of-service"),
            Problem(status=409, slug="too-many-commands"),
            Problem(status=422, slug="command-unknown"),
            Problem(status=422, slug="command-arguments-invalid"),
        ],
    )
    async def command_issue(
        self,
        info: Info,
        device_id: DeviceId,
        input: Annotated[CommandIssue, strawberry.argument(description="The command.")],
    ) -> Command:
        """The command as it was issued."""
        arguments: object = {} if input.arguments is None else input.arguments
        if not isinstance(arguments, Mapping):
            raise CommandArgumentsInvalid('The arguments must be an object, such as {"rpm": 900}.')
        issued = await commands.issue(
            await info.context.tx(),
            device_id,
            input.command,
            arguments,
            timeout_s=input.timeout_seconds,
            queue_s=input.queue_seconds,
        )
        return Command.of(issued)

    @strawberry.mutation(
        description="Calls off a command that still waits for its device.",
        directives=[
            Needs(scope="commands:write"),
            Rest(method=Method.POST, path="/commands/{id}/cancel"),
            NOT_FOUND,
            Problem(status=409, slug="command-not-queued"),
        ],
    )
    async def command_cancel(self, info: Info, id: CommandId) -> Command:
        """The command, called off."""
        return Command.of(await commands.cancel(await info.context.tx(), id))


@strawberry.type
class CommandStreams:
    """What can be followed about commands."""

    @strawberry.subscription(
        description="Commands as they are issued and move. Nothing is left out.",
        directives=[Needs(scope="commands:read"), Rest(method=Method.GET, path="/stream/commands"), GONE, BAD_CURSOR],
    )
    async def commands(self, info: Info, after: LiveAfter = None) -> AsyncGenerator[CommandEvent, None]:
        """Commands, live."""
        principal, live = info.context.principal, info.context.services.live
        await live.check(principal.tenant_id, after)
        return _events(live.events(principal, KINDS, after))


async def _events(source: AsyncIterator[Happened]) -> AsyncGenerator[CommandEvent, None]:
    async for event in source:
        status = event.body.get("status")
        yield CommandEvent(
            cursor=event.cursor,
            kind=CommandEventKind(event.kind),
            status=None if status is None else CommandStatus(status),
            command_id=UUID(event.body["command"]),
            share=event.cursor,
        )
