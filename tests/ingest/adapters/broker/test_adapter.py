"""What becomes of deliveries, with a client and everything behind it in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from engine.settings import SettingError, Settings
from ingest.adapters.base import Decision, Refused, Verdict
from ingest.adapters.broker import adapter as module
from ingest.adapters.broker.adapter import BrokerAdapter, Names
from ingest.adapters.broker.address import of_settings
from ingest.adapters.broker.client import Delivery
from tests.ingest.adapters.mqtt.memory import MemoryUplink, device_id, until
from tests.support.patience import PATIENCE_S

PUMP = device_id("acme/d/pump-7")


class MemoryClient:
    """Delivers what it is told, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.finished: list[int] = []
        self.published: list[tuple[str, bytes]] = []
        self.takes = True
        self.is_connected = self.is_alive = True
        self.subscription = ""
        self._mid = 0
        self._taken: Callable[[Delivery], None] = print

    def start(self, subscription: str, taken: Callable[[Delivery], None]) -> None:
        self.subscription, self._taken = subscription, taken

    def deliver(
        self, payload: bytes = b"{}", topic: str = "t/acme/d/pump-7/up/telemetry", *, again: bool = False
    ) -> int:
        self._mid += 1
        self._taken(Delivery(topic, payload, self._mid, again, 0, 1))
        return self._mid

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(delivery.mid)

    def done(self, delivery: Delivery) -> None:
        self.finished.append(delivery.mid)

    def publish(self, topic: str, payload: bytes) -> "asyncio.Future[bool]":
        self.published.append((topic, payload))
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.set_result(self.takes)
        return answer

    def pause(self) -> None:
        self._taken = print

    async def stop(self) -> None:
        self.is_alive = False


@dataclass
class MemoryRegistry:
    """Knows devices whose key begins with "pump"; answers when it may."""

    shut_out: set[str] = field(default_factory=set)
    asked: list[Names] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    is_away: bool = False

    async def named(self, names: Collection[Names]) -> Mapping[Names, tuple[Decision, bool]]:
        self.asked += names
        await self.open.wait()
        if self.is_away:
            raise Refused("unavailable")
        return {
            (tenant, key): (
                Decision(device_id(tenant), tenant, device_id(f"{tenant}/d/{key}"), key, 0),
                tenant in self.shut_out,
            )
            for tenant, key in names
            if key.startswith("pump")
        }


@dataclass
class House:
    """An adapter and what it talks to."""

    adapter: BrokerAdapter
    client: MemoryClient
    registry: MemoryRegistry
    uplink: MemoryUplink
    refused: list[tuple[str, str]]
    asked: list[UUID]


def built(tenant: str = "") -> House:
    client, registry, uplink = MemoryClient(), MemoryRegistry(), MemoryUplink()
    registry.open.set()
    refused: list[tuple[str, str]] = []
    asked: list[UUID] = []
    adapter = BrokerAdapter(
        client,
        registry,
        uplink,
        group="g",
        tenant=tenant,
        refused=lambda device, why: refused.append((device.device, why)),
        ask=asked.append,
    )
    adapter.start()
    return House(adapter, client, registry, uplink, refused, asked)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    made = built()
    yield made
    await made.adapter.stop()


async def test_a_message_is_acknowledged_when_it_is_decided_and_not_before(house: House) -> None:
    assert house.client.subscription == "$share/g/t/+/d/+/up/#"
    house.uplink.holding = True
    house.client.deliver(b'{"t":1}')
    await until(lambda: house.uplink.undecided)
    assert house.client.acknowledged == []
    house.uplink.decide()
    assert house.client.acknowledged == house.client.finished == [1]
    [message] = house.uplink.messages
    assert (message.topic, message.transport, message.device.device_id) == ("up/telemetry", "broker", PUMP)


async def test_every_verdict_but_unavailable_is_final_and_that_one_is_tried_again(house: House) -> None:
    house.client.deliver()
    await until(lambda: house.client.acknowledged)
    for house.uplink.verdict in (Verdict.DUPLICATE, Verdict.REJECTED, Verdict.NOT_AUTHORISED, Verdict.QUOTA):
        mid = house.client.deliver()
        await until(lambda mid=mid: mid in house.client.acknowledged)  # type: ignore[misc]
    house.uplink.verdict = Verdict.UNAVAILABLE
    mid = house.client.deliver(b"later")
    await until(lambda: house.uplink.payloads().count(b"later") >= 3)
    assert mid not in house.client.acknowledged
    house.uplink.verdict = Verdict.STORED
    await until(lambda: mid in house.client.acknowledged)


async def test_the_messages_of_a_device_keep_their_order_while_it_is_looked_up(house: House) -> None:
    house.registry.open.clear()
    for n in range(5):
        house.client.deliver(b"%d" % n)
    await until(lambda: house.registry.asked)
    house.client.deliver(b"5")
    house.registry.open.set()
    await until(lambda: len(house.client.acknowledged) == 6)
    house.client.deliver(b"6")
    assert house.uplink.payloads() == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert house.registry.asked == [("acme", "pump-7")]


