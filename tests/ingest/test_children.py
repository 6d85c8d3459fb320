"""Devices behind a gateway: what it says for them is theirs, and it speaks only for those that are labelled so."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from engine.commands import service as commands
from engine.commands.model import CommandStatus
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.devices.model import Device, DeviceStatus, Presence
from engine.devices.presence import KINDS, ways_of
from engine.drain import Drain
from engine.inbox import service as inbox
from engine.journal.read import tail
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from infra.local.postgres import Postgres
from ingest.adapters.base import ChildMessage, Decision, GoneReason
from ingest.children import Children
from ingest.database import Database
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

SET_POINT = Declared("set-point", "Set point", arguments=(Argument("temperature", ValueType.NUMBER),))
STORED, NOT_TAKEN = 0, 0x99


class Gateway:
    """A gateway by paho: what it heard, and what its messages were answered with."""

    def __init__(self, process: IngestProcess, username: str, token: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._answers: dict[int, int] = {}
        self._home = f"t/{username}/"
        self.is_ready = False
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, username, protocol=paho.MQTTv5)
        client.username_pw_set(username, token)
        client.on_connect = lambda client, *_: client.subscribe(self._home + "down/#", 1)
        client.on_subscribe = lambda *_: setattr(self, "is_ready", True)
        client.on_message = lambda _c, _d, m: self.heard.append((m.topic[len(self._home) :], json.loads(m.payload)))
        client.on_publish = lambda _c, _d, mid, code, _p: self._answers.update({mid: code.value})
        client.connect("127.0.0.1", process.mqtt_port)
        client.loop_start()

    async def say(self, tail: str, said: object) -> int:
        """Publish, and how that was answered."""
        told = self._client.publish(self._home + tail, json.dumps(said), 1)
        await until(lambda: told.mid in self._answers)
        return self._answers[told.mid]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def connected(process: IngestProcess, tenant: Tenant, device: Device) -> AsyncIterator[Gateway]:
    token = await tenant.device_token(device)
    made = await asyncio.to_thread(Gateway, process, f"{tenant.key}/d/{device.key}", token)
    try:
        await until(lambda: made.is_ready)
        yield made
    finally:
        await asyncio.to_thread(made.close)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def labelled(tenant: Tenant, key: str, gateway: str | None, profile: str | None = None) -> Device:
    device = await tenant.device(key, profile=profile) if profile else await tenant.device(key)
    return await relabel(tenant, device, {"gateway": gateway} if gateway else {})


async def relabel(tenant: Tenant, device: Device, labels: dict[str, str]) -> Device:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await devices.change(tx, device.id, labels=labels)


@pytest.fixture
async def process(postgres: Postgres, tmp_path: Path) -> AsyncIterator[IngestProcess]:
    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as running:
        yield running


async def test_what_a_gateway_says_for_its_child_is_the_childs(
    process: IngestProcess, store: Store, worker_store: Store, tenant: Tenant, postgres: Postgres
) -> None:
    profile = await tenant.profile("freezers")
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=(SET_POINT,))
    gateway = await tenant.device("plant")
    child = await labelled(tenant, "freezer-1", "plant", "freezers")
    drain = Drain(worker_store)

    async def is_online(device: Device) -> bool:
        await drain.run(tenant.id)
        async with store.as_tenant(tenant.principal()) as tx:
            return (await devices.presence_of(tx, [device.id]))[device.id].is_online

    async def comes_true(of: Device, wanted: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await is_online(of) is not wanted:
                await asyncio.sleep(0.05)

    async with connected(process, tenant, gateway) as there:
        assert await there.say("up/child/freezer-1/telemetry", {"time": 1, "values": {"temperature": 1}}) == NOT_TAKEN
        for n in range(3):
            assert await there.say("up/child/freezer-1/telemetry", {"values": {"temperature": n}}) == STORED
        assert await there.say("up/child/freezer-1/event/door", {"open": True}) == STORED
        await comes_true(child, True)

        async with store.as_tenant(tenant.principal()) as tx:
            asked = await commands.issue(tx, child.id, "set-point", {"temperature": -20})
        await until(lambda: bool(there.heard))
        ((topic, said),) = there.heard
        assert topic == f"down/child/freezer-1/cmd/{asked.id}"
        assert said["arguments"] == {"temperature": -20}
        # the gateway's own answer is none of its child's: nothing matches it
        assert await there.say(f"up/cmd/{asked.id}/result", {"status": "failed"}) == STORED
        assert await there.say(f"up/child/freezer-1/cmd/{asked.id}/result", {"status": "succeeded"}) == STORED
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await drain.run(tenant.id)
                async with store.as_tenant(tenant.principal()) as tx:
                    now = await commands.get(tx, asked.id)
                if now.status is not CommandStatus.QUEUED and now.status is not CommandStatus.SENT:
                    break
                await asyncio.sleep(0.05)
        assert now.status is CommandStatus.SUCCEEDED

        assert await there.say("up/child/freezer-1/status", {"connected": False, "reason": "no answer"}) == STORED
        await comes_true(child, False)
        said = {"values": {"temperature": 9, "humidity": 130}}  # of which the profile takes one
        assert await there.say("up/child/freezer-1/telemetry", said) == STORED
        assert not await is_online(child)  # what was measured before may come later
        assert await there.say("up/child/freezer-1/status", {"connected": True}) == STORED
        await comes_true(child, True)
        assert await there.say("up/child/freezer-1/status", {"connected": "yes"}) == NOT_TAKEN
        assert await there.say("up/status", {"connected": True}) == NOT_TAKEN  # of itself, a device need not say so
    await comes_true(child, False)
    await comes_true(gateway, False)

    async with await psycopg.AsyncConnection.connect(postgres.url("superuser")) as base:
        rows = await (
            await base.execute("SELECT device_id, values, quality FROM telemetry WHERE tenant_id = %s", [tenant.id])
        ).fetchall()
    assert {row[0] for row in rows} == {child.id}
    assert sorted(row[1]["temperature"] for row in rows) == [0, 1, 2, 9]
    assert [(row[1], row[2]) for row in rows if row[2]] == [({"temperature": 9}, {"humidity": "bad"})]
    async with store.as_tenant(tenant.principal()) as tx:
        left = [each for each in (await inbox.page(tx)).items if each.is_partial]
    assert [(each.device_id, each.left_out) for each in left] == [(child.id, ["humidity"])]


async def test_a_gateway_speaks_for_no_device_that_is_not_labelled_so(
    process: IngestProcess, store: Store, worker_store: Store, tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    gateway = await tenant.device("plant")
    child = await labelled(tenant, "freezer-1", "plant")
    await labelled(tenant, "freezer-2", "another")
    await labelled(tenant, "freezer-3", None)
    await labelled(neighbour, "freezer-4", "plant")
    idle, gone = await labelled(tenant, "freezer-5", "plant"), await labelled(tenant, "freezer-6", "plant")
    await relabel(tenant, gateway, {"gateway": "plant"})
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.suspend(tx, idle.id)
        await devices.decommission(tx, gone.id)
    async with connected(process, tenant, gateway) as there:
        for key in ("freezer-2", "freezer-3", "freezer-4", "freezer-5", "freezer-6", "nobody", "plant"):
            assert await there.say(f"up/child/{key}/telemetry", {"values": {"temperature": 1}}) == NOT_TAKEN
        deeper = "up/child/freezer-1/child/freezer-1/telemetry"
        for tail in ("up/child/freezer-1", "up/child/freezer-1/ota", "up/child/a b/telemetry", deeper):
            assert await there.say(tail, {"values": {"temperature": 1}}) == NOT_TAKEN
        assert await there.say("up/child/freezer-1/telemetry", {"values": {"temperature": 1}}) == STORED
        await relabel(tenant, child, {})
        await _refused(there, "freezer-1")
        await relabel(tenant, child, {"gateway": "plant"})
        async with asyncio.timeout(PATIENCE_S):
            while await there.say("up/child/freezer-1/telemetry", {"values": {"temperature": 3}}) != STORED:
                await asyncio.sleep(0.05)
    async with await psycopg.AsyncConnection.connect(postgres.url("superuser")) as base:
        owners = await (await base.execute("SELECT DISTINCT tenant_id, device_id FROM telemetry")).fetchall()
        words = await (
            await base.execute(
                "SELECT device_id, message FROM rejected WHERE tenant_id = %s AND topic LIKE '%%nobody%%'", [tenant.id]
            )
        ).fetchall()
    assert (tenant.id, child.id) in owners
    assert not [owner for owner in owners if owner[0] == neighbour.id]
    ((whose, said),) = words
    assert whose == gateway.id
    assert said.startswith("No device nobody in service has the label gateway=plant. Register the child as a device")


async def test_a_child_that_was_never_reached_is_offline_and_its_gateway_says_why(
    process: IngestProcess, store: Store, worker_store: Store, tenant: Tenant
) -> None:
    gateway = await tenant.device("plant")
    never, lost = await labelled(tenant, "plc-1", "plant"), await labelled(tenant, "plc-2", "plant")
    drain = Drain(worker_store)

    async def presence_of(device: Device) -> Presence:
        await drain.run(tenant.id)
        async with store.as_tenant(tenant.principal()) as tx:
            return (await devices.presence_of(tx, [device.id]))[device.id]

    async def comes(device: Device, is_so: Callable[[Presence], bool]) -> Presence:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so(found := await presence_of(device)):
                await asyncio.sleep(0.05)
        return found

    since = datetime.now(UTC) - timedelta(hours=3)
    why = {"connected": False, "reason": "no answer", "since": int(since.timestamp() * 1000)}
    async with connected(process, tenant, gateway) as there:
        for _ in range(2):  # said again in one session, it is no news
            assert await there.say("up/child/plc-1/status", why) == STORED
        told = await comes(never, lambda each: each.reason is not None)
        assert (told.is_online, told.since, told.last_seen_at) == (False, None, None)
        assert told.reason == f"no answer, since {since:%Y-%m-%d %H:%M} UTC"
        async with store.as_tenant(tenant.principal()) as tx:
            assert (await devices.get(tx, never.id)).status is DeviceStatus.PROVISIONED  # its life has yet to begin

        assert await there.say("up/child/plc-2/telemetry", {"values": {"temperature": 1}}) == STORED
        await comes(lost, lambda each: each.is_online)
        assert await there.say("up/child/plc-1/status", {"connected": True}) == STORED
        await comes(never, lambda each: each.is_online)
        assert await there.say("up/child/plc-1/status", {"connected": False, "since": -1}) == STORED
        await comes(never, lambda each: each.reason == "network")
    went = await comes(lost, lambda each: not each.is_online)
    async with connected(process, tenant, gateway) as there:
        assert await there.say("up/child/plc-2/status", {"connected": False, "reason": "pulled out"}) == STORED
        now = await comes(lost, lambda each: each.reason == "pulled out")
        assert now.since == went.since  # it is no later that it was heard for that
    kinds = await told_of(store, tenant, never)
    assert kinds == ["device.disconnected", "device.connected", "device.disconnected"]


class Heard:
    """A `Presence` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def connected(self, device: Decision, at: float, detail: Mapping[str, object]) -> None:
        self.told.append((device.device, True))

    def disconnected(self, device: Decision, at: float, reason: GoneReason) -> None:
        self.told.append((device.device, False))


