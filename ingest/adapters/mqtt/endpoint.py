"""The MQTT server for devices: listens, knows every live session by its device, cuts, sends down, drains at the end."""

from __future__ import annotations

import asyncio
import importlib
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final, cast
from uuid import UUID

from ingest.adapters.base import Authorizer, Decision, Doorway, GoneReason, Presence, Uplink
from ingest.adapters.mqtt.connection import Connection
from ingest.adapters.mqtt.counters import Counters
from ingest.adapters.mqtt.limits import MqttLimits
from ingest.adapters.mqtt.packets import V5
from ingest.adapters.mqtt.reasons import Reason
from ingest.adapters.mqtt.session import Session
from ingest.adapters.mqtt.wheel import Wheel

log = logging.getLogger(__name__)

_LAST_WORDS: Final[dict[GoneReason, tuple[Reason, str]]] = {
    "take_over": (Reason.SESSION_TAKEN_OVER, "The device has connected again."),
    "suspended": (Reason.ADMINISTRATIVE_ACTION, "The device is suspended."),
    "revoked": (Reason.ADMINISTRATIVE_ACTION, "The credential was revoked."),
    "expired": (Reason.MAXIMUM_CONNECT_TIME, "The credential has expired; connect with a new one."),
}
"""What a client of 5.0 is told when its session is cut."""


