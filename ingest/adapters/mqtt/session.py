"""A logged-in device on its connection: what it publishes, the receipts it is owed, what it subscribed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ingest.adapters.base import Decision, GoneReason, Message, Verdict
from ingest.adapters.mqtt import topics
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.inbound import Aliases, Unreleased
from ingest.adapters.mqtt.login import Terms
from ingest.adapters.mqtt.outbound import Outbound
from ingest.adapters.mqtt.packets import (
    V5,
    Puback,
    Pubcomp,
    Publish,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from ingest.adapters.mqtt.properties import NONE, Property, explained
from ingest.adapters.mqtt.reasons import ProtocolError, Reason
from ingest.adapters.mqtt.receipts import NO, WRONG_TOPIC, Receipt, Record

if TYPE_CHECKING:
    from ingest.adapters.mqtt.connection import Connection

_WITHOUT_WILL: Final[frozenset[GoneReason]] = frozenset(
    {"client", "revoked", "suspended", "expired", "shutdown", "unavailable"}
)
"""Ends after which no will is published: the client's goodbye, a right that is gone, and what is our doing, not its."""


class Session:
    """Lives from CONNACK to the end of its connection; holds no socket and keeps no time."""

    __slots__ = (
        "_aliases",
        "_first",
        "_is_full",
        "_last",
        "_outbound",
        "_subscriptions",
        "_tail",
        "_topic",
        "_undecided_bytes",
        "_unreleased",
        "_yes_up_to",
        "allowance",
        "connection",
        "device",
        "has_news",
        "home",
        "terms",
        "undecided",
        "will",
    )

    def __init__(self, connection: Connection, device: Decision, terms: Terms, will: Will | None) -> None:
        self.connection = connection
        self.device = device if connection.level == V5 else replace(device, is_paced=True)
        self.allowance = connection.endpoint.uplink.allowance(device)
        self.terms = terms
        self.will = will
        self.home = topics.home(device)
        self.undecided = 0
        self.has_news = False
        self._undecided_bytes = 0
        self._is_full = False
        self._first: Receipt | None = None  # a chain of receipts not yet answered: an idle session owns no container
        self._last: Receipt | None = None
        self._outbound: Outbound | None = None
        self._subscriptions: dict[str, int] | None = None
        self._aliases: Aliases | None = None
        self._unreleased: Unreleased | None = None
        # 3.1.1 has no word for a rejection: it is acknowledged, and lies in the inbox
        self._yes_up_to: int = Verdict.DUPLICATE if connection.level == V5 else Verdict.REJECTED
        self._topic = ""
        self._tail = ""

    # ── up ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, packet: Publish) -> None:
        """Hand a message to the uplink; stop reading the connection when it has too much undecided."""
        connection = self.connection
        endpoint = connection.endpoint
        if endpoint.is_waiting:
            connection.postpone(packet)
            return
        counters, limits = endpoint.counters, endpoint.limits
        payload, qos, packet_id = packet.payload, packet.qos, packet.packet_id
        size = len(payload)
        counters.messages_in += 1
        counters.bytes_in += size
        if (qos == 2 or packet.properties is not NONE) and not self._is_new(packet):
            return
        if packet.topic is not self._topic and not self._turn_to(packet.topic):
            self._refuse_topic(packet)
            return
        receipt = Receipt(self, packet_id, size) if qos < 2 else self._begin(packet_id or 0, size)
        if packet_id is not None:
            self._append(receipt)
        self.undecided += 1
        self._undecided_bytes += size
        endpoint.undecided += 1
        uplink = endpoint.uplink
        uplink.submit(Message(self.device, self._tail, payload, qos, time.time(), packet.dup, packet_id), receipt)
        if self.allowance.is_short:
            connection.hold(connection.QUOTA)
            self.allowance.wait(partial(connection.release, connection.QUOTA))
        if self.undecided >= limits.in_flight or self._undecided_bytes >= limits.in_flight_bytes:
            self._is_full = True
            connection.hold(connection.WINDOW)
        if uplink.is_full:
            endpoint.wait_for_uplink(connection)

    def decided(self, size: int, verdict: Verdict) -> None:
        """A verdict arrived: answered with all others of this turn of the loop."""
        endpoint = self.connection.endpoint
        self.undecided -= 1
        self._undecided_bytes -= size
        endpoint.undecided -= 1
        if verdict is Verdict.NOT_AUTHORISED or verdict is Verdict.QUOTA:
            endpoint.counters.refused += 1
        if not self.has_news:
            endpoint.has_news(self)

    def acknowledge(self) -> None:
        """Write the receipts that are due, in order and at once, and read on if there is room again."""
        self.has_news = False
        connection = self.connection
        if connection.is_closed:
            return
        out = b""
        yes_up_to = self._yes_up_to
        acknowledged = 0
        receipt = self._first
        while receipt is not None and (verdict := receipt.verdict) is not None:
            if verdict is Verdict.STORED or verdict <= yes_up_to:
                out += receipt.YES + (receipt.packet_id or 0).to_bytes(2, "big")
            elif verdict in NO and connection.level == V5:
                out += receipt.no(verdict, wants_reasons=self.terms.wants_reasons)
            else:
                break
            acknowledged += 1
            receipt = receipt.next
        self._first = receipt
        connection.endpoint.counters.acknowledged += acknowledged
        if out:
            connection.write(out)
        if receipt is not None and receipt.verdict is not None:
            self._give_up(receipt.verdict)
        elif self._is_full:
            self._look_for_room()

    def _look_for_room(self) -> None:
        limits = self.connection.endpoint.limits
        if self.undecided <= limits.in_flight // 2 and self._undecided_bytes <= limits.in_flight_bytes // 2:
            self._is_full = False
            self.connection.release(self.connection.WINDOW)

    def may_leave_will(self) -> bool:
        """The will, if there is one, goes where the device may publish."""
        return self.will is None or topics.up_tail(self.home, self.will.topic) is not None

    def _append(self, receipt: Receipt) -> None:
        if self._first is None or self._last is None:
            self._first = receipt
        else:
            self._last.next = receipt
        self._last = receipt

    def _is_new(self, packet: Publish) -> bool:
        """Look at what few messages have, properties and QoS 2; False for the repeat of one not yet released."""
        found = packet.properties
        if Property.SUBSCRIPTION_IDENTIFIER in found:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "A client's PUBLISH holds no subscription identifier.")
        if Property.TOPIC_ALIAS in found:
            if self._aliases is None:
                self._aliases = Aliases(self.connection.endpoint.limits)
            packet.topic = self._aliases.resolve(found[Property.TOPIC_ALIAS], packet.topic)
        if packet.qos < 2 or self._unreleased is None:
            return True
        packet_id = packet.packet_id or 0
        is_recorded = self._unreleased.is_recorded(packet_id)
        if is_recorded is None:
            return True
        self.connection.spend(1)
        if is_recorded:  # else the PUBREC comes with the verdict
            self.connection.write(Record.YES + packet_id.to_bytes(2, "big"))
        return False

    def _begin(self, packet_id: int, size: int) -> Record:
        """The first time that a message with QoS 2 is seen."""
        if self._unreleased is None:
            self._unreleased = Unreleased()
        self._unreleased.begin(packet_id, self.connection.level, self.connection.endpoint.limits)
        return Record(self, packet_id, size)

    def recorded(self, record: Record, verdict: int) -> None:
        """The verdict of a message with QoS 2: told again to whoever repeats it before the PUBREL."""
        if self._unreleased is not None and record.packet_id is not None:
            self._unreleased.record(record.packet_id, is_yes=verdict <= self._yes_up_to)

    def release(self, packet: Pubrel) -> None:
        """The PUBREL: the client has our PUBREC and repeats no more (section 4.3.3); answered whatever we know."""
        is_known = self._unreleased is not None and self._unreleased.release(packet.packet_id)
        if not is_known:
            self.connection.spend(1)
        code = Reason.SUCCESS if is_known else Reason.PACKET_ID_NOT_FOUND
        self.connection.write(encode(Pubcomp(packet.packet_id, code), self.connection.level))

    def _turn_to(self, topic: str) -> bool:
        """Look at a topic that differs from the last one; False if the device may not publish there."""
        tail = topics.up_tail(self.home, topic)
        if tail is None:
            return False
        self._topic, self._tail = topic, tail
        return True

    def _refuse_topic(self, packet: Publish) -> None:
        connection = self.connection
        connection.endpoint.refused(self.device, "topic")
        if packet.packet_id is None:
            connection.spend(1)
        elif connection.level == V5:
            connection.spend(1)
            receipt = (Receipt if packet.qos == 1 else Record)(self, packet.packet_id, 0)
            receipt.verdict = WRONG_TOPIC
            self._append(receipt)
            connection.endpoint.has_news(self)
        else:
            raise ProtocolError(Reason.NOT_AUTHORISED, NO[WRONG_TOPIC][1])

    def _give_up(self, verdict: int) -> None:
        """What cannot be said in a PUBACK or PUBREC ends the connection; without a PUBACK the client repeats."""
        connection = self.connection
        if verdict == Verdict.QUOTA:
            connection.pause_and_close("quota")
        elif verdict == Verdict.NOT_AUTHORISED:
            connection.close("revoked")
        else:
            words = "The store is away. What has no PUBACK is not stored: connect again and repeat it."
            connection.close("unavailable", Reason.IMPLEMENTATION_ERROR, words)

    # ── down ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe(self, packet: Subscribe) -> None:
        """Grant what lies below the device's own `down/`, at most QoS 1."""
        connection = self.connection
        if Property.SUBSCRIPTION_IDENTIFIER in packet.properties:
            raise ProtocolError(Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED, "Subscription identifiers are not spoken here.")
        connection.spend(len(packet.subscriptions))
        codes = tuple(self._grant(wanted) for wanted in packet.subscriptions)
        is_5 = connection.level == V5
        words = f"A device subscribes below {self.home}down/ only."
        explain = self.terms.wants_reasons and any(code >= 0x80 for code in codes)
        answer = tuple(code if is_5 or code < 0x80 else 0x80 for code in codes)
        connection.write(
            encode(Suback(packet.packet_id, answer, explained(words) if explain else NONE), connection.level)
        )
        if any(code < 0x80 for code in codes):
            connection.endpoint.subscribed(self.device)

    def _grant(self, wanted: Subscription) -> int:
        if wanted.filter.startswith("$share/"):
            return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if not topics.is_filter(wanted.filter):
            return Reason.TOPIC_FILTER_INVALID
        tail = topics.down_tail(self.home, wanted.filter)
        if tail is None:
            return Reason.NOT_AUTHORISED
        held = self._subscriptions if self._subscriptions is not None else {}
        if tail not in held and len(held) >= self.connection.endpoint.limits.max_subscriptions:
            return Reason.QUOTA_EXCEEDED
        held[tail] = min(wanted.qos, 1)
        self._subscriptions = held
        return held[tail]

    def unsubscribe(self, packet: Unsubscribe) -> None:
        """Forget filters."""
        connection = self.connection
        connection.spend(len(packet.filters))
        codes = tuple(map(self._forget, packet.filters))
        connection.write(encode(Unsuback(packet.packet_id, codes if connection.level == V5 else ()), connection.level))

    def _forget(self, topic_filter: str) -> int:
        tail = topics.down_tail(self.home, topic_filter)
        held = self._subscriptions
        if held is None or tail is None or held.pop(tail, None) is None:
            return Reason.NO_SUBSCRIPTION_EXISTED
        return Reason.SUCCESS

    def granted_qos(self, tail: str) -> int | None:
        """The best QoS at which the device subscribed to this topic ("down/cmd/7"), None if it did not."""
        held = self._subscriptions or {}
        return max((qos for wanted, qos in held.items() if topics.matches(wanted, tail)), default=None)

    def send(self, tail: str, payload: bytes, qos: int, answer: asyncio.Future[bool]) -> bool:
        """Send a message down if the device subscribed to it; see `Outbound.send`."""
        granted = self.granted_qos(tail)
        connection = self.connection
        if granted is None or connection.is_closed or connection.is_choked:
            answer.set_result(False)
            return False
        if self._outbound is None:
            places, waiting = self.terms.receive_maximum, connection.endpoint.limits.outbound_queue
            size = self.terms.max_packet_bytes
            self._outbound = Outbound(connection.write, connection.level, places, waiting, size)
        return self._outbound.send(self.home + tail, payload, min(qos, granted), answer)

    def delivered(self, packet: Puback) -> None:
        """The device's PUBACK for one of ours; one for nothing is only counted against the client's patience."""
        if self._outbound is None or not self._outbound.acknowledge(packet.packet_id, packet.code):
            self.connection.spend(1)

    def end(self, reason: GoneReason) -> None:
        """The connection is over: undelivered messages are told so, the will is published if this is its case."""
        self._first = self._last = None
        if self._outbound is not None:
            self._outbound.end()
        will, self.will = self.will, None
        tail = topics.up_tail(self.home, will.topic) if will is not None else None
        if will is None or tail is None or reason in _WITHOUT_WILL:
            return
        message = Message(self.device, tail, will.payload, will.qos, time.time())
        self.connection.endpoint.uplink.submit(message, _nobody)


def _nobody(verdict: Verdict) -> None:
    """A will has nobody left to answer."""
