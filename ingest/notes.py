"""What a device says that is no reading: its answer to a command, or an event. Each becomes one row of the journal."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from engine.clock import from_ms
from engine.commands import answer
from engine.commands.answer import MAX_REASON_CHARS
from engine.commands.told import ANSWERED
from engine.points.model import MAX_SAID_BYTES, Said
from engine.points.told import SAID
from ingest import decode
from ingest.adapters.base import ChildMessage, Decision, Message
from ingest.errors import Rejection, shown
from ingest.normaliser import check_clock
from schema.wire import topics
from schema.wire.payloads import CLOCK_AHEAD_S, MAX_NOTE_BYTES, RETENTION_S, Reason

EVENT = "device.event"
"""The journal's kind of what a device tells on `up/event/{type}`."""
KINDS = frozenset({ANSWERED, EVENT, SAID})
CONNECTED, DISCONNECTED = "device.connected", "device.disconnected"
"""The journal's kinds of presence."""
_ANSWERS = {"command_ack": "ack", "command_result": "result"}
_TAKEN = frozenset({*_ANSWERS, "event", "points_said"})
_ROOM = {"points_said": (MAX_SAID_BYTES, "what is said of points")}

Note = tuple[str, dict[str, Any]]
"""A journal row to be: its kind and its body."""


def read(message: Message, device: str) -> Note:
    """The note in a message that is no telemetry; Rejection when nothing takes its topic, or it is none."""
    tail = topics.parse_tail(message.topic)
    if tail is not None and tail.name == "status" and isinstance(message, ChildMessage):
        return _status(message, device)
    if tail is None or tail.direction != "up" or tail.name not in _TAKEN:
        raise Rejection(Reason.TOPIC, f"Nothing takes {shown(message.topic)} yet.")
    most, what = _ROOM.get(tail.name, (MAX_NOTE_BYTES, "an answer or an event"))
    if len(message.payload) > most:
        words = f"This has {len(message.payload)} bytes; {what} has at most {most}."
        raise Rejection(Reason.PAYLOAD_TOO_LARGE, words)
    said = decode.load(message.payload) if message.payload else None
    decode.depth(said)
    received_ms = int(message.received_at * 1000)
    if tail.name == "event":
        return EVENT, _event(tail.parameters["type"], said, device, received_ms)
    if tail.name == "points_said":
        return SAID, _points(said, device, received_ms)
    return ANSWERED, _answer(_ANSWERS[tail.name], tail.parameters["id"], said, device, received_ms)


def _answer(what: str, command: str, said: object, device: str, received_ms: int) -> dict[str, Any]:
    try:
        command_id = UUID(command)
    except ValueError:
        raise Rejection(Reason.TOPIC, f"{shown(command)} is no command's id.") from None
    try:
        found = answer.read(what, said)
    except ValueError as error:
        raise Rejection(Reason.SHAPE, str(error)) from None
    told = {"reason": found.reason, "result": found.result}
    given = {name: value for name, value in told.items() if value is not None}
    return {"command": str(command_id), "device": device, "status": found.status, "at": received_ms, **given}


def _points(said: object, device: str, received_ms: int) -> dict[str, Any]:
    try:
        return {**Said.read(said).body(), "device": device, "at": received_ms}
    except ValueError as error:
        raise Rejection(Reason.SHAPE, str(error)) from None


def _event(kind: str, said: object, device: str, received_ms: int) -> dict[str, Any]:
    if said is not None and not isinstance(said, Mapping):
        raise Rejection(Reason.SHAPE, f"An event is an object or nothing, this is {shown(said)}.")
    data = dict(said or {})
    at_ms = received_ms
    if "time" in data:
        at_ms = decode.time_ms(data.pop("time"))
        check_clock(at_ms, received_ms)
    return {"device": device, "type": kind, "at": at_ms, "received": received_ms, "data": data}


def connected(payload: bytes) -> bool | None:
    """Whether a gateway says that it reaches a child; None when it does not say so."""
    try:
        said = decode.load(payload)
    except Rejection:
        return None
    found = said.get("connected") if isinstance(said, Mapping) else None
    return found if isinstance(found, bool) else None


def _why(said: Mapping[str, Any], since_ms: int | None) -> str:
    """In a gateway's words, why it does not reach a child, and since when."""
    reason = said.get("reason")
    if not isinstance(reason, str) or not reason:
        return "network"
    since = "" if since_ms is None else f", since {from_ms(since_ms):%Y-%m-%d %H:%M} UTC"
    return reason[: MAX_REASON_CHARS - len(since)] + since


def _since(said: Mapping[str, Any], received_ms: int) -> int | None:
    """Since when a gateway does not reach a child; None if it does not say, or its clock is wrong."""
    try:
        since_ms = decode.time_ms(said.get("since"))
    except Rejection:
        return None
    is_known = received_ms - RETENTION_S * 1000 <= since_ms <= received_ms + CLOCK_AHEAD_S * 1000
    return min(since_ms, received_ms) if is_known else None


def through(gateway: Decision) -> dict[str, object]:
    """What presence tells of a child's connection, which is its gateway's."""
    return {"protocol": "gateway", "client_id": gateway.device}


def _status(message: ChildMessage, device: str) -> Note:
    is_connected = connected(message.payload)
    if is_connected is None:
        raise Rejection(Reason.SHAPE, 'Say {"connected": true} or {"connected": false} of a child.')
    received_ms = int(message.received_at * 1000)
    body = {"device": device, "at": received_ms, "epoch": message.device.session_epoch}
    if is_connected:
        return CONNECTED, {**body, "client": through(message.gateway)}
    said = decode.load(message.payload)
    since_ms = _since(said, received_ms)
    return DISCONNECTED, {**body, "at": since_ms or received_ms, "reason": _why(said, since_ms)}


def has_time(event: Note) -> bool:
    """Whether an event names its time, rather than having happened when it was heard."""
    return bool(event[1]["at"] != event[1]["received"])


def dump(note: Note, batch_id: str) -> bytes:
    """The note's body as the journal has it; like a telemetry row it begins with the batch's id (`look`)."""
    return orjson.dumps({"b": batch_id, **note[1]})