def said(child: Decision, gateway: Decision, status: bool | None = None, transport: str = "mqtt") -> ChildMessage:
    payload = b"{}" if status is None else json.dumps({"connected": status}).encode()
    topic = "up/telemetry" if status is None else "up/status"
    return ChildMessage(child, topic, payload, 1, 0.0, transport=transport, gateway=gateway)


async def test_children_go_with_the_session_by_which_they_were_last_heard_and_one_heard_too_late_is_not_there() -> None:
    tenant, heard, here = uuid4(), Heard(), set[Decision]()
    children = Children(Database(""), heard, lambda _: None, lambda gateway: gateway in here)
    east, west, later = (Decision(tenant, "acme", uuid4(), name, 1) for name in ("east", "west", "later"))
    one, other = (Decision(tenant, "acme", uuid4(), name, 0) for name in ("one", "other"))
    here |= {east, west}
    assert all(children.heard(said(child, east)) for child in (one, other))
    assert children.heard(said(one, west))  # it is behind another one now
    children.gone(later, 0.0, "client")
    children.gone(east, 0.0, "client")
    assert heard.told == [("one", True), ("other", True), ("one", True), ("other", False)]
    here.clear()
    children.gone(west, 0.0, "client")
    assert children.heard(said(one, west))  # it was looked for while its gateway went
    assert not children.heard(said(one, west, status=True))
    assert heard.told[4:] == [("one", False)]
    assert not [*children.reached()]
    # of a gateway behind a broker nobody hears when it goes: what it tells by itself counts, and once
    assert children.heard(said(other, east, transport="broker"))
    told = [children.heard(said(other, east, status=each, transport="broker")) for each in (True, True, False, False)]
    assert (told, heard.told[5:]) == ([True, False, True, False], [])