class MqttEndpoint:
    """Terminates MQTT 3.1.1 and 5.0. Everything happens on the loop that ran `start`.

    `on_refused(device, why)` hears of messages that never reach the uplink (wrong topic), for the counters of D3;
    `on_subscribed(device)` hears that a device is ready to be sent what waits for it.
    """

    is_shared = False

    def __init__(
        self,
        authorizer: Authorizer,
        uplink: Uplink,
        presence: Presence,
        limits: MqttLimits | None = None,
        *,
        on_refused: Callable[[Decision, str], None] | None = None,
        on_subscribed: Callable[[Decision], None] | None = None,
        doorway: Doorway | None = None,
    ) -> None:
        self.doorway = doorway
        """Where newcomers introduce themselves; None where there is none, and nobody may."""
        self.authorizer = authorizer
        self.uplink = uplink
        self.presence = presence
        self.limits = limits or MqttLimits()
        self.counters = Counters()
        self.undecided = 0
        """Messages handed to the uplink without a verdict."""
        self.port = 0
        """The port of the first listener."""
        self._on_refused = on_refused
        self._on_subscribed = on_subscribed
        self._servers: list[asyncio.Server] = []
        self._sessions: dict[UUID, Session] = {}
        self._unauthenticated: set[Connection] = set()
        self._visits: dict[Connection, str] = {}  # those of them that introduce themselves, and their tenants
        self._silent: dict[Connection, None] = {}  # those of them without a CONNECT, in the order they came
        self._open: set[Connection] = set()
        self._news: list[Session] = []
        self._held: dict[Connection, None] = {}
        self.is_waiting = False
        """The uplink is full: whoever publishes now gets in line."""
        self._drained = asyncio.Event()
        self._empty = asyncio.Event()
        self._stopping = False

    # ── for the process that runs it ────────────────────────────────────────────────────────────────────────────────

    async def start(
        self,
        host: str,
        port: int,
        ssl: ssl.SSLContext | None = None,
        *,
        in_websockets: bool = False,
        reuse_port: bool = False,
    ) -> int:
        """Listen (0: any free port) and return the port. May be called again, say for TLS beside plain TCP.

        `reuse_port`: other processes may listen there too, and each new connection goes to one of them.
        """
        if not self._servers:
            self.loop = asyncio.get_running_loop()
            self.wheel = Wheel(self.loop, self.limits.tick_s)
        patience_s = self.limits.connect_timeout_s if ssl is not None else None
        server = await self.loop.create_server(
            await self._protocol(in_websockets),
            host,
            port,
            ssl=ssl,
            backlog=4096,
            ssl_handshake_timeout=patience_s,
            reuse_port=reuse_port,
        )
        self._servers.append(server)
        port = int(server.sockets[0].getsockname()[1])
        self.port = self.port or port
        return port

    async def _protocol(self, in_websockets: bool) -> Callable[[], asyncio.Protocol]:
        if not in_websockets:
            return lambda: Connection(self)
        # not at the top: whoever speaks plain MQTT need not wait for it when the process starts
        module = await asyncio.to_thread(importlib.import_module, "ingest.adapters.mqtt.websocket")
        return lambda: cast(asyncio.Protocol, module.WebSocket(self))

    async def stop(self) -> None:
        """Stop accepting and reading, wait for the verdicts still out, say goodbye (0x8B in 5.0), close."""
        self._stopping = True
        self.loop.call_soon(self._acknowledge)
        for server in self._servers:
            server.close()
        for connection in list(self._open):
            connection.hold(Connection.END)
        if not await self._until(self._drained, self.limits.drain_s):
            log.warning("mqtt.drain_timeout", extra={"undecided": self.undecided})
        if not self._open:
            self._empty.set()
        for connection in list(self._open):
            connection.close("shutdown", Reason.SERVER_SHUTTING_DOWN)
        await self._until(self._empty, 1.0)
        for connection in list(self._open):
            connection.abort()
        self.wheel.stop()

    async def _until(self, event: asyncio.Event, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(event.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    @property
    def live(self) -> int:
        """Devices logged in."""
        return len(self._sessions)

    @property
    def connections(self) -> int:
        """Open sockets: devices, strangers, and those who have our last words but have not closed yet."""
        return len(self._open)

    @property
    def unauthenticated(self) -> int:
        """Connections that have not logged in."""
        return len(self._unauthenticated)

    def sessions(self) -> list[Decision]:
        """Who is logged in: what must be checked again after news may have been missed (DESIGN §3.11)."""
        return [session.device for session in self._sessions.values()]

    def session(self, device_id: UUID) -> Decision | None:
        """The device's login, if it is connected here."""
        session = self._sessions.get(device_id)
        return None if session is None else session.device

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the device is connected here and has subscribed to this topic, for example "down/cmd/7"."""
        session = self._sessions.get(device_id)
        return session is not None and session.granted_qos(topic_tail) is not None

    def cut(self, device_id: UUID, reason: GoneReason = "revoked", below_epoch: int | None = None) -> bool:
        """Close a device's session at once, if it has one here (and its epoch is below `below_epoch`, if given)."""
        session = self._sessions.get(device_id)
        if session is None or (below_epoch is not None and session.device.session_epoch >= below_epoch):
            return False
        session.connection.close(reason, *_LAST_WORDS.get(reason, (Reason.ADMINISTRATIVE_ACTION, "")))
        return True

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Send to a device, for example topic "down/cmd/7". The result becomes True once it is delivered.

        Delivered means acknowledged by the device for QoS 1, written for QoS 0 (also if the device subscribed with
        QoS 0 only). False: not connected here, not subscribed to this topic, too slow, refused, gone before its PUBACK.
        """
        answer: asyncio.Future[bool] = self.loop.create_future()
        session = self._sessions.get(device_id)
        if session is None:
            answer.set_result(False)
        elif session.send(topic_tail, payload, qos, answer):
            self.counters.messages_out += 1
        return answer

    # ── for its connections ─────────────────────────────────────────────────────────────────────────────────────────

    def came(self, connection: Connection) -> bool:
        """A connection opened. When the house is full, the longest silent stranger gives way, else the newcomer.

        Whoever has sent its CONNECT is never put out: a fleet that comes back at once gets in, a part at a time.
        """
        self.counters.accepted += 1
        self._open.add(connection)
        self._unauthenticated.add(connection)
        self._silent[connection] = None
        limits = self.limits
        is_full = len(self._open) > limits.max_connections or len(self._unauthenticated) > limits.max_unauthenticated
        if not is_full and not self._stopping:
            return True
        turned_away = connection if self._stopping else self._least_missed(connection)
        self.counters.turned_away += 1
        turned_away.abort()
        return turned_away is not connection

    def _least_missed(self, newcomer: Connection) -> Connection:
        oldest = next(iter(self._silent))
        return oldest if newcomer.opened_at - oldest.opened_at >= self.limits.silence_s else newcomer

    def spoke(self, connection: Connection) -> None:
        """A stranger has sent its CONNECT."""
        self._silent.pop(connection, None)

    def enter(self, session: Session) -> bool:
        """Take a session in, ending an older one of the same device; False if a younger one is here already."""
        older = self._sessions.get(session.device.device_id)
        if older is not None:
            if older.device.session_epoch > session.device.session_epoch:
                return False
            older.connection.close("take_over", *_LAST_WORDS["take_over"])
        self._sessions[session.device.device_id] = session
        return True

    def visited(self, connection: Connection) -> bool:
        """A newcomer wants to introduce itself; False when there are too many at the moment."""
        from_there = sum(visit.address == connection.address for visit in self._visits)
        if len(self._visits) >= self.limits.max_visits or from_there >= self.limits.max_visits_each:
            return False
        self._visits[connection] = ""
        return True

    def greeted(self, connection: Connection, tenant: str) -> bool:
        """It has shown a way in of this tenant; False when the tenant has its share of visits already."""
        if sum(each == tenant for each in self._visits.values()) >= self.limits.max_visits_each:
            return False
        self._visits[connection] = tenant
        return True

    def entered(self, connection: Connection, session: Session) -> None:
        """The CONNACK is written: tell who watches."""
        self._unauthenticated.discard(connection)
        detail = {
            "protocol": "5.0" if connection.level == V5 else "3.1.1",
            "client_id": session.terms.client_id,
            "address": connection.address,
            "keep_alive_s": session.terms.keep_alive_s,
        }
        self.presence.connected(session.device, time.time(), detail)

    def left(self, connection: Connection, reason: GoneReason) -> None:
        """A connection's session ended, or it never had one."""
        self._unauthenticated.discard(connection)
        self._silent.pop(connection, None)
        self._held.pop(connection, None)
        session = connection.session
        if session is None:
            self._visits.pop(connection, None)
            self.counters.closed["unauthenticated"] += 1
            return
        self.counters.closed[reason] += 1
        if self._sessions.get(session.device.device_id) is session:
            del self._sessions[session.device.device_id]
        log.debug("mqtt.session_ended", extra={"device": str(session.device.device_id), "reason": reason})
        session.end(reason)
        self.presence.disconnected(session.device, time.time(), reason)

    def gone(self, connection: Connection) -> None:
        """Its socket is closed."""
        self._open.discard(connection)
        if self._stopping and not self._open:
            self._empty.set()

    def expiry(self, device: Decision) -> float:
        """When a login's credential ends, by the loop's clock."""
        if device.expires_at is None:
            return float("inf")
        return self.loop.time() + device.expires_at - time.time()

    def refused(self, device: Decision, why: str) -> None:
        """A message was refused before it reached the uplink."""
        self.counters.refused += 1
        if self._on_refused is not None:
            self._on_refused(device, why)

    def subscribed(self, device: Decision) -> None:
        """A device is ready for what waits for it."""
        if self._on_subscribed is not None:
            self._on_subscribed(device)

    def has_news(self, session: Session) -> None:
        """Verdicts arrived: answer all sessions once, on the next turn of the loop."""
        session.has_news = True
        if not self._news:
            self.loop.call_soon(self._acknowledge)
        self._news.append(session)

    def _acknowledge(self) -> None:
        news, self._news = self._news, []
        for session in news:
            session.acknowledge()
        if self._stopping and not self.undecided:
            self._drained.set()

    def wait_for_uplink(self, connection: Connection) -> None:
        """Read nothing from this connection until the uplink has room."""
        connection.hold(Connection.UPLINK)
        self._held[connection] = None
        self._wait()

    def _wait(self) -> None:
        if not self.is_waiting:
            self.is_waiting = True
            self.uplink.when_drained(self._read_on)

    def _read_on(self) -> None:
        """The uplink has room: read on, in the order of holding, as long as it has."""
        self.is_waiting = False
        while self._held and not self.uplink.is_full:
            connection = next(iter(self._held))
            del self._held[connection]
            connection.release(Connection.UPLINK)
        if self._held:
            self._wait()
