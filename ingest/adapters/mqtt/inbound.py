"""What a connection remembers of its device's own PUBLISHes: topics by alias, and QoS 2 messages not yet released."""

from __future__ import annotations

from ingest.adapters.mqtt.limits import MqttLimits
from ingest.adapters.mqtt.packets import V5
from ingest.adapters.mqtt.reasons import ProtocolError, Reason, broken


class Aliases:
    """Topics by number (MQTT 5.0, section 3.3.2.3.4), as many and as long together as the limits say."""

    __slots__ = ("_characters", "_limits", "_topics")

    def __init__(self, limits: MqttLimits) -> None:
        self._limits = limits
        self._topics: dict[int, str] = {}
        self._characters = 0

    def resolve(self, alias: int, topic: str) -> str:
        """The topic of a PUBLISH with this alias; one that the PUBLISH names itself ("" if it does not) is kept."""
        if not 0 < alias <= self._limits.topic_aliases:
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"A topic alias is 1 to {self._limits.topic_aliases} here.")
        known = self._topics.get(alias, "")
        if topic in ("", known):
            if not known:
                raise broken(f"Topic alias {alias} was not set on this connection.")
            return known
        self._characters += len(topic) - len(known)
        if self._characters > self._limits.topic_alias_chars:
            words = f"The topics behind all aliases have at most {self._limits.topic_alias_chars} characters together."
            raise ProtocolError(Reason.QUOTA_EXCEEDED, words)
        self._topics[alias] = topic
        return topic


class Unreleased:
    """QoS 2 messages between their PUBLISH and their PUBREL, by packet id (section 4.3.3, method A).

    Until the PUBREL a PUBLISH with the same id is the same message. Nothing of this survives the connection: a repeat
    on the next one is a new message here, and the store knows it by its key (ADR 44).
    """

    __slots__ = ("_is_recorded",)

    def __init__(self) -> None:
        self._is_recorded: dict[int, bool] = {}

    def is_recorded(self, packet_id: int) -> bool | None:
        """Whether it has a verdict that says yes: then a PUBREC is due again; None for a message that is new."""
        return self._is_recorded.get(packet_id)

    def begin(self, packet_id: int, level: int, limits: MqttLimits) -> None:
        """A new message; one too many is a protocol error (in 5.0 above our Receive Maximum, section 3.3.4)."""
        most = limits.in_flight if level == V5 else limits.unreleased
        if len(self._is_recorded) >= most:
            raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, f"At most {most} messages may wait for their PUBREL.")
        self._is_recorded[packet_id] = False

    def record(self, packet_id: int, *, is_yes: bool) -> None:
        """Its verdict: a PUBREC that says no ends it, the id is free again."""
        if is_yes:
            self._is_recorded[packet_id] = True
        else:
            del self._is_recorded[packet_id]

    def release(self, packet_id: int) -> bool:
        """Its PUBREL: forget it; False if there is none with this id."""
        if self._is_recorded.get(packet_id) is False:
            raise broken("A PUBREL comes after the PUBREC.")
        return self._is_recorded.pop(packet_id, False)
