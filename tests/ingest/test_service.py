"""The ingest process as it runs in production: real sockets, a real database, real deaths."""

import asyncio
import itertools
import signal
import socket
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as paho
import pytest
import uvicorn
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from engine.clock import now_ms
from engine.devices import service as devices
from engine.devices.model import Device, Metric, MetricType
from engine.settings import SettingError, Settings
from infra.local.device_client import DeviceClient, Refused
from infra.local.ports import is_listening
from infra.local.postgres import Postgres
from ingest import service, serving
from tests.support.line import Line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.process import IngestProcess, free_port, ingest_process, running
from tests.support.tenant import Tenant


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ingest.log"


class Sender:
    """A device that publishes numbered readings and repeats each until it is acknowledged; `door` says where."""

    def __init__(self, door: "IngestProcess | Doors", tenant: Tenant, device: Device, token: str) -> None:
        self._door = door
        self._name = f"{tenant.key}/d/{device.key}"
        self._token = token
        self.client = self._new()
        self.acknowledged: list[int] = []

    def _new(self) -> DeviceClient:
        return DeviceClient("127.0.0.1", self._door.mqtt_port, self._name, self._token)

    async def publish(self, payload: object) -> None:
        await self.client.publish(f"t/{self._name}/up/telemetry", orjson.dumps(payload))

    async def deliver(self, numbers: range, at: int) -> None:
        """Publish each number once acknowledged by whoever runs the process now."""
        for number in numbers:
            while True:
                try:
                    await self.publish({"time": at + number, "seq": number, "values": {"temperature": number % 50}})
                    self.acknowledged.append(number)
                    break
                except (OSError, Refused):
                    await self.again()

    async def again(self) -> None:
        """Connect anew."""
        await self.client.close()
        self.client = self._new()
        try:
            await self.client.connect()
        except OSError:
            await asyncio.sleep(0.1)


class Doors:
    """Several processes behind one name, as behind a balancer: each new connection goes to the next of them."""

    def __init__(self, *processes: IngestProcess) -> None:
        self._next = itertools.cycle(processes)

    @property
    def mqtt_port(self) -> int:
        """Where to connect this time."""
        return next(self._next).mqtt_port


async def sender(door: IngestProcess | Doors, tenant: Tenant) -> tuple[Sender, Device]:
    device = await tenant.device()
    made = Sender(door, tenant, device, await tenant.device_token(device))
    await made.client.connect()
    return made, device


