"""The platform's side of an edge: sends what lies in the spool, in order, and hears what is asked of the machines.

One session after another, each with a client of its own. An entry leaves the spool when the platform has confirmed it,
which it does after COMMIT; what was not confirmed is sent again in the next session, and the platform knows it by its
time. At most `WINDOW` entries are on their way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.edge import away
from ingest.edge.config import Platform
from ingest.edge.keeper import Keeper
from ingest.edge.plant import pause_s
from ingest.edge.spool import Entry
from ingest.edge.wall import Wall
from schema.wire import topics
from schema.wire.payloads import TIME_PROPERTY

log = logging.getLogger(__name__)

WINDOW = 50
KEEP_ALIVE_S = 30
_ANSWER_S = 20.0
_STEADY_S = 30.0
_MOST_BYTES = 2**28
_HEADER_BYTES = 16
"""Of a packet beside topic and payload, at most."""
_NOT_STORED, _QUOTA = 0x80, 0x97
_QUOTA_PAUSE_S = 1.0
_TOLD_S = 60.0

Heard = Callable[[str, bytes], Awaitable[None]]


class Broken(Exception):
    """The session is over, or could not begin; the message says why."""


class Line:
    """Keeps a session with the platform. `run` until cancelled.

    `heard` is awaited with each message's tail ("down/cmd/…") and payload, which is confirmed when it returns; `began`
    is called when a session stands.
    """

    def __init__(self, platform: Platform, keeper: Keeper, heard: Heard, began: Callable[[], None], wall: Wall) -> None:
        self.wall = wall
        self._platform = platform
        self._keeper = keeper
        self._heard = heard
        self._began = began
        self._why = ""
        self._told_at: dict[tuple[str, str], float] = {}
        self._session: _Session | None = None
        self.is_up = False
        self.refused = 0
        """Messages that the platform did not take, since this process began."""
        self.confirmed = 0
        """Messages of which the platform has said what became of them."""

    async def run(self) -> None:
        """Keep a session until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                self._session = _Session(self, self._platform, self._keeper, self._heard)
                await self._session.run(self._stands)
            except (Broken, OSError, ValueError) as error:  # ValueError: a host or token that cannot be one
                why = away.words(error, self._platform)
                if why != self._why:
                    log.warning("The platform is away: %s. Readings wait on the disk.", why)
                self._why = why
            self.is_up = False
            failures = 1 if time.monotonic() - began > _STEADY_S else failures + 1
            await asyncio.sleep(pause_s(failures))

    def tell(self, tail: str, payload: bytes) -> bool:
        """Send what lies nowhere else, once; whether there was a session to send it in."""
        return self.is_up and self._session is not None and self._session.tell(tail, payload)

    def is_refused(self, topic: str, reason: str) -> None:
        """The platform does not take a message, and never will; each topic's reason is told once a minute."""
        self.refused += 1
        if self._told_at.get((topic, reason), -_TOLD_S) + _TOLD_S <= time.monotonic():
            self._told_at[topic, reason] = time.monotonic()
            log.warning("The platform does not take what comes on %s: %s", topic, reason)

    def _stands(self) -> None:
        self.is_up, self._why = True, ""
        log.info("Connected to the platform; %d messages wait to be sent.", self._keeper.spool.count)
        self._began()


