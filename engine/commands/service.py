"""Commands: issue, call off, hear what devices say of them, let those end that nobody answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import clock, ids, pages
from engine.commands import errors, events, told
from engine.commands.answer import Answer
from engine.commands.model import (
    DEFAULT_QUEUE_S,
    GIVEN_UP,
    LIFE,
    MAX_ANSWER_BYTES,
    MAX_QUEUE_S,
    MAX_QUEUED,
    MAX_TIMEOUT_S,
    Command,
    CommandStatus,
    Order,
)
from engine.commands.tables import commands
from engine.devices import declared
from engine.devices import service as devices
from engine.devices.model import Device, DeviceStatus, Profile
from engine.journal.model import Entry
from engine.pages import Page
from engine.store.tx import Tx

KINDS = frozenset({told.SENT, told.ANSWERED})
"""The journal's kinds that ``follow`` understands."""

_OUT_OF_SERVICE = frozenset({DeviceStatus.SUSPENDED, DeviceStatus.QUARANTINED, DeviceStatus.DECOMMISSIONED})
_ELAPSED_AT_ONCE = 1_000

# What a device has said in time counts, though the drain has not read it yet: it may have been away for a while.
_ELAPSE = text(
    """
    WITH unread AS MATERIALIZED (
        SELECT j.body ->> 'command' AS command FROM journal j
        WHERE j.tenant_id = :tenant AND j.kind IN ('command.sent', 'command.answered')
          AND j.pos > (SELECT min(r.pos) FROM readers r WHERE r.tenant_id = :tenant)
    )
    UPDATE commands c
    SET status = CASE WHEN c.status = 'queued' THEN 'expired' ELSE 'timed_out' END,
        finished_at = :now, due_at = NULL, version = c.version + 1,
        reason = CASE WHEN c.status = 'queued' THEN 'The device did not connect in time.'
                      ELSE 'The device had the command and did not answer in time.' END
    WHERE c.tenant_id = :tenant AND c.id IN (
        SELECT d.id FROM commands d WHERE d.tenant_id = :tenant AND d.due_at <= :now
          AND NOT EXISTS (SELECT FROM unread u WHERE u.command = CAST(d.id AS text))
        ORDER BY d.due_at LIMIT :most FOR UPDATE OF d SKIP LOCKED
    )
    RETURNING c.id, c.device_id, c.status
    """
)


async def issue(
    tx: Tx,
    device_id: UUID,
    command: str,
    arguments: Mapping[str, object],
    *,
    timeout_s: int | None = None,
    queue_s: int = DEFAULT_QUEUE_S,
) -> Command:
    """Ask a device to do something; it is sent at once if the device is connected, else when it comes.

    ``timeout_s``: how long the device may take to answer (default: what its profile declares); ``queue_s``: how long
    the command may wait for the device. Raises DeviceNotFound, DeviceOutOfService, CommandUnknown,
    CommandArgumentsInvalid, CommandTimesInvalid, TooManyCommands.
    """
    if not (1 <= queue_s <= MAX_QUEUE_S and (timeout_s is None or 1 <= timeout_s <= MAX_TIMEOUT_S)):
        raise errors.CommandTimesInvalid
    device = await _takes_commands(tx, device_id)
    order = Order(ids.uuid7(), device_id, command, arguments, tx.principal.name, None, timeout_s, queue_s)
    return await _issued(tx, _declared(tx, order, await devices.profile(tx, device.profile_id)))


async def issue_own(
    tx: Tx, device_id: UUID, command: str, arguments: Mapping[str, object], *, timeout_s: int, queue_s: int
) -> Command:
    """Issue a command that is the platform's own word, such as `edge-read`, whatever the device's profile declares.

    Raises DeviceNotFound, DeviceOutOfService, CommandArgumentsInvalid, TooManyCommands.
    """
    if len(orjson.dumps(arguments)) > MAX_ANSWER_BYTES:
        raise errors.CommandArgumentsInvalid(f"The arguments have at most {MAX_ANSWER_BYTES // 1024} KiB.")
    await _takes_commands(tx, device_id)
    order = Order(ids.uuid7(), device_id, command, arguments, tx.principal.name, None, timeout_s, queue_s)
    return await _issued(tx, _row(tx, order, arguments))