async def test_a_child_of_a_gateway_that_says_something_and_leaves_at_once_is_not_there_for_ever(
    process: IngestProcess, store: Store, worker_store: Store, tenant: Tenant, postgres: Postgres
) -> None:
    gateway, child = await tenant.device("plant"), await labelled(tenant, "freezer-1", "plant")
    username, token = f"{tenant.key}/d/plant".encode(), (await tenant.device_token(gateway)).encode()
    connect = _text(b"MQTT") + b"\x04\xc2\x00\x3c" + b"".join(map(_text, (username, username, token)))
    publish = _text(b"t/" + username + b"/up/child/freezer-1/telemetry") + b'{"temperature":1}'
    reader, writer = await asyncio.open_connection("127.0.0.1", process.mqtt_port)
    writer.write(_packet(0x10, connect))
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    writer.write(_packet(0x30, publish) + b"\xe0\x00")
    await writer.drain()
    async with await psycopg.AsyncConnection.connect(postgres.url("superuser"), autocommit=True) as base:
        async with asyncio.timeout(PATIENCE_S):
            while not await (await base.execute("SELECT 1 FROM telemetry WHERE device_id = %s", [child.id])).fetchone():
                await asyncio.sleep(0.05)
    writer.close()
    await asyncio.sleep(0.2)
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        assert not (await devices.presence_of(tx, [child.id]))[child.id].is_online
    kinds = await told_of(store, tenant, child)
    assert kinds.count("device.connected") == kinds.count("device.disconnected")