class _Session:
    """One connection, from CONNECT to its end. paho runs in a thread; what it tells comes to the loop."""

    def __init__(self, line: Line, platform: Platform, keeper: Keeper, heard: Heard) -> None:
        self._line = line
        self._platform = platform
        self._keeper = keeper
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[int] = self._loop.create_future()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._home = topics.PREFIX.format(tenant=platform.tenant, device=platform.device)
        self._on_their_way: dict[int, Entry] = {}
        self._most_bytes = _MOST_BYTES
        self._paused = 0
        """Entries that were above the quota, and are sent again in a moment."""
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        username = topics.username(platform.tenant, platform.device)
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            username.replace("/", "-"),
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.username_pw_set(username, platform.token() or None)
        if (tls := platform.tls()) is not None:
            client.tls_set_context(tls)
        client.on_connect = lambda _c, _u, _f, code, answer: self._tell(self._on_connect, code, answer)
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._tell(self._on_subscribe, codes)
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._tell(self._hung_up, str(code))
        client.on_publish = lambda _c, _u, mid, code, answer: self._tell(self._on_publish, mid, code, answer)
        client.on_message = lambda _c, _u, message: self._tell(self._on_message, message)
        client.max_inflight_messages_set(0)  # bounded here
        self._client = client

    async def run(self, stands: Callable[[], None]) -> None:
        """Until the connection ends; always raises Broken or OSError."""
        try:
            window = await self._connect()
            stands()
            sending = self._go(self._send(window))
            await asyncio.wait([sending, self._ended], return_when=asyncio.FIRST_COMPLETED)
            (self._ended if self._ended.done() else sending).result()
        finally:
            await self._close()

    async def _connect(self) -> int:
        """Log in and listen; how many messages may be on their way. Raises Broken or OSError."""
        where = self._platform.host, self._platform.port
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        await asyncio.to_thread(
            self._client.connect, *where, keepalive=KEEP_ALIVE_S, clean_start=True, properties=properties
        )
        self._client.loop_start()
        try:
            async with asyncio.timeout(_ANSWER_S):
                window: int = await self._or_end(self._connected)
                self._client.subscribe(self._home + "down/#", qos=1)
                await self._or_end(self._subscribed)
        except TimeoutError:
            raise Broken(f"{where[0]}:{where[1]} does not answer") from None
        return window

    async def _or_end(self, awaited: asyncio.Future[Any]) -> Any:
        await asyncio.wait([awaited, self._ended], return_when=asyncio.FIRST_COMPLETED)
        return awaited.result() if awaited.done() else self._ended.result()

    async def _send(self, window: int) -> None:
        """Whatever lies in the spool, the oldest first."""
        last = 0
        while True:
            while self._undecided > window // 2:  # several are read at once
                self._room.clear()
                await self._room.wait()
            self._keeper.news.clear()
            entries = await self._keeper.after(last, window - self._undecided)
            for entry in entries:
                last = entry.id
                self._publish(entry)
            if not entries:
                await self._keeper.news.wait()

    @property
    def _undecided(self) -> int:
        return len(self._on_their_way) + self._paused

    def _publish(self, entry: Entry) -> None:
        size = len(self._home) + len(entry.topic) + len(entry.payload) + _HEADER_BYTES
        if size > self._most_bytes:  # the platform would hang up, and again each time
            self._line.is_refused(entry.topic, f"a message has {self._most_bytes} bytes at most, this one {size}.")
            self._keeper.sent(entry.id)
            return
        told = self._client.publish(self._home + entry.topic, entry.payload, qos=1)
        if told.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(f"the connection has ended ({mqtt.error_string(told.rc)})")
            return
        self._on_their_way[told.mid] = entry

    def tell(self, tail: str, payload: bytes) -> bool:
        """Send what lies nowhere else; False when the connection has ended."""
        return self._client.publish(self._home + tail, payload, qos=1).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_connect(self, code: Any, answer: Any) -> None:
        if self._connected.done():
            return
        if code.is_failure:
            reason = getattr(answer, "ReasonString", "") or str(code)
            self._end(f"it does not let us in ({reason}): look at `platform`, the token and the device")
        else:
            self._line.wall.hear(_time_of(answer))
            self._most_bytes = getattr(answer, "MaximumPacketSize", _MOST_BYTES)
            self._connected.set_result(min(WINDOW, getattr(answer, "ReceiveMaximum", WINDOW)))

    def _on_subscribe(self, codes: Any) -> None:
        if not self._subscribed.done():
            self._subscribed.set_result(None)

    def _on_publish(self, mid: int, code: Any, answer: Any) -> None:
        entry = self._on_their_way.pop(mid, None)
        if entry is None:
            return
        if code.value == _QUOTA:
            self._paused += 1
            self._loop.call_later(_QUOTA_PAUSE_S, self._again, entry)
            return
        if code.value >= _NOT_STORED:
            self._line.is_refused(entry.topic, getattr(answer, "ReasonString", "") or str(code))
        self._line.confirmed += 1
        self._keeper.sent(entry.id)
        self._room.set()

    def _again(self, entry: Entry) -> None:
        self._paused -= 1
        if not self._ended.done():
            self._publish(entry)

    def _on_message(self, message: Any) -> None:
        if message.topic.startswith(self._home):
            self._go(self._hear(message.topic[len(self._home) :], message))

    async def _hear(self, tail: str, message: Any) -> None:
        await self._heard(tail, bytes(message.payload))
        self._client.ack(message.mid, message.qos)

    def _go(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, what: Callable[..., None], *said: Any) -> None:
        """From paho's thread to the loop, which may be gone by then."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *said)

    def _hung_up(self, said: str) -> None:
        has_begun = self._connected.done()
        self._end(f"the connection has ended ({said})" if has_begun else away.hung_up(self._platform))

    def _end(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(Broken(why))

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        for waiting in (self._ended, self._connected, self._subscribed):
            if waiting.done() and not waiting.cancelled():
                waiting.exception()  # heard
            waiting.cancel()


def _time_of(answer: Any) -> int | None:
    """What time it is by the platform's CONNACK; None from another broker, which does not say."""
    said = dict(getattr(answer, "UserProperty", ())).get(TIME_PROPERTY, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