async def _takes_commands(tx: Tx, device_id: UUID) -> Device:
    """The device; raises DeviceNotFound, DeviceOutOfService, TooManyCommands."""
    device = await devices.get(tx, device_id)
    if device.status in _OUT_OF_SERVICE:
        raise errors.DeviceOutOfService(f"This device takes no commands: it is {device.status}.")
    if (await _queued(tx, [device_id]))[device_id] >= MAX_QUEUED:
        raise errors.TooManyCommands
    return device


async def _issued(tx: Tx, values: Mapping[str, object]) -> Command:
    row = await tx.one(insert(commands).values(values).returning(commands))
    assert row is not None
    await _tell_queued(tx, [row])
    tx.audit("command.issue", "command", row["id"], after=_told(row))
    return _command(row)


async def issue_all(tx: Tx, orders: Sequence[Order]) -> dict[UUID, str]:
    """Issue what rules ask for, each order once; why some could not be issued, in words by the order's id."""
    found = await devices.by_ids(tx, [order.device_id for order in orders])
    profiles = await devices.profiles_by_ids(tx, list({device.profile_id for device in found.values()}))
    rows: list[dict[str, object]] = []
    refused: dict[UUID, str] = {}
    waiting = await _queued(tx, list(found))
    for order in orders:
        device = found.get(order.device_id)
        if device is None or device.status in _OUT_OF_SERVICE:
            refused[order.id] = f"{order.command}: the device is not in service."
            continue
        if waiting[device.id] >= MAX_QUEUED:
            refused[order.id] = f"{order.command}: {errors.TooManyCommands().message}"
            continue
        waiting[device.id] += 1
        try:
            row = _declared(tx, order, profiles[device.profile_id])
        except (errors.CommandUnknown, errors.CommandArgumentsInvalid) as error:
            refused[order.id] = f"{order.command}: {error.message}"
        else:  # a microsecond apart: commands go down in the order in which they were asked for
            rows.append(row | {"requested_at": tx.now + timedelta(microseconds=len(rows))})
    if rows:
        issued = await tx.rows(upsert(commands).values(rows).on_conflict_do_nothing().returning(commands))
        await _tell_queued(tx, issued)
    return refused


async def get(tx: Tx, command_id: UUID) -> Command:
    """The command with this id; raises CommandNotFound."""
    row = await tx.one(select(commands).where(_this(tx, command_id)))
    if row is None:
        raise errors.CommandNotFound
    return _command(row)


async def by_ids(tx: Tx, command_ids: Sequence[UUID]) -> dict[UUID, Command]:
    """Those of ``command_ids`` that exist."""
    query = select(commands).where(commands.c.tenant_id == tx.principal.tenant_id, commands.c.id.in_(command_ids))
    return {row["id"]: _command(row) for row in await tx.rows(query)}


async def page(
    tx: Tx,
    *,
    device_id: UUID | None = None,
    status: CommandStatus | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Command]:
    """Commands, newest first."""
    size = pages.page_size(first)
    query = select(commands).where(commands.c.tenant_id == tx.principal.tenant_id)
    if device_id is not None:
        query = query.where(commands.c.device_id == device_id)
    if status is not None:
        query = query.where(commands.c.status == status)
    if after is not None:
        query = query.where(tuple_(commands.c.requested_at, commands.c.id) < tuple_(*pages.decode_moment(after)))
    rows = await tx.rows(query.order_by(commands.c.requested_at.desc(), commands.c.id.desc()).limit(size + 1))
    return pages.cut(
        [_command(row) for row in rows], size, lambda command: pages.moment(command.requested_at, command.id)
    )