def _text(said: bytes) -> bytes:
    return len(said).to_bytes(2, "big") + said


def _packet(kind: int, body: bytes) -> bytes:
    size = len(body)
    return bytes([kind, size] if size < 128 else [kind, size % 128 | 128, size // 128]) + body


async def test_a_reading_says_which_gateway_brought_it_though_another_speaks_for_the_device_now(
    process: IngestProcess, store: Store, worker_store: Store, tenant: Tenant
) -> None:
    child, drain = await labelled(tenant, "freezer-1", "east"), Drain(worker_store)
    began = datetime.now(UTC) - timedelta(minutes=1)

    async def brought() -> list[str | None]:
        await drain.run(tenant.id)
        async with store.as_tenant(tenant.principal()) as tx:
            end = datetime.now(UTC) + timedelta(minutes=1)
            found = await telemetry.series(tx, child.id, "temperature", began, end, with_source=True)
        return list(found.gateways or [None for _ in found.sources])

    for n, key in enumerate(("east", "west")):
        gateway = await tenant.device(key)
        async with connected(process, tenant, gateway) as there:
            await relabel(tenant, child, {"gateway": key})
            async with asyncio.timeout(PATIENCE_S):
                while await there.say("up/child/freezer-1/telemetry", {"values": {"temperature": n}}) != STORED:
                    await asyncio.sleep(0.05)
        assert (await brought())[-1] == key
    alone = await tenant.device_token(child)
    by_itself = await asyncio.to_thread(Gateway, process, f"{tenant.key}/d/{child.key}", alone)
    try:
        await until(lambda: by_itself.is_ready)
        assert await by_itself.say("up/telemetry", {"values": {"temperature": 3}}) == STORED
    finally:
        await asyncio.to_thread(by_itself.close)
    assert await brought() == ["east", "west", None]
    other = await tenant.device("alone")
    async with connected(process, tenant, other) as there:
        assert await there.say("up/telemetry", {"values": {"temperature": 1}}) == STORED
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        assert await ways_of(tx, other.id) == []  # whoever never came through one, has nothing of it


async def told_of(store: Store, tenant: Tenant, device: Device) -> list[str]:
    """What the journal says of a device's coming and going, in order."""
    async with store.as_tenant(tenant.principal()) as tx:
        entries = await tail(tx, 0)
    return [each.kind for each in entries if each.kind in KINDS and each.body["device"] == str(device.id)]


async def _refused(there: Gateway, child: str) -> None:
    """From some moment on, the child is not the gateway's any more."""
    async with asyncio.timeout(PATIENCE_S):
        while await there.say(f"up/child/{child}/telemetry", {"values": {"temperature": 2}}) == STORED:
            await asyncio.sleep(0.05)
