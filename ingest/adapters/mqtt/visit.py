"""A newcomer on its connection: no device yet, it introduces itself once, hears the answer, and leaves (ADR 33).

It logs in as `{tenant}/provision` with a provisioning key as its password, or over TLS with a claim certificate. It
subscribes `t/{tenant}/provision/down/response`, publishes one request to `…/up/request`, and is answered on this
connection alone: whoever else has the same key hears nothing of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from engine.provisioning.model import Visitor
from ingest.adapters.base import Doorway, Refused, Reply
from ingest.adapters.mqtt import login, topics
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import (
    V5,
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)
from ingest.adapters.mqtt.properties import NONE, Properties, Property
from ingest.adapters.mqtt.reasons import ProtocolError, Reason, broken
from schema.wire.topics import PROVISION

if TYPE_CHECKING:
    from ingest.adapters.mqtt.connection import Connection

log = logging.getLogger(__name__)

_KEY_CHARS: Final = 256
_RESPONSE_ID: Final = 1

_NO: Final[dict[int, Reason]] = {
    400: Reason.PAYLOAD_FORMAT_INVALID,
    413: Reason.PACKET_TOO_LARGE,
    422: Reason.PAYLOAD_FORMAT_INVALID,
    429: Reason.QUOTA_EXCEEDED,
}
"""What 5.0 says in the request's PUBACK beside the answer; every other refusal is NOT_AUTHORISED."""


class Visit:
    """From the CONNECT to the answer."""

    __slots__ = (
        "_connection",
        "_doorway",
        "_has_asked",
        "_qos",
        "_request",
        "_response",
        "_tenant",
        "_visitor",
        "terms",
    )

    def __init__(
        self, connection: Connection, doorway: Doorway, tenant: str, packet: Connect, certificate: bytes
    ) -> None:
        key = (packet.password or b"").decode("ascii", "replace")
        self._connection = connection
        self._doorway = doorway
        self._tenant = tenant
        self._visitor = Visitor(connection.address, key, certificate)
        self._request = PROVISION["provision_request"].format(tenant=tenant)
        self._response = PROVISION["provision_response"].format(tenant=tenant)
        self._qos: int | None = None  # at which it has subscribed the response
        self._has_asked = False
        self.terms = login.agree(packet, connection.endpoint.limits, "provision")

    async def begin(self, packet: Connect) -> None:
        """Let it in, if what it has shown is a way in of the tenant that it names."""
        connection = self._connection
        try:
            await self._check(packet)
        except Refused as refused:
            words = login.NO_WAY_IN if refused.reason == "bad_credentials" else login.REFUSALS[refused.reason]
            connection.refuse(words, refused.reason)
        except Exception:
            log.exception("mqtt.visit_failed")
            connection.refuse(login.REFUSALS["unavailable"], "unavailable")
        else:
            if packet.will is not None:
                connection.refuse(login.NO_WILL, "protocol")
            else:
                connection.receive(self, packet)
        finally:
            connection.worked()

    async def _check(self, packet: Connect) -> None:
        shown = self._visitor
        if not shown.key and not shown.certificate:
            raise Refused("bad_credentials")
        if len(shown.key) > _KEY_CHARS or not (shown.key.isascii() and shown.key.isprintable()):
            raise Refused("bad_credentials")
        if not self._connection.endpoint.visited(self._connection):
            raise Refused("unavailable")
        if await self._doorway.greet(shown) != self._tenant:
            raise Refused("bad_credentials")
        if not self._connection.endpoint.greeted(self._connection, self._tenant):
            raise Refused("unavailable")

    def take(self, packet: Packet) -> None:
        """A packet of its, which is neither a PINGREQ nor a DISCONNECT."""
        match packet:
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                self._unsubscribe(packet)
            case Publish():
                self._publish(packet)
            case Puback() if self._has_asked:
                self._part()
            case _:
                raise broken(f"A newcomer must not send {type(packet).__name__.upper()} here.")

    def _subscribe(self, packet: Subscribe) -> None:
        connection = self._connection
        connection.spend(len(packet.subscriptions))
        codes = tuple(self._grant(wanted) for wanted in packet.subscriptions)
        answer = tuple(code if connection.level == V5 or code < 0x80 else 0x80 for code in codes)
        connection.write(encode(Suback(packet.packet_id, answer), connection.level))

    def _grant(self, wanted: Subscription) -> int:
        """Filters of its own `down/` alone: `…/down/#` is as good as the response's name."""
        below = self._response.removesuffix("response")
        if not topics.is_filter(wanted.filter):
            return Reason.TOPIC_FILTER_INVALID
        if not wanted.filter.startswith(below) or not topics.matches(wanted.filter, self._response):
            return Reason.NOT_AUTHORISED
        self._qos = max(min(wanted.qos, 1), self._qos or 0)
        return min(wanted.qos, 1)

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        connection = self._connection
        connection.spend(len(packet.filters))
        codes = (int(Reason.NO_SUBSCRIPTION_EXISTED if self._qos is None else Reason.SUCCESS),) * len(packet.filters)
        self._qos = None
        connection.write(encode(Unsuback(packet.packet_id, codes if connection.level == V5 else ()), connection.level))

    def _publish(self, packet: Publish) -> None:
        """The request. Nothing of it is looked at here but where it goes; the doorway judges what it says."""
        if packet.qos == 2:
            raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "A newcomer publishes with QoS 0 or 1.")
        if packet.topic != self._request:
            raise ProtocolError(Reason.NOT_AUTHORISED, f"A newcomer publishes to {self._request} only.")
        if packet.properties.get(Property.RESPONSE_TOPIC, self._response) != self._response:
            raise ProtocolError(Reason.NOT_AUTHORISED, f"The response comes to {self._response} only.")
        if self._has_asked:
            raise broken("One introduction a connection; connect again for another.")
        if self._qos is None:
            raise broken(f"Subscribe {self._response} first: a token is shown once, and would be lost.")
        self._has_asked = True
        self._connection.work(self._ask(packet))

    async def _ask(self, packet: Publish) -> None:
        connection = self._connection
        try:
            reply = await self._doorway.introduce(self._visitor, packet.payload)
        except Exception:
            log.exception("mqtt.introduction_failed")
            connection.close("unavailable", Reason.UNSPECIFIED_ERROR)
        else:
            if not connection.is_closed:
                self._answer(packet, reply)
        finally:
            connection.worked()

    def _answer(self, packet: Publish, reply: Reply) -> None:
        connection = self._connection
        correlation = packet.properties.get(Property.CORRELATION_DATA)
        echoed: Properties = NONE if correlation is None else {Property.CORRELATION_DATA: correlation}
        packet_id = _RESPONSE_ID if self._qos else None
        response = Publish(self._response, reply.body, self._qos or 0, packet_id=packet_id, properties=echoed)
        connection.write(encode(response, connection.level))
        if packet.packet_id is not None and reply.status < 500:  # without a PUBACK it will try again
            is_no = reply.status >= 400 and connection.level == V5
            code = _NO.get(reply.status, Reason.NOT_AUTHORISED) if is_no else Reason.SUCCESS
            connection.write(encode(Puback(packet.packet_id, code), connection.level))
        connection.release(connection.LOGIN)
        connection.endpoint.loop.call_later(connection.endpoint.limits.last_words_s, self._part)

    def _part(self) -> None:
        words = "The answer was sent. Connect again: as the device that it names, or with the ticket."
        self._connection.close("client", Reason.ADMINISTRATIVE_ACTION, words)