async def cancel(tx: Tx, command_id: UUID) -> Command:
    """Call off a command that still waits. Raises CommandNotFound, CommandNotQueued."""
    before = await get(tx, command_id)
    row = await _move(tx, before.id, CommandStatus.CANCELLED, {"reason": f"Cancelled by {tx.principal.name}."})
    if row is None:
        raise errors.CommandNotQueued(f"This command is {before.status.replace('_', ' ')} and cannot be called off.")
    await tx.notify(f"command:{before.device_id}")  # it may lie with the process that holds the connection, unwritten
    tx.audit("command.cancel", "command", command_id)
    return _command(row)


async def follow(tx: Tx, entries: Iterable[Entry]) -> None:
    """Move the commands that these entries (of ``KINDS``, in order) speak of, as far as their lives allow."""
    for entry in entries:
        command_id, at = UUID(entry.body["command"]), clock.from_ms(entry.body["at"])
        if entry.kind == told.SENT:
            await _sent(tx, command_id, at)
        else:
            await _answered(tx, command_id, UUID(entry.body["device"]), _answer(entry.body), at)


async def elapse(tx: Tx) -> bool:
    """End the commands whose time is over; says whether there may be more."""
    rows = await tx.rows(_ELAPSE, {"tenant": tx.principal.tenant_id, "now": tx.now, "most": _ELAPSED_AT_ONCE})
    for row in rows:
        tx.emit(events.CommandChanged(row["id"], row["device_id"], row["status"]))
    return len(rows) == _ELAPSED_AT_ONCE


async def device_gone(tx: Tx, device_id: UUID) -> None:
    """A device was decommissioned: what waits for it is called off."""
    over = {"status": CommandStatus.CANCELLED, "reason": "The device was decommissioned.", "due_at": None}
    waiting = and_(
        commands.c.tenant_id == tx.principal.tenant_id,
        commands.c.device_id == device_id,
        commands.c.status.in_(LIFE[CommandStatus.CANCELLED]),
    )
    called_off = update(commands).where(waiting).values(**over, finished_at=tx.now, version=commands.c.version + 1)
    for row in await tx.rows(called_off.returning(commands.c.id)):
        tx.emit(events.CommandChanged(row["id"], device_id, CommandStatus.CANCELLED))


async def _sent(tx: Tx, command_id: UUID, at: datetime) -> None:
    due = at + func.make_interval(0, 0, 0, 0, 0, 0, commands.c.timeout_s)
    await _move(tx, command_id, CommandStatus.SENT, {"sent_at": at, "due_at": due})


async def _answered(tx: Tx, command_id: UUID, device_id: UUID, answer: Answer, at: datetime) -> None:
    values: dict[str, object] = {"reason": answer.reason, "result": answer.result}
    if answer.status is CommandStatus.ACKNOWLEDGED:
        values = {"acknowledged_at": at, "due_at": None}
    # Whoever answers has had the command: the answer may overtake what tells that it was sent.
    values["sent_at"] = func.coalesce(commands.c.sent_at, at)
    if await _move(tx, command_id, answer.status, values, device_id=device_id, at=at) is not None:
        return
    # It was over already, or it is no command of this device: then nothing matches, and nobody is told.
    late = {"status": answer.status, "reason": answer.reason, "result": answer.result, "at": at.isoformat()}
    row = await tx.one(
        update(commands)
        .where(_this(tx, command_id), commands.c.device_id == device_id)
        .where(commands.c.status.in_(GIVEN_UP), commands.c.late.is_(None))
        .values(late=late, version=commands.c.version + 1)
        .returning(commands.c.id)
    )
    if row is not None:
        tx.emit(events.CommandAnsweredLate(command_id, device_id))


async def _move(
    tx: Tx,
    command_id: UUID,
    status: CommandStatus,
    values: Mapping[str, object],
    *,
    device_id: UUID | None = None,
    at: datetime | None = None,
) -> RowMapping | None:
    """The command in its new state, or None if its life does not allow that move, or it is another device's."""
    ended = status not in (CommandStatus.SENT, CommandStatus.ACKNOWLEDGED)
    over = {"finished_at": at or tx.now, "due_at": None} if ended else {}
    query = update(commands).where(_this(tx, command_id), commands.c.status.in_(LIFE[status]))
    if device_id is not None:
        query = query.where(commands.c.device_id == device_id)
    row = await tx.one(
        query.values(**{**values, **over}, status=status, version=commands.c.version + 1).returning(commands)
    )
    if row is not None:
        tx.emit(events.CommandChanged(command_id, row["device_id"], status))
    return row


