"""What lies behind a gateway: devices that speak through its session, each with a registration of its own (ADR 56).

A gateway speaks for a device that carries the label `gateway` with the gateway's key, on `up/child/{child}/…`; what it
says is the child's, as if the child had said it on `up/…`. This module finds the child, remembers who can be reached
through whom, and so is a way down to it. A message of a device without a gateway never comes here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import psycopg

from ingest import notes, statements
from ingest.adapters.base import ChildMessage, Decision, GoneReason, Presence, Verdict
from ingest.database import Database

log = logging.getLogger(__name__)

GATEWAY = "gateway"
"""The label by which a device says which gateway may speak for it."""
PREFIX = "up/child/"
STATUS = "up/status"
"""What a gateway says of a child's being reached, as the child's."""

# The label decides, whatever the gateway says. A child's presence has the epoch of its own last login: it is none.
# OFFSET 0: each is looked up by its own key, as in `ingest.directory`; else all of the tenant's devices were read.
FIND = """
SELECT w.n, d.id, coalesce(p.session_epoch, 0)
FROM unnest(%s::uuid[], %s::text[], %s::text[]) WITH ORDINALITY AS w (tenant_id, gateway, child, n)
CROSS JOIN LATERAL (
    SELECT d.tenant_id, d.id, d.status, d.labels FROM devices d
    WHERE d.tenant_id = w.tenant_id AND d.key = w.child OFFSET 0
) d
LEFT JOIN presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.id
WHERE w.child <> w.gateway AND d.labels ->> 'gateway' = w.gateway AND d.status IN ('provisioned', 'active')
"""

Heard = Callable[[Decision | Verdict | None], None]
"""Called once with the child, None when the gateway has no such child, or UNAVAILABLE."""

_AT_ONCE = 500
_PATIENCE_S = 8.0
_RETRY_S = 0.25
_UNKNOWN_S = 5.0
"""For so long a child that is not there is not looked for again."""
_MOST_UNKNOWN = 10_000


class _Key(NamedTuple):
    gateway: UUID
    child: str


class Below(Protocol):
    """Whatever holds the gateways' sessions."""

    def session(self, device_id: UUID) -> Decision | None: ...

    def listens(self, device_id: UUID, topic_tail: str) -> bool: ...

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]: ...


