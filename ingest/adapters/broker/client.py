"""A connection to a broker that outlives its breaks, by paho: what comes is acknowledged by hand, and only by number.

paho runs in a thread of its own; its callbacks hand on to the loop. An acknowledgement belongs to the connection on
which the message came: on the next one the same packet id may be another message's.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM: Final = 1_000
"""Messages that the broker may have on their way to us without an acknowledgement."""
SESSION_S: Final = 3_600
"""So long the broker keeps what was not acknowledged, when this process is away: longer than any restart."""
KEEPALIVE_S: Final = 60
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
MAX_PACKET_BYTES: Final = 1024 * 1024
"""What is larger the broker is told not to send, and drops: no message of a device may be, and none is held here."""
SUBSCRIBE_AGAIN_S: Final = 30.0
"""So long after a refused subscription it is asked for again: somebody may have given us the right meanwhile."""
_NO_SUBSCRIBER: Final = 0x10
_PAUSE_S: Final = 0.02


class Address(NamedTuple):
    """Where the broker is, and who we are there."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


@dataclass(slots=True, eq=False)
class Delivery:
    """One message as it came; `connection` is the number of the connection on which it did."""

    topic: str
    payload: bytes
    mid: int
    is_repeat: bool
    connection: int
    qos: int
    received_at: float = field(default_factory=time.time)


class Client(Protocol):
    """What the adapter asks of a client library; `taken` hears deliveries on the loop, in their order."""

    is_connected: bool

    @property
    def is_alive(self) -> bool:
        """Whether it goes on trying."""
        ...

    def start(self, subscription: str, taken: Callable[[Delivery], None]) -> None:
        """Connect, and again whenever the connection breaks."""
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """The message is not to be delivered again; does nothing when its connection is no more."""
        ...

    def done(self, delivery: Delivery) -> None:
        """It takes no place here any more, acknowledged or not."""
        ...

    def publish(self, topic: str, payload: bytes) -> asyncio.Future[bool]:
        """Publish with QoS 1; whether the broker took it for somebody."""
        ...

    def pause(self) -> None:
        """Take nothing more."""
        ...

    async def stop(self) -> None:
        """Leave; the broker keeps the session."""
        ...


