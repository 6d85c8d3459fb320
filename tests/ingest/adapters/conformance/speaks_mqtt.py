"""A device that speaks MQTT 3.1.1 with QoS 1: what has no PUBACK is published again on the next connection."""

import asyncio
import contextlib
from uuid import UUID

import orjson

from infra.local import device_client
from tests.ingest.adapters.conformance.documents import document
from tests.ingest.adapters.conformance.speaker import Login, Order, Reading, Refused

AGAIN_S = 0.1


class MqttSpeaker:
    """On the platform's own little client; others' clients are met in tests/ingest/adapters/mqtt."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._home = f"t/{login.name}"
        self._client = self._new()
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._connecting = asyncio.Lock()

    def _new(self) -> device_client.DeviceClient:
        login = self._login
        return device_client.DeviceClient("127.0.0.1", login.process.mqtt_port, login.name, login.token)

    async def connect(self) -> None:
        """Log in and listen to commands."""
        async with self._connecting:
            if self._client.is_connected:
                return
            await self._client.close()
            self._client = self._new()
            try:
                await self._client.connect()
            except device_client.Refused as refused:
                raise Refused from refused
            await self._client.subscribe(f"{self._home}/down/#", self._heard)

    def _heard(self, topic: str, payload: bytes) -> None:
        said = orjson.loads(payload)
        self._orders.put_nowait(Order(UUID(said["id"]), said["command"], said["arguments"]))

    async def tell(self, reading: Reading) -> None:
        """Publish until it has its PUBACK."""
        await self._until_acknowledged("up/telemetry", document(reading))

    async def _until_acknowledged(self, tail: str, payload: bytes) -> None:
        while True:
            try:
                await self._client.publish(f"{self._home}/{tail}", payload)
                return
            except OSError:
                await asyncio.sleep(AGAIN_S)
            with contextlib.suppress(OSError):
                await self.connect()

    async def babble(self, payload: bytes) -> None:
        """In MQTT 3.1.1 a PUBACK says yes to everything: what was rejected is not to be repeated."""
        await self._client.publish(f"{self._home}/up/telemetry", payload)

    async def order(self) -> Order:
        """What came down; its PUBACK has gone by then."""
        return await self._orders.get()

    async def obey(self, order: Order) -> None:
        """On the topics of the command."""
        await self._until_acknowledged(f"up/cmd/{order.id}/ack", b"")
        await self._until_acknowledged(f"up/cmd/{order.id}/result", orjson.dumps({"status": "succeeded", "result": 1}))

    async def close(self) -> None:
        """Log out."""
        await self._client.close()