class Children:
    """Finds children, and says who is reached through which gateway. `ask` and `find` from the loop."""

    def __init__(
        self,
        database: Database,
        presence: Presence,
        came: Callable[[Decision], None],
        holds: Callable[[Decision], bool] = lambda _: True,
    ) -> None:
        """`came` hears of a child that can be reached from now on; `holds`: whether a gateway's session goes on."""
        self._database = database
        self._holds = holds
        self._presence = presence
        self._came = came
        self._found: dict[_Key, Decision] = {}
        self._key_of: dict[UUID, _Key] = {}
        self._unknown: dict[_Key, float] = {}
        self._waiting: dict[_Key, tuple[Decision, list[Heard]]] = {}
        self._loading: asyncio.Task[None] | None = None
        self._reached: dict[UUID, tuple[Decision, Decision]] = {}
        """By a child's id: the child, and the session of the gateway through which it is reached."""
        self._through: dict[UUID, set[UUID]] = {}
        """By a gateway's id: the children that are reached through it."""
        self._told: dict[UUID, tuple[UUID, int, bool]] = {}
        """By a child's id: the session (gateway, epoch) in which it was said whether it is reached, and what."""
        self._changes = 0

    # ── up ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, gateway: Decision, child: str, heard: Heard) -> None:
        """Find a gateway's child; `heard` is called at once if it is known, else later, in the order of asking."""
        key = _Key(gateway.device_id, child)
        known = self._found.get(key)
        if known is not None:
            heard(known)
        elif self._unknown.get(key, 0.0) > time.monotonic():
            heard(None)
        else:
            self._waiting.setdefault(key, (gateway, []))[1].append(heard)
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(self._load())

    def heard(self, message: ChildMessage) -> bool:
        """A child was heard through its gateway, and so is reached; False for a status that says nothing new."""
        child, gateway = message.device, message.gateway
        session = gateway.device_id, gateway.session_epoch
        is_status = message.topic == STATUS
        is_connected = notes.connected(message.payload) if is_status else True
        known, told = self._reached.get(child.device_id), self._told.get(child.device_id)
        if known is not None and known[1].device_id != gateway.device_id:
            known = None  # it has another gateway, of which we were not told
        if is_connected is None:
            return True  # it is to be rejected
        if is_connected and not self._holds(gateway):
            # nobody would hear that it goes: behind a broker its gateway alone tells; else this came too late
            if is_status and message.transport == "broker":
                self._told[child.device_id] = *session, True
                return told != (*session, True)
            return not is_status
        if is_status:
            self._told[child.device_id] = *session, is_connected
        elif known is None and told is not None and told[:2] == session:
            return True  # what was measured before it went may come after that was told
        if not is_connected:
            self._leave(child.device_id)
            return told != (*session, False)  # one that was never reached is offline too, and this says why
        self._leave(child.device_id)
        self._reached[child.device_id] = child, gateway
        self._through.setdefault(gateway.device_id, set()).add(child.device_id)
        if known is None or known[1].session_epoch < gateway.session_epoch:
            self._came(child)
        if known is None and not is_status:  # a status tells of it by itself
            self._presence.connected(child, message.received_at, notes.through(gateway))
        return known is None or not is_status

    def not_taken(self, message: ChildMessage) -> None:
        """A status that was heard was not stored, and will come again: then it is news still."""
        self._told.pop(message.device.device_id, None)
        self._leave(message.device.device_id)

    def gone(self, gateway: Decision, at: float, reason: GoneReason) -> None:
        """A gateway's session has ended, and with it what was reached through it."""
        for child_id in list(self._through.get(gateway.device_id, ())):
            child, by = self._reached[child_id]
            if by.session_epoch <= gateway.session_epoch:
                self._leave(child_id)
                self._presence.disconnected(child, at, reason)

    def _leave(self, child_id: UUID) -> tuple[Decision, Decision] | None:
        """A child is reached no more; it and its gateway's session, if it was."""
        known = self._reached.pop(child_id, None)
        if known is not None:
            through = self._through[known[1].device_id]
            through.discard(child_id)
            if not through:
                del self._through[known[1].device_id]
        return known

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, device_id: UUID) -> None:
        """A device has changed: whoever it was the child of, it is asked anew."""
        self._changes += 1
        self._unknown.clear()
        if (key := self._key_of.pop(device_id, None)) is not None:
            del self._found[key]
        if (known := self._leave(device_id)) is not None:
            # it may have another gateway, or none: it is reached again when this one next speaks for it
            self._presence.disconnected(known[0], time.time(), "network")

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._changes += 1
        self._found.clear()
        self._key_of.clear()
        self._unknown.clear()

    async def close(self) -> None:
        """Stop looking; whoever waits is told UNAVAILABLE."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        for key in list(self._waiting):
            self._answer(key, Verdict.UNAVAILABLE)
        await self._database.drop()

    # ── the database ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_S
        while self._waiting:
            asked = [(key, gateway) for key, (gateway, _) in list(self._waiting.items())[:_AT_ONCE]]
            changes = self._changes
            try:
                found = await self._read(asked)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("ingest.children_unavailable", extra={"error": type(error).__name__})
                await self._database.drop()
                if loop.time() > until:
                    for key, _ in asked:
                        self._answer(key, Verdict.UNAVAILABLE)
                await asyncio.sleep(_RETRY_S)
                continue
            if changes != self._changes and loop.time() < until:
                continue  # what was read may be older than the change that was just told
            until = loop.time() + _PATIENCE_S
            for key, _ in asked:
                self._answer(key, found.get(key))

    async def _read(self, asked: list[tuple[_Key, Decision]]) -> dict[_Key, Decision]:
        wanted = (
            [gateway.tenant_id for _, gateway in asked],
            [gateway.device for _, gateway in asked],
            [key.child for key, _ in asked],
        )
        async with self._database.transaction() as connection:
            await statements.enter(connection, {gateway.tenant_id for _, gateway in asked})
            rows: list[Any] = await (await connection.execute(FIND, wanted)).fetchall()
            await connection.execute("COMMIT")
        found: dict[_Key, Decision] = {}
        for n, device_id, epoch in rows:
            key, gateway = asked[n - 1]
            found[key] = replace(gateway, device_id=device_id, device=key.child, session_epoch=epoch, expires_at=None)
        return found

    def _answer(self, key: _Key, answer: Decision | Verdict | None) -> None:
        if isinstance(answer, Decision):
            self._found[key] = answer
            self._key_of[answer.device_id] = key
        elif answer is None:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[key] = time.monotonic() + _UNKNOWN_S
        for heard in self._waiting.pop(key)[1]:
            heard(answer)

    # ── down ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def reached(self) -> Iterable[tuple[Decision, Decision]]:
        """Every child that is reached now, with its gateway's session."""
        return self._reached.values()

    def gateway_of(self, child_id: UUID) -> tuple[Decision, Decision] | None:
        """A child that is reached, and its gateway's session."""
        return self._reached.get(child_id)


class ThroughGateways:
    """The way down to children: `senders.Way` over the sessions of their gateways."""

    is_shared = False

    def __init__(self, children: Children, below: Below) -> None:
        self._children = children
        self._below = below

    def sessions(self) -> Iterator[Decision]:
        """Who can be reached."""
        for child, gateway in self._children.reached():
            if self._below.session(gateway.device_id) is not None:
                yield child

    def session(self, device_id: UUID) -> Decision | None:
        """The child, if its gateway is here."""
        known = self._children.gateway_of(device_id)
        return known[0] if known is not None and self._below.session(known[1].device_id) is not None else None

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the child's gateway would take this now."""
        known = self._children.gateway_of(device_id)
        return known is not None and self._below.listens(known[1].device_id, _through(known[0], topic_tail))

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Send to a child whose gateway listens."""
        known = self._children.gateway_of(device_id)
        if known is None:
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            answer.set_result(False)
            return answer
        return self._below.send(known[1].device_id, _through(known[0], topic_tail), payload, qos)


def _through(child: Decision, topic_tail: str) -> str:
    """`down/cmd/7` of a child, as its gateway hears it: `down/child/{child}/cmd/7`."""
    return f"down/child/{child.device}/{topic_tail.removeprefix('down/')}"


class WithChildren:
    """A `Presence` that lets a gateway's children go with it."""

    def __init__(self, presence: Presence, children: Children) -> None:
        self._children = children
        self._presence = presence
        self.connected = presence.connected

    def disconnected(self, device: Decision, at: float, reason: GoneReason) -> None:
        """A device's connection ended at `at` (unix seconds)."""
        self._children.gone(device, at, reason)
        self._presence.disconnected(device, at, reason)