async def until(condition: Any, timeout_s: float = PATIENCE_S) -> None:
    """Wait until condition() holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_device_logs_in_publishes_and_is_present(postgres: Postgres, tenant: Tenant, log: Path) -> None:
    line = Line(postgres)
    async with ingest_process(postgres.url("ingest"), log) as process:
        device, row = await sender(process, tenant)
        await device.publish({"temperature": 4.5, "door_open": True})
        assert [values for *_, values in line.stored(tenant)] == [{"temperature": 4.5, "door_open": True}]
        assert process.get("/health/live") == 200
        assert 'tidegate_ingest_messages_total{verdict="stored"} 1.0' in process.text("/metrics")
        await device.client.close()
        await until(lambda: "device.disconnected" in [kind for kind, _ in line.journal(tenant)])
    told = [(kind, body) for kind, body in line.journal(tenant) if kind in ("device.connected", "device.disconnected")]
    assert [kind for kind, _ in told] == ["device.connected", "device.disconnected"]
    assert {body["device"] for _, body in told} == {str(row.id)}
    assert told[0][1]["epoch"] == told[1][1]["epoch"] == 1
    assert told[1][1]["reason"] == "client"


async def test_sigterm_acknowledges_what_was_taken_and_says_who_left(
    postgres: Postgres, tenant: Tenant, log: Path
) -> None:
    line = Line(postgres)
    async with ingest_process(postgres.url("ingest"), log) as process:
        device, _ = await sender(process, tenant)
        flying = [asyncio.create_task(device.publish({"seq": n, "values": {"temperature": n}})) for n in range(50)]
        await until(lambda: any(task.done() for task in flying))
        assert await process.stop() == 0
        results = await asyncio.gather(*flying, return_exceptions=True)
    acknowledged = sum(result is None for result in results)
    assert acknowledged >= 1
    assert len(line.stored(tenant)) >= acknowledged
    assert [body["reason"] for kind, body in line.journal(tenant) if kind == "device.disconnected"] == ["shutdown"]


@pytest.mark.parametrize("failpoint", ["before_commit", "after_commit_before_ack"])
async def test_a_death_around_the_commit_loses_and_doubles_nothing(
    postgres: Postgres, tenant: Tenant, log: Path, failpoint: str
) -> None:
    line, at = Line(postgres), now_ms()
    process = IngestProcess(postgres.url("ingest"), log)
    await process.start()
    device, row = await sender(process, tenant)
    try:
        await device.deliver(range(5), at)
        assert await process.stop() == 0
        await process.start(failpoint)
        delivering = asyncio.create_task(device.deliver(range(5, 10), at))
        assert await process.ended() == -signal.SIGKILL
        await process.start()
        await asyncio.wait_for(delivering, PATIENCE_S)
    finally:
        await device.client.close()
        await process.stop(signal.SIGKILL)
    assert [(seq, time - at) for _, time, seq, _ in line.stored(tenant)] == [(n, n) for n in range(10)]
    repeated = int(failpoint == "after_commit_before_ack")  # stored, but its device could not know
    assert line.counts(tenant)[str(row.id)] == [10 + repeated, 10, repeated, 0, 0, 0]


async def test_a_message_with_qos_2_is_stored_once_though_the_process_dies_before_its_pubrec(
    postgres: Postgres, tenant: Tenant, log: Path
) -> None:
    line, at = Line(postgres), now_ms()
    device = await tenant.device()
    name, token = f"{tenant.key}/d/{device.key}", await tenant.device_token(device)
    process = IngestProcess(postgres.url("ingest"), log)
    await process.start("after_commit_before_ack")
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv311, clean_session=False)
    client.username_pw_set(name, token)
    client.reconnect_delay_set(1, 1)
    await asyncio.to_thread(client.connect, "127.0.0.1", process.mqtt_port)
    client.loop_start()
    try:
        said = [orjson.dumps({"time": at, "seq": 1, "values": {"temperature": 4}}), b'{"temperature": 5}']
        sent = client.publish(f"t/{name}/up/telemetry", said[0], qos=2)
        assert await process.ended() == -signal.SIGKILL
        assert len(line.stored(tenant)) == 1, "it was committed"
        assert not sent.is_published(), "but the device could not know"
        await process.start()
        await asyncio.to_thread(sent.wait_for_publish, PATIENCE_S)
        assert sent.is_published()
        after = client.publish(f"t/{name}/up/telemetry", said[1], qos=2)
        await asyncio.to_thread(after.wait_for_publish, PATIENCE_S)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
        await process.stop(signal.SIGKILL)
    assert [values for *_, values in line.stored(tenant)] == [{"temperature": 4}, {"temperature": 5}]
    assert line.counts(tenant)[str(device.id)] == [3, 2, 1, 0, 0, 0]


async def test_kills_at_random_lose_and_double_nothing(postgres: Postgres, tenant: Tenant, log: Path) -> None:
    line, at = Line(postgres), now_ms()
    process = IngestProcess(postgres.url("ingest"), log)
    await process.start()
    senders = [(await sender(process, tenant))[0] for _ in range(5)]
    try:
        delivering = asyncio.gather(*(each.deliver(range(400), at - 1_000) for each in senders))
        for kill in range(3):
            await until(lambda done=100 * (kill + 1): sum(len(each.acknowledged) for each in senders) >= done)
            await process.stop(signal.SIGKILL)
            await process.start()
        await asyncio.wait_for(delivering, PATIENCE_S)
    finally:
        for each in senders:
            await each.client.close()
        await process.stop(signal.SIGKILL)
    assert len(line.stored(tenant)) == 5 * 400
    in_journal = [tuple(row[:3]) for kind, body in line.journal(tenant) for row in body.get("r", [])]
    assert len(in_journal) == len(set(in_journal)) == 5 * 400


async def test_a_revoked_credential_cuts_its_connection_and_no_other(
    postgres: Postgres, tenant: Tenant, log: Path
) -> None:
    async with ingest_process(postgres.url("ingest"), log) as process:
        (revoked, row), (other, _) = await sender(process, tenant), await sender(process, tenant)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            [credential] = (await devices.credentials_of(tx, [row.id]))[row.id]
            await devices.revoke_credential(tx, credential.id)
        await until(lambda: not revoked.client.is_connected)
        with pytest.raises(Refused):
            await revoked.again()
        await other.publish({"temperature": 1})
        await other.client.close()


async def test_a_suspended_device_is_cut_refused_and_let_in_again(
    postgres: Postgres, tenant: Tenant, log: Path
) -> None:
    line = Line(postgres)
    async with ingest_process(postgres.url("ingest"), log) as process:
        (suspended, row), (other, _) = await sender(process, tenant), await sender(process, tenant)
        await suspended.publish({"temperature": 1})
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.suspend(tx, row.id)
        await until(lambda: not suspended.client.is_connected, TOLD_S)
        with pytest.raises(Refused):
            await suspended.again()
        await until(lambda: "suspended" in [body.get("reason") for _, body in line.journal(tenant)])
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.resume(tx, row.id)
        await suspended.again()
        await suspended.publish({"temperature": 2})
        await other.publish({"temperature": 3})
        for each in (suspended, other):
            await each.client.close()
    assert [values for device, _, _, values in line.stored(tenant) if device == row.id] == [
        {"temperature": 1},
        {"temperature": 2},
    ]
    assert line.counts(tenant)[str(row.id)] == [2, 2, 0, 0, 0, 0]


async def test_a_device_that_comes_in_by_another_process_is_put_out_of_the_first(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    line = Line(postgres)
    async with (
        ingest_process(postgres.url("ingest"), tmp_path / "first.log") as first,
        ingest_process(postgres.url("ingest"), tmp_path / "second.log") as second,
    ):
        here, row = await sender(first, tenant)
        there = Sender(second, tenant, row, await tenant.device_token(row))
        await there.client.connect()
        await until(lambda: not here.client.is_connected, TOLD_S)
        await there.publish({"temperature": 2})
        await until(lambda: "device.disconnected" in [kind for kind, _ in line.journal(tenant)])
        assert there.client.is_connected
        gone = [body for kind, body in line.journal(tenant) if kind == "device.disconnected"]
        assert [(body["reason"], body["epoch"]) for body in gone] == [("take_over", 1)]
        await there.client.close()


@pytest.mark.parametrize("is_one_port", [False, True], ids=["behind a balancer", "on one port"])
async def test_two_processes_restarted_one_after_the_other_lose_and_double_nothing(
    is_one_port: bool, postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    line, at, url = Line(postgres), now_ms(), postgres.url("ingest")
    first = IngestProcess(url, tmp_path / "first.log")
    log = tmp_path / "second.log"
    second = first.twin(log) if is_one_port else IngestProcess(url, log)
    async with running(first), running(second):
        doors = Doors(first, second)
        senders = [(await sender(doors, tenant))[0] for _ in range(6)]
        delivering = asyncio.gather(*(each.deliver(range(150), at - 1_000) for each in senders))
        for restart, process in enumerate((first, second)):
            await until(lambda done=250 * (restart + 1): sum(len(each.acknowledged) for each in senders) >= done)
            assert await process.stop() == 0
            assert is_listening(process.mqtt_port) is is_one_port  # the other one is there
            await process.start()
        await asyncio.wait_for(delivering, 2 * PATIENCE_S)
        for each in senders:
            await each.client.close()
        assert await first.stop() == await second.stop() == 0
    assert len(line.stored(tenant)) == 6 * 150
    in_journal = [tuple(row[:3]) for kind, body in line.journal(tenant) for row in body.get("r", [])]
    assert len(in_journal) == len(set(in_journal)) == 6 * 150
    gone = [body["reason"] for kind, body in line.journal(tenant) if kind == "device.disconnected"]
    assert gone.count("shutdown") >= 6, "each process had devices when it was told to stop"
    assert "ingest.undrained" not in first.log.read_text() + second.log.read_text()


async def test_after_the_database_was_away_sessions_are_checked_and_the_good_ones_go_on(
    postgres: Postgres, tenant: Tenant, log: Path
) -> None:
    line = Line(postgres)
    async with ingest_process(postgres.url("ingest"), log) as process:
        (good, _), (gone, row) = await sender(process, tenant), await sender(process, tenant)
        await good.publish({"temperature": 1})
        await line.change("UPDATE devices SET status = 'suspended' WHERE id = %s", row.id)  # nobody notifies
        await asyncio.to_thread(postgres.stop)
        waiting = asyncio.create_task(good.publish({"temperature": 2}))
        await asyncio.to_thread(postgres.start)
        await asyncio.wait_for(waiting, PATIENCE_S)
        await until(lambda: not gone.client.is_connected)
        assert good.client.is_connected
        assert len(line.stored(tenant)) == 2
        await good.client.close()


async def test_a_changed_profile_counts_from_the_next_message(postgres: Postgres, tenant: Tenant, log: Path) -> None:
    line = Line(postgres)
    async with ingest_process(postgres.url("ingest"), log) as process:
        device, _ = await sender(process, tenant)
        await device.publish({"mode": "eco"})
        profile = await tenant.profile()
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            metrics = [Metric("mode", MetricType.NUMBER)]
            await devices.profile_change(tx, profile.id, metrics=metrics, expected_version=profile.version)
        for number in range(1_000):
            await device.publish({"mode": f"eco {number}"})
            if line.inbox(tenant):
                break
            await asyncio.sleep(0.05)
        assert [reason for _, reason, _, _ in line.inbox(tenant)] == ["TYPE"]
        await device.publish({"mode": 3})
        assert {"mode": 3} in [values for *_, values in line.stored(tenant)]
        await device.client.close()


async def test_a_port_that_is_taken_is_said_in_one_line(postgres: Postgres, log: Path) -> None:
    process = IngestProcess(postgres.url("ingest"), log)
    with socket.create_server(("127.0.0.1", process.mqtt_port)):
        with pytest.raises(AssertionError):
            await process.start()
        assert await process.ended() == 1
    said = [line for line in log.read_text().splitlines() if line.startswith("tidegate:")]
    assert len(said) == 1
    assert f"TIDEGATE_MQTT_PORT is {process.mqtt_port}" in said[0]
    assert "Traceback" not in log.read_text()


async def test_a_web_server_that_dies_ends_the_process(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def dying(_server: uvicorn.Server, _counter: int) -> bool:
        raise OSError("it is no more")

    monkeypatch.setattr(serving._Server, "on_tick", dying)  # ours alone: other tests' servers go on in this process
    names = (
        "mqtt_port",
        "mqtts_port",
        "mqtt_ws_port",
        "mqtt_wss_port",
        "ingest_http_port",
        "ingest_https_port",
        "coap_port",
    )
    ports = {name: free_port() for name in (*names, "metrics_port")}
    settings = Settings(database_url=postgres.url("ingest"), data_dir=tmp_path, **ports)  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE_S):
        assert not await service.run(settings, asyncio.Event())
    assert "web server" in {getattr(record, "part", None) for record in caplog.records}


def test_without_a_database_it_says_which_variable_is_missing() -> None:
    with pytest.raises(SettingError, match="TIDEGATE_DATABASE_URL"):
        service.main(Settings())
