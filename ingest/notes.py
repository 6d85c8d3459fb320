"""What a device says that is no reading: its answer to a command, or an event. Each becomes one row of the journal."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from engine.commands import answer
from engine.commands.answer import MAX_REASON_CHARS
from engine.commands.told import ANSWERED
from engine.points.model import Said
from engine.points.told import SAID
from ingest import decode
from ingest.adapters.base import ChildMessage, Decision, Message
from ingest.errors import Rejection, shown
from ingest.normaliser import check_clock
from schema.wire import topics
from schema.wire.payloads import MAX_NOTE_BYTES, Reason

EVENT = "device.event"
"""The journal's kind of what a device tells on `up/event/{type}`."""
KINDS = frozenset({ANSWERED, EVENT, SAID})
CONNECTED, DISCONNECTED = "device.connected", "device.disconnected"
"""The journal's kinds of presence."""
_ANSWERS = {"command_ack": "ack", "command_result": "result"}
_TAKEN = frozenset({*_ANSWERS, "event", "points_said"})

Note = tuple[str, dict[str, Any]]
"""A journal row to be: its kind and its body."""


def read(message: Message, device: str) -> Note:
    """The note in a message that is no telemetry; Rejection when nothing takes its topic, or it is none."""
    tail = topics.parse_tail(message.topic)
    if tail is not None and tail.name == "status" and isinstance(message, ChildMessage):
        return _status(message, device)
    if tail is None or tail.direction != "up" or tail.name not in _TAKEN:
        raise Rejection(Reason.TOPIC, f"Nothing takes {shown(message.topic)} yet.")
    if len(message.payload) > MAX_NOTE_BYTES:
        words = f"This has {len(message.payload)} bytes; an answer or an event has at most {MAX_NOTE_BYTES}."
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


def _why(payload: bytes) -> str:
    """In a gateway's words, why it does not reach a child; empty when it does not say."""
    said = decode.load(payload).get("reason")
    return said[:MAX_REASON_CHARS] if isinstance(said, str) else ""


def through(gateway: Decision) -> dict[str, object]:
    """What presence tells of a child's connection, which is its gateway's."""
    return {"protocol": "gateway", "client_id": gateway.device}


def _status(message: ChildMessage, device: str) -> Note:
    is_connected = connected(message.payload)
    if is_connected is None:
        raise Rejection(Reason.SHAPE, 'Say {"connected": true} or {"connected": false} of a child.')
    body = {"device": device, "at": int(message.received_at * 1000), "epoch": message.device.session_epoch}
    if is_connected:
        return CONNECTED, {**body, "client": through(message.gateway)}
    return DISCONNECTED, {**body, "reason": _why(message.payload) or "network"}


def has_time(event: Note) -> bool:
    """Whether an event names its time, rather than having happened when it was heard."""
    return bool(event[1]["at"] != event[1]["received"])


def dump(note: Note, batch_id: str) -> bytes:
    """The note's body as the journal has it; like a telemetry row it begins with the batch's id (`look`)."""
    return orjson.dumps({"b": batch_id, **note[1]})
