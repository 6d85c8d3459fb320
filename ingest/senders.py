"""Two ways down to a device as one: the MQTT session it holds, and the question it has asked over HTTP."""

import asyncio
from collections.abc import Iterator
from itertools import chain
from uuid import UUID

from ingest.adapters.base import Decision
from ingest.adapters.http.polls import Polls
from ingest.adapters.mqtt.endpoint import MqttEndpoint


class Senders:
    """A `Sender`; where a device could be reached both ways, its session comes first."""

    def __init__(self, endpoint: MqttEndpoint, polls: Polls) -> None:
        self._endpoint = endpoint
        self._polls = polls

    def sessions(self) -> Iterator[Decision]:
        """Who can be reached."""
        return chain(self._endpoint.sessions(), self._polls.sessions())

    def session(self, device_id: UUID) -> Decision | None:
        """The device, if it can be reached."""
        return self._endpoint.session(device_id) or self._polls.session(device_id)

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the device would take this now."""
        return self._endpoint.listens(device_id, topic_tail) or self._polls.listens(device_id, topic_tail)

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Send to a device that listens."""
        way = self._endpoint if self._endpoint.listens(device_id, topic_tail) else self._polls
        return way.send(device_id, topic_tail, payload, qos)

    def looked(self, device_id: UUID) -> None:
        """A question that does not wait is answered now, with nothing if there was nothing."""
        self._polls.looked(device_id)