class PahoClient:
    """A `Client` by paho-mqtt, in MQTT 5."""

    def __init__(self, address: Address, most: int = RECEIVE_MAXIMUM, most_bytes: int = MAX_WAITING_BYTES) -> None:
        self._address = address
        self._most = most
        self._most_bytes = most_bytes
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._connection = 0
        self._came: deque[Delivery] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_paused = False
        self._published: dict[int, asyncio.Future[bool]] = {}
        self._paho = self._made()
        self._subscription = ""
        self._taken: Callable[[Delivery], None] = _ignore
        self.is_connected = False

    def start(self, subscription: str, taken: Callable[[Delivery], None]) -> None:
        """Connect in the background; the first try is as patient as every other."""
        self._subscription, self._taken = subscription, taken
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = SESSION_S
        lasting.ReceiveMaximum = self._most
        lasting.MaximumPacketSize = MAX_PACKET_BYTES
        host, port = self._address.host, self._address.port
        self._paho.connect_async(host, port, KEEPALIVE_S, clean_start=False, properties=lasting)
        self._paho.loop_start()

    def acknowledge(self, delivery: Delivery) -> None:
        """Send a PUBACK, if it is still the same connection."""
        with self._lock:
            if delivery.connection == self._connection and self.is_connected and delivery.qos:
                self._paho.ack(delivery.mid, delivery.qos)

    def done(self, delivery: Delivery) -> None:
        """Make room for another."""
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= len(delivery.payload)

    def publish(self, topic: str, payload: bytes) -> asyncio.Future[bool]:
        """Publish; False at once where there is no connection."""
        answer: asyncio.Future[bool] = self._loop.create_future()
        sent = self._paho.publish(topic, payload, 1) if self.is_connected else None
        if sent is None or sent.rc != paho.MQTT_ERR_SUCCESS:
            answer.set_result(False)
        else:
            self._published[sent.mid] = answer
        return answer

    def pause(self) -> None:
        """What comes from now on is left with the broker."""
        self._is_paused = True

    async def stop(self) -> None:
        """Say goodbye, which ends no session that is to last, and wait for the thread."""
        self._is_paused = True
        self._paho.disconnect()
        await asyncio.to_thread(self._paho.loop_stop)
        self._give_up()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        thread = self._paho._thread
        return thread is not None and thread.is_alive()

    # ── in paho's thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _made(self) -> paho.Client:
        made = paho.Client(CallbackAPIVersion.VERSION2, self._address.client_id, protocol=paho.MQTTv5, manual_ack=True)
        made.reconnect_delay_set(1, 30)
        if self._address.username is not None:
            made.username_pw_set(self._address.username, self._address.password)
        if self._address.tls is not None:
            made.tls_set_context(self._address.tls)
        made.suppress_exceptions = True
        made.on_connect, made.on_disconnect = self._connected, self._disconnected
        made.on_message, made.on_publish, made.on_subscribe = self._message, self._heard, self._subscribed
        made.on_connect_fail = self._unreachable
        return made

    def _connected(self, _: paho.Client, __: Any, flags: paho.ConnectFlags, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            log.error("broker.refused", extra={"broker": self._address.host, "reason": str(reason)})
            return
        with self._lock:
            self.is_connected = True
        log.info("broker.connected", extra={"broker": self._address.host, "session": flags.session_present})
        self._subscribe()

    def _subscribe(self) -> None:
        self._paho.subscribe(self._subscription, options=SubscribeOptions(qos=1, retainHandling=2))

    def _subscribed(self, _: Any, __: Any, ___: int, reasons: Any, ____: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                said = {"broker": self._address.host, "filter": self._subscription, "reason": str(reason)}
                log.error("broker.subscription_refused", extra=said)
                self._loop.call_soon_threadsafe(self._subscribe_later, self._connection)

    def _unreachable(self, *_: object) -> None:
        log.warning("broker.unreachable", extra={"broker": self._address.host, "port": self._address.port})

    def _disconnected(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        with self._lock:
            was_connected, self.is_connected = self.is_connected, False
            self._connection += 1
        if was_connected:
            log.warning("broker.disconnected", extra={"broker": self._address.host, "reason": str(reason)})
            self._loop.call_soon_threadsafe(self._give_up)

    def _message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        """Hand on; beyond the bound nothing more is read from the socket until something was decided."""
        while not self._is_paused and (self._waiting >= self._most or self._waiting_bytes >= self._most_bytes):
            time.sleep(_PAUSE_S)
        if self._is_paused:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        delivery = Delivery(topic, bytes(message.payload), message.mid, message.dup, self._connection, message.qos)
        with self._lock:
            self._waiting += 1
            self._waiting_bytes += len(delivery.payload)
            self._came.append(delivery)
            is_first = len(self._came) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._hand_on)

    def _heard(self, _: Any, __: Any, mid: int, reason: Any, ___: Any) -> None:
        is_taken = not reason.is_failure and reason.value != _NO_SUBSCRIBER
        self._loop.call_soon_threadsafe(self._resolve, mid, is_taken)

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _subscribe_later(self, connection: int) -> None:
        self._loop.call_later(SUBSCRIBE_AGAIN_S, self._subscribe_again, connection)

    def _subscribe_again(self, connection: int) -> None:
        if connection == self._connection and self.is_connected and not self._is_paused:  # a new one has asked itself
            self._subscribe()

    def _hand_on(self) -> None:
        with self._lock:
            came, self._came = self._came, deque()
        for delivery in came:
            self._taken(delivery)

    def _resolve(self, mid: int, is_taken: bool) -> None:
        answer = self._published.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(is_taken)

    def _give_up(self) -> None:
        """Nobody knows what became of what was published and not confirmed."""
        for mid in list(self._published):
            self._resolve(mid, False)


def _ignore(_: Delivery) -> None:
    pass
