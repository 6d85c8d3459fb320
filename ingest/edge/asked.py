"""What the platform asks for: commands to machines become writes and calls, commands to the edge itself look around.

A command to a device is called if one of its points has that name and is a command; else each of its arguments is
written to the device's point of that metric, in the order given. Two names are the edge's own, for its gateway device:
`edge-read` {device, metric} and `edge-discover` {connection, skip?, …}, the rest being the protocol's. `edge-read` may
bring a `point` that is in no table yet, as a table would have it, to be tried over one of the connections that there
are. `skip` says how many of what was found were told already: one answer holds some dozens. `stopped` in an answer says
why it was not looked any further.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ingest.edge import document, points
from ingest.edge.document import Wrong
from ingest.edge.driver import Cut, Failed, Proposal
from ingest.edge.keeper import Keeper
from ingest.edge.plant import Plant
from ingest.edge.points import Point
from ingest.edge.report import Report
from schema.wire.payloads import MAX_NOTE_BYTES
from schema.wire.topics import parse_tail

log = logging.getLogger(__name__)

_ROOM_BYTES = MAX_NOTE_BYTES - 1_024
_MOST_STOPPED = 400
_BEGUN = "The edge was stopped while it did this; look at the machine whether it was done."


class Asked:
    """Carries commands out, each once, and puts the answers into the spool."""

    def __init__(
        self,
        gateway: str,
        plant: Plant,
        report: Report,
        keeper: Keeper,
        configure: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """`configure` is given a point table that came."""
        self._configure = configure
        self._gateway = gateway
        self._plant = plant
        self._report = report
        self._keeper = keeper
        self._known: dict[str, None] = {}
        self._found: tuple[Mapping[str, Any], Sequence[Proposal], str] = {}, (), ""
        """What was asked for last, all that was found, which is told without looking again, and what stopped it."""
        self._own: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "edge-read": self._read,
            "edge-discover": self._discover,
        }

    async def heard(self, topic: str, payload: bytes) -> None:
        """A message from the platform: a command, whose answer lies in the spool on return, or a point table."""
        tail = parse_tail(topic)
        if tail is not None and tail.name == "points":
            await self._configure(payload)
            return
        if tail is None or tail.name not in ("command", "child_command"):
            return
        device, id_ = tail.parameters.get("child", self._gateway), tail.parameters["id"]
        if id_ in self._known:  # it is being carried out, or was
            return
        self._known[id_] = None
        if len(self._known) > 1_000:
            del self._known[next(iter(self._known))]
        answer = await self._answer(device, id_, payload)
        await self._keeper.answer_command(id_, (self._report.tail(device, f"cmd/{id_}/result"), answer))

    async def _answer(self, device: str, id_: str, payload: bytes) -> bytes:
        try:
            is_new, answered = await self._keeper.begin_command(id_)
            if not is_new:
                return answered or _failed(_BEGUN)
            said = json.loads(payload)
            return succeeded(await self._carry_out(device, str(said["command"]), dict(said.get("arguments") or {})))
        except Failed as error:
            return _failed(str(error))
        except sqlite3.Error as error:
            return _failed(f"The edge's disk takes nothing ({error}); nothing was done.")
        except Exception as error:  # a mistake of ours or of a library, or what is no command at all
            log.exception("A command of %s has failed.", device)
            return _failed(f"The edge could not do this: {type(error).__name__}.")

    async def _carry_out(self, device: str, command: str, arguments: Mapping[str, Any]) -> Any:
        if device == self._gateway and command in self._own:
            return await self._own[command](arguments)
        point = self._plant.table.find(device, command)
        if point is not None and point.access == "command":
            return await self._plant.of(point).call(point, arguments)
        if not arguments:
            raise Failed(f"Nothing of {device} is called {command}; give a command arguments that name its points.")
        points = [self._written(device, metric) for metric in arguments]
        for point, value in zip(points, arguments.values(), strict=True):
            await self._plant.of(point).write(point, value)
        return None

    def _written(self, device: str, metric: str) -> Point:
        point = self._plant.table.find(device, metric)
        if point is None or not point.is_written:
            there = ", ".join(p.metric for p in self._plant.table.points if p.device == device and p.is_written)
            raise Failed(f"{device}/{metric} cannot be written; of this device there are: {there or 'none'}.")
        return point

    async def _read(self, arguments: Mapping[str, Any]) -> Any:
        """A point's value now, as it would go up."""
        point = self._tried(arguments)
        (sample, *_) = await self._plant.of(point).read_now([point])
        if sample.error is not None or sample.raw is None:
            raise Failed(sample.error or "There is no value.")
        return {"value": point.value_of(sample.raw), "raw": sample.raw, "unit": point.unit, "quality": sample.quality}

    def _tried(self, arguments: Mapping[str, Any]) -> Point:
        """A point of the table, or one that is described here. Raises Failed."""
        device, metric = str(arguments.get("device")), str(arguments.get("metric"))
        described = arguments.get("point")
        if described is None:
            point = self._plant.table.find(device, metric)
            if point is None:
                raise Failed(f"There is no point {device}/{metric}.")
            return point
        if not isinstance(described, Mapping):
            raise Failed("A point is described as in a point table: {metric, address, type, …}.")
        connection = self._plant.connection(str(arguments.get("connection", "")))
        try:
            return points.one(device, connection, document.of({"metric": metric, **described}, "the point"))
        except Wrong as wrong:
            raise Failed(str(wrong)) from None

    async def _discover(self, arguments: Mapping[str, Any]) -> Any:
        """A proposed table, as much of it as an answer may hold."""
        wanted = dict(arguments)
        skip = wanted.pop("skip", 0)
        if type(skip) is not int or skip < 0:
            raise Failed("`skip` is a whole number, 0 or more: how many were told already.")
        if skip == 0 or self._found[0] != wanted:
            narrowed = {name: value for name, value in wanted.items() if name != "connection"}
            self._found = wanted, *await self._looked(str(wanted.get("connection", "")), narrowed)
        _, found, stopped = self._found
        kept: list[dict[str, Any]] = []
        left = _ROOM_BYTES
        for proposal in found[skip:]:
            item = _short(proposal)
            left -= len(_json(item)) + 1
            if left < 0:
                break
            kept.append(item)
        told = {"points": kept, "found": len(found)}
        return {**told, "stopped": stopped[:_MOST_STOPPED]} if stopped else told

    async def _looked(self, connection: str, narrowed: Mapping[str, Any]) -> tuple[Sequence[Proposal], str]:
        """What was found, and why no more was, if something stopped it. Raises Failed."""
        try:
            return await self._plant.behind(connection).discover(narrowed), ""
        except Cut as cut:
            return cut.found, str(cut)


def succeeded(result: Any) -> bytes:
    """The answer of what was done, with what it gave; without that, if the platform would not take so much."""
    if result is None:
        return _json({"status": "succeeded"})
    answer = _json({"status": "succeeded", "result": result})
    if len(answer) <= MAX_NOTE_BYTES:
        return answer
    words = f"It was done. What it gave takes {len(answer)} bytes, and an answer has at most {MAX_NOTE_BYTES}."
    return _json({"status": "succeeded", "reason": words})


def _failed(reason: str) -> bytes:
    return _json({"status": "failed", "reason": reason[:500]})


def _short(proposal: Proposal) -> dict[str, Any]:
    return {name: value for name, value in asdict(proposal).items() if value not in (None, "")}


def _json(value: object) -> bytes:
    # a machine's own names and texts need not be Unicode
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")