def _answer(body: Mapping[str, object]) -> Answer:
    reason = body.get("reason")
    return Answer(CommandStatus(str(body["status"])), None if reason is None else str(reason), body.get("result"))


def _declared(tx: Tx, order: Order, profile: Profile) -> dict[str, object]:
    """The order as a row, with what its device's profile declares; raises CommandUnknown, CommandArgumentsInvalid."""
    known = {command.key: command for command in profile.commands}
    command = known.get(order.command)
    if command is None:
        there = f"There are: {', '.join(known)}." if known else "Declare commands in the profile first."
        raise errors.CommandUnknown(f"The profile “{profile.name}” declares no command “{order.command[:64]}”. {there}")
    arguments = declared.check_arguments(command, order.arguments)
    if arguments.problems:
        raise errors.CommandArgumentsInvalid(
            " ".join(problem.message for problem in arguments.problems),
            problems=[{"path": f"$.{problem.place}", "message": problem.message} for problem in arguments.problems],
        )
    return _row(tx, replace(order, timeout_s=order.timeout_s or command.timeout_s), arguments.values)


def _row(tx: Tx, order: Order, values: Mapping[str, object]) -> dict[str, object]:
    expires_at = tx.now + timedelta(seconds=order.queue_s)
    return {
        "tenant_id": tx.principal.tenant_id,
        "id": order.id,
        "device_id": order.device_id,
        "command": order.command,
        "arguments": values,
        "status": CommandStatus.QUEUED,
        "timeout_s": order.timeout_s,
        "requested_by": order.requested_by,
        "requested_at": tx.now,
        "expires_at": expires_at,
        "due_at": expires_at,
        "rule_id": order.rule_id,
        "version": 1,
    }


async def _tell_queued(tx: Tx, rows: Sequence[RowMapping]) -> None:
    """The journal hears of it, and the process that holds the device's connection does so at COMMIT."""
    for row in rows:
        tx.emit(events.CommandChanged(row["id"], row["device_id"], CommandStatus.QUEUED))
    for device_id in {row["device_id"] for row in rows}:
        await tx.notify(f"command:{device_id}")


async def _queued(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many commands wait for each of these devices."""
    query = (
        select(commands.c.device_id, func.count().label("n"))
        .where(commands.c.tenant_id == tx.principal.tenant_id, commands.c.device_id.in_(device_ids))
        .where(commands.c.status == CommandStatus.QUEUED)
        .group_by(commands.c.device_id)
    )
    found = {row["device_id"]: int(row["n"]) for row in await tx.rows(query)}
    return {device_id: found.get(device_id, 0) for device_id in device_ids}


def _told(row: RowMapping) -> dict[str, object]:
    """What the audit log says of a command."""
    return {"device": str(row["device_id"]), "command": row["command"], "arguments": row["arguments"]}


def _this(tx: Tx, command_id: UUID) -> ColumnElement[bool]:
    return and_(commands.c.tenant_id == tx.principal.tenant_id, commands.c.id == command_id)


def _command(row: RowMapping) -> Command:
    return Command(
        id=row["id"],
        device_id=row["device_id"],
        command=row["command"],
        arguments=row["arguments"],
        status=CommandStatus(row["status"]),
        timeout_s=row["timeout_s"],
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        expires_at=row["expires_at"],
        sent_at=row["sent_at"],
        acknowledged_at=row["acknowledged_at"],
        finished_at=row["finished_at"],
        reason=row["reason"],
        result=row["result"],
        late=row["late"],
        rule_id=row["rule_id"],
        version=row["version"],
    )
