"""Fixtures: running endpoints, each with its own memory behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.limits import MqttLimits
from tests.ingest.adapters.mqtt.memory import House, MemoryAuthorizer, MemoryPresence, MemoryUplink

OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house() -> AsyncIterator[OpenHouse]:
    """Open an endpoint with these limits; all of them are stopped at the end."""
    opened: list[House] = []

    async def open_one(**limits: float) -> House:
        authorizer, uplink, presence = MemoryAuthorizer(), MemoryUplink(), MemoryPresence()
        refused: list[tuple[str, str]] = []
        ready: list[str] = []
        endpoint = MqttEndpoint(
            authorizer,
            uplink,
            presence,
            MqttLimits(**{"drain_s": 0.2, "tick_s": 0.05, "close_timeout_s": 0.5, **limits}),  # type: ignore[arg-type]
            on_refused=lambda device, why: refused.append((device.device, why)),
            on_subscribed=lambda device: ready.append(device.device),
        )
        await endpoint.start("127.0.0.1", 0)
        opened.append(House(endpoint, authorizer, uplink, presence, refused, ready))
        return opened[-1]

    yield open_one
    for house in opened:
        await house.endpoint.stop()


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """An endpoint with the default limits."""
    return await open_house()