async def test_nobodys_messages_are_counted_and_not_delivered_again(house: House) -> None:
    topics = ("t/acme/d/stranger/up/telemetry", "t/ACME/d/pump-7/up/x", "other", "", "t/acme/d/a b/up/telemetry")
    for n, topic in enumerate(topics, 1):
        house.client.deliver(topic=topic)
        await until(lambda n=n: len(house.client.acknowledged) == n)  # type: ignore[misc]
    house.client.deliver(topic=topics[0])
    assert len(house.client.acknowledged) == 6
    assert house.registry.asked == [("acme", "stranger")], "it is not asked for again for a while"
    house.adapter.changed(PUMP)
    house.client.deliver(topic=topics[0])
    await until(lambda: len(house.registry.asked) == 2)
    assert house.uplink.messages == []


async def test_whose_tenant_is_shut_out_is_refused_from_the_moment_it_is(house: House) -> None:
    house.client.deliver()
    await until(lambda: house.client.acknowledged)
    house.registry.shut_out.add("acme")
    house.client.deliver()
    await until(lambda: len(house.client.acknowledged) == 2)
    assert house.refused == []
    house.adapter.changed_tenant(device_id("acme"))
    house.client.deliver()
    await until(lambda: len(house.client.acknowledged) == 3)
    assert (house.refused, len(house.uplink.messages)) == ([("pump-7", "tenant")], 2)


async def test_a_broker_of_one_tenant_speaks_for_no_other() -> None:
    house = built("acme")
    assert house.client.subscription == "$share/g/t/acme/d/+/up/#"
    house.client.deliver(topic="t/other/d/pump-1/up/telemetry")
    assert house.client.acknowledged == [1]
    assert (house.registry.asked, house.uplink.messages) == ([], [])
    await house.adapter.stop()


async def test_while_the_database_is_away_nothing_is_acknowledged_and_later_everything(house: House) -> None:
    house.registry.is_away = True
    house.client.deliver(b"1")
    await until(lambda: len(house.registry.asked) >= 3)
    assert house.client.acknowledged == []
    house.registry.is_away = False
    await until(lambda: house.client.acknowledged)
    house.uplink.bound = 0
    mid = house.client.deliver(b"2")
    assert house.uplink.payloads() == [b"1"]
    house.uplink.bound = 100
    house.uplink.decide()
    await until(lambda: mid in house.client.acknowledged)


async def test_who_has_been_heard_of_can_be_reached_unless_the_broker_knows_of_no_subscriber(house: House) -> None:
    topic = "down/cmd/c-1"
    assert not house.adapter.listens(PUMP, topic)
    house.client.deliver()
    await until(lambda: house.asked)
    assert house.adapter.listens(PUMP, topic)
    assert await house.adapter.send(PUMP, topic, b"x")
    house.client.takes = False
    assert not await house.adapter.send(PUMP, topic, b"y")
    assert house.client.published == [("t/acme/d/pump-7/down/cmd/c-1", b"x"), ("t/acme/d/pump-7/down/cmd/c-1", b"y")]
    house.client.is_connected = False
    assert not house.adapter.listens(PUMP, topic)


async def test_the_end_waits_for_what_is_undecided() -> None:
    house = built()
    house.uplink.holding = True
    house.client.deliver()
    await until(lambda: house.uplink.undecided)
    ending = asyncio.create_task(house.adapter.stop())
    await asyncio.sleep(0.02)
    assert not ending.done()
    house.uplink.decide()
    await asyncio.wait_for(ending, PATIENCE_S)
    assert house.client.acknowledged == [1]


def test_the_settings_say_where_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p w\n")
    told = of_settings(
        Settings(broker_url="mqtt://u%40x:inline@h", broker_password_file=secret, broker_client_id="a-1")
    )
    assert told[:5] == ("h", 1883, "a-1", "u@x", "p w")
    assert told.tls is None
    secure = of_settings(Settings(broker_url="mqtts://h:443", mqtt_port=77))
    assert (secure.port, secure.client_id.endswith("-77")) == (443, True)
    assert secure.tls is not None
    assert secure.tls.check_hostname
    wrong = {
        "TIDEGATE_BROKER_PASSWORD_FILE": Settings(broker_url="mqtt://h", broker_password_file=tmp_path / "none"),
        "TIDEGATE_BROKER_CA": Settings(broker_url="mqtts://h", broker_ca=secret),
        "TIDEGATE_BROKER_CERT": Settings(broker_url="mqtts://h", broker_cert=secret, broker_key=secret),
        "TIDEGATE_BROKER_KEY": Settings(broker_url="mqtts://h", broker_cert=secret),
    }
    for name, settings in wrong.items():
        with pytest.raises(SettingError, match=name):
            of_settings(settings)
