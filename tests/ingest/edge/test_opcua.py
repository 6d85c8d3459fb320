"""OPC-UA against a real server: trust, login, watching, writing, calling, browsing, and every way to lose a server."""

import asyncio
import contextlib
import dataclasses
import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import cert_gen

from engine import clock
from ingest.edge import document, opcua, points
from ingest.edge.driver import Away, Cut, Failed, Sample
from ingest.edge.opcua import browse
from ingest.edge.opcua.driver import OpcuaDriver
from ingest.edge.opcua.settings import Settings
from ingest.edge.points import PointTable
from tests.support.opcua_plant import OPEN, SECURE, URI, Bearers, Identity, OpcuaPlant, Users, plant, trusted_by

PATIENCE_S = 20.0
NAMES = ("temperature", "pressure", "count", "running", "state", "profile")


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Identity.make()


@pytest.fixture(scope="module")
async def running(identity: Identity) -> AsyncIterator[OpcuaPlant]:
    async with plant(identity, policies=SECURE + OPEN) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, identity: Identity) -> Path:
    trusted_by(tmp_path, identity)
    return tmp_path


def table(running: OpcuaPlant, *names: str, link: dict[str, Any] | None = None, **point: Any) -> PointTable:
    said: list[dict[str, Any]] = [
        {"metric": name, "address": {"node": f"nsu={URI};s={name.title()}"}} | point for name in names
    ]
    device = {"connection": "plc", "every": "50 ms", "on_change": True, "points": said}
    connection = {"protocol": "opcua", "url": running.url} | (link or {})
    return points.parse(document.of({"connections": {"plc": connection}, "devices": {"line": device}}, "points"))


def driver(found: PointTable, folder: Path, **times: float) -> OpcuaDriver:
    connection = found.connections["plc"]
    if times:
        assert isinstance(connection.settings, Settings)
        connection = dataclasses.replace(connection, settings=dataclasses.replace(connection.settings, **times))
    made = opcua.driver(connection, folder)
    assert isinstance(made, OpcuaDriver)
    return made


class Told:
    """What a driver told, and that it lost its server."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.lost: list[str] = []

    def of(self, metric: str) -> list[Any]:
        return [s.error or s.raw for s in self.samples if s.point.metric == metric]

    async def until(self, there: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not there():
                await asyncio.sleep(0.01)

    def __repr__(self) -> str:
        return str([(x.point.metric, str(x.error or x.raw)[:50]) for x in self.samples]) + str(self.lost)


@asynccontextmanager
async def watching(
    found: PointTable, folder: Path, told: Told | None = None, **times: float
) -> AsyncIterator[tuple[OpcuaDriver, Told]]:
    opened, told = driver(found, folder, **times), told or Told()
    try:
        await opened.open(told.lost.append)
        await opened.watch([point for point in found.points if point.is_read], told.samples.append)
        yield opened, told
    finally:
        await opened.close()


def policies_in_use(running: OpcuaPlant) -> set[tuple[str, str]]:
    assert running.server.bserver is not None
    channels = [client.processor._connection.security_policy for client in running.server.bserver.clients]
    return {(policy.URI.rsplit("#")[-1], policy.Mode.name) for policy in channels}


async def test_an_unknown_server_is_refused_with_the_file_to_move_and_spoken_to_once_it_is_moved(
    running: OpcuaPlant, tmp_path: Path
) -> None:
    found = table(running, "count")
    with pytest.raises(Away) as refused:
        await driver(found, tmp_path).open(lambda words: None)
    (shown,) = (tmp_path / "opcua" / "rejected").iterdir()
    assert str(shown) in str(refused.value)
    assert str(tmp_path / "opcua" / "trusted") in str(refused.value)
    shown.rename(tmp_path / "opcua" / "trusted" / shown.name)
    async with watching(found, tmp_path) as (opened, _):
        assert [sample.raw for sample in await opened.read(found.points)] == [7]
        assert policies_in_use(running) == {("Basic256Sha256", "SignAndEncrypt")}
    assert (tmp_path / "opcua" / "own" / "key.pem").stat().st_mode & 0o777 == 0o600


async def test_the_edges_certificate_is_made_once(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "count")
    made = []
    for _ in range(2):
        async with watching(found, folder):
            made.append((folder / "opcua" / "own" / "certificate.der").read_bytes())
    assert made[0] == made[1]


async def test_a_server_that_offers_less_than_the_table_asks_for_is_not_spoken_to_also_not_after_a_cut(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = table(running, "count")
    async with watching(found, folder) as (_, told):
        server = running.server.iserver
        only_open = [e for e in server.endpoints if e.SecurityMode == ua.MessageSecurityMode.None_]
        monkeypatch.setattr(server, "endpoints", only_open)
        await running.forget()
        running.cut()
        await told.until(lambda: told.lost)
    with pytest.raises(Away, match="does not offer Basic256Sha256 SignAndEncrypt, only None"):
        await driver(found, folder).open(lambda words: None)


async def test_there_is_no_security_only_where_the_table_says_so_and_then_it_is_warned_of(
    running: OpcuaPlant, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with watching(table(running, "count", link={"security": "none"}), folder) as (_, told):
            await told.until(lambda: told.of("count") == [7])
            assert policies_in_use(running) == {("None", "None_")}
    assert "edge.opcua.not_secure" in caplog.messages


async def test_a_login_is_taken_or_refused_in_words(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.server.iserver, "user_manager", Users(is_open=False))
    secret = folder / "password"
    login = {"user": "operator", "password_file": str(secret)}
    with pytest.raises(Away, match="cannot be read"):
        await driver(table(running, "count", link=login), folder).open(lambda words: None)
    for password, words in (("secret\n", None), ("wrong", "check the login"), (None, "check the login")):
        secret.write_text(password or "")
        found = table(running, "count", link=login if password else {})
        if words is None:
            async with watching(found, folder) as (opened, _):
                assert [sample.raw for sample in await opened.read(found.points)] == [7]
        else:
            with pytest.raises(Away, match=words):
                await driver(found, folder).open(lambda words: None)


async def test_a_user_may_be_known_by_a_certificate(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, stranger = Identity.make(), Identity.make()
    monkeypatch.setattr(running.server.iserver, "user_manager", Bearers(operator.der))
    for who, is_known in ((operator, True), (stranger, False)):
        (folder / "user.der").write_bytes(who.der)
        (folder / "user.pem").write_bytes(cert_gen.dump_private_key_as_pem(who.key))
        found = table(running, "count", link={"user_certificate": "user.der", "user_key": "user.pem"})
        if is_known:
            async with watching(found, folder) as (opened, _):
                assert [sample.raw for sample in await opened.read(found.points)] == [7]
        else:
            with pytest.raises(Away, match="check the login"):
                await driver(found, folder).open(lambda words: None)


async def test_values_come_with_the_machines_own_time_and_quality(running: OpcuaPlant, folder: Path) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)
    async with watching(table(running, *NAMES), folder) as (_, told):
        await told.until(lambda: len(told.samples) == len(NAMES))
        first = {s.point.metric: s.error or s.raw for s in told.samples}
        assert first["temperature"] == 21.5
        assert first["pressure"] == 0.1  # a 32-bit float
        assert (first["count"], first["running"], first["state"]) == (7, True, "idle")
        assert first["profile"] == "The node is an array; name a node with one value."
        told.samples.clear()
        await running.tell("temperature", 22.5, at)
        await told.until(lambda: told.samples)
        await running.tell("temperature", 23.5, at, ua.StatusCodes.UncertainSensorNotAccurate)
        await told.until(lambda: len(told.samples) == 2)
        await running.tell("temperature", 24.5, at, ua.StatusCodes.BadSensorFailure)
        await told.until(lambda: len(told.samples) == 3)
        await running.tell("temperature", 21.5)
    good, uncertain, bad = told.samples[:3]
    assert (good.raw, good.quality, good.source_ms) == (22.5, "good", clock.to_ms(at))
    assert (uncertain.raw, uncertain.quality) == (23.5, "uncertain")
    assert (bad.raw, bad.quality) == (None, "bad")
    assert "BadSensorFailure" in str(bad.error)


async def test_what_no_reading_can_hold_is_an_error_and_hurts_nobody(running: OpcuaPlant, folder: Path) -> None:
    async with watching(table(running, "temperature", "state", "count"), folder) as (opened, told):
        await told.until(lambda: told.of("temperature") and told.of("state") and told.of("count"))
        await running.tell("temperature", math.nan)
        await running.tell("state", "x" * 100_000)
        await running.tell("count", 8)
        await told.until(lambda: told.of("temperature")[-1] == "The value is nan, which is no number.")
        await told.until(lambda: told.of("state")[-1] == "The text has 100000 characters; 1024 are the most.")
        await told.until(lambda: told.of("count")[-1] == 8)
        await running.tell("state", b"K\xfcche".decode(errors="surrogateescape"))  # Latin-1, as many a machine has it
        await told.until(lambda: told.of("state")[-1] == "Küche")
        assert (await opened.discover({}, nullcontext))[0].found is None  # of the temperature, which is no number
        for name, value in (("temperature", 21.5), ("state", "idle"), ("count", 7)):
            await running.tell(name, value)
    wrong = table(running, "state", type="float64")
    async with watching(wrong, folder) as (opened, _):
        (sample,) = await opened.read(wrong.points)
        assert sample.error == "The node is a text, the point table says float64; correct the type there."


async def test_a_node_that_is_not_there_does_not_hurt_the_others_and_is_read_once_it_is(
    running: OpcuaPlant, folder: Path
) -> None:
    found = table(running, "count", "latecomer", "gone")
    async with watching(found, folder) as (opened, told):
        await told.until(lambda: told.of("count") == [7])
        assert [s.error is None for s in await opened.read(found.points)] == [True, False, False]
        await running.add("latecomer", 5, ua.VariantType.Int32)
        samples = {s.point.metric: s.raw for s in await opened.read(found.points)}
        assert samples == {"count": 7, "latecomer": 5, "gone": None}
        assert not told.lost
    await running.server.delete_nodes([running.nodes.pop("latecomer")])


@pytest.mark.filterwarnings("ignore:coroutine 'MonitoredItemService")  # this server forgets to tell of it
async def test_a_node_that_disappears_is_told_and_watched_again_when_it_is_back(
    running: OpcuaPlant, folder: Path
) -> None:
    await running.add("guest", 1, ua.VariantType.Int32)
    found, told = table(running, "count", "guest"), Told()
    async with watching(found, folder, told, probe_s=0.05, check_s=0.1):
        await told.until(lambda: told.of("count") == [7] and told.of("guest") == [1])
        await running.server.delete_nodes([running.nodes.pop("guest")])
        await told.until(lambda: "BadNodeIdUnknown" in str(told.of("guest")[-1]))
        await running.tell("count", 8)
        await told.until(lambda: told.of("count")[-1] == 8)
        assert not told.lost
        await running.add("guest", 2, ua.VariantType.Int32)
        await told.until(lambda: told.lost)
    async with watching(found, folder, told):
        await told.until(lambda: told.of("guest")[-1] == 2)
    await running.server.delete_nodes([running.nodes.pop("guest")])
    await running.tell("count", 7)


async def test_the_server_keeps_small_changes_to_itself(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "temperature", deadband=2.0, scale=0.1, type="float64")
    async with watching(found, folder) as (_, told):
        await told.until(lambda: told.of("temperature") == [21.5])
        for value in (30.0, 45.0, 70.0):  # 20 raw are a deadband of 2 at a scale of 0.1
            await running.tell("temperature", value)
        await told.until(lambda: told.of("temperature")[-1:] == [70.0])
        await running.tell("temperature", 21.5)
    assert told.of("temperature")[:2] == [21.5, 70.0]


async def test_a_server_without_deadbands_is_watched_all_the_same(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = running.server.iserver.subscription_service
    create = service.create_monitored_items

    async def refuse(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        if any(hasattr(item.RequestedParameters.Filter, "DeadbandType") for item in parameters.ItemsToCreate):
            code = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
            return [ua.MonitoredItemCreateResult(StatusCode=code) for _ in parameters.ItemsToCreate]
        return await create(parameters)

    monkeypatch.setattr(service, "create_monitored_items", refuse)
    async with watching(table(running, "count", deadband=5.0), folder) as (_, told):
        await told.until(lambda: told.of("count") == [7])
        await running.tell("count", 8)
        await told.until(lambda: told.of("count") == [7, 8])
        await running.tell("count", 7)


async def test_a_server_that_takes_few_nodes_at_once_is_asked_for_as_many_as_it_takes(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, refused, most, number = running.server, [], 30, 90

    def limit(owner: object, method: str, nodes: str) -> None:
        ask = getattr(owner, method)

        async def limited(*given: Any) -> Any:
            if any(len(getattr(each, nodes, ())) > most for each in given):
                refused.append(nodes)
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            return await ask(*given)

        monkeypatch.setattr(owner, method, limited)

    limit(server.iserver.subscription_service, "create_monitored_items", "ItemsToCreate")
    for method, nodes in (("read", "NodesToRead"), ("browse", "NodesToBrowse")):
        limit(type(server.iserver.isession), method, nodes)
    index = await server.get_namespace_index(URI)
    rack = await server.nodes.objects.add_object(ua.NodeId("Rack", index), "Rack")
    for n in range(number):
        await rack.add_variable(ua.NodeId(f"Many{n}", index), f"Many{n}", n)
    found = table(running, *(f"many{n}" for n in range(number)))
    try:
        async with watching(found, folder, check_s=0.1, probe_s=0.05) as (opened, told):
            await told.until(lambda: len(told.samples) == number)
            assert [s.raw for s in await opened.read(found.points)] == list(range(number))
            assert refused == ["ItemsToCreate"] * 2  # 90, 45, 22: it is found out once
            most = 10
            await told.until(lambda: "NodesToRead" in refused)  # by the check whether nodes are gone
            with pytest.raises(Cut, match="there are more than 40 points") as cut:
                await opened.discover({"under": f"nsu={URI};s=Rack", "most": 40}, nullcontext)
            assert [p.found for p in cut.value.found] == list(range(40))
            assert told.lost == []
    finally:
        await server.delete_nodes([rack], recursive=True)


async def test_a_server_without_subscriptions_is_polled(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)

    monkeypatch.setattr(running.server.iserver.subscription_service, "create_subscription", refuse)
    found = table(running, "count")
    opened = driver(found, folder)
    await opened.open(lambda words: None)
    assert list(await opened.watch(found.points, lambda sample: None)) == []
    assert [s.raw for s in await opened.read(found.points)] == [7]
    await opened.close()


async def test_values_are_written_as_the_nodes_own_type(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "count", "pressure", "running", "state", access="read-write")
    count, pressure, is_running, state = found.points
    async with watching(found, folder) as (opened, _):
        await opened.write(count, 9.0)
        await opened.write(pressure, 2.5)
        await opened.write(is_running, False)
        samples = {s.point.metric: s.raw for s in await opened.read(found.points)}
        assert samples == {"count": 9, "pressure": 2.5, "running": False, "state": "idle"}
        for point, value, words in (
            (count, 70_000, "from -32768 to 32767"),
            (count, "much", "a whole number"),
            (pressure, 1e300, "too large"),
            (is_running, 1, "true or false"),
            (state, "busy", "BadUserAccessDenied"),
        ):
            with pytest.raises(Failed, match=words):
                await opened.write(point, value)
        await opened.write(is_running, True)
        await opened.write(count, 7)
        await running.tell("pressure", 0.1)


async def test_methods_are_called_with_arguments_by_name(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "start", access="command")
    (start,) = found.points
    async with watching(found, folder) as (opened, _):
        assert await opened.call(start, {"reverse": True, "rpm": 900}) == {"accepted": True, "words": "900 rpm"}
        assert running.called[-1] == (900.0, True)
        for arguments, words in (
            ({"rpm": 900}, "'reverse' is missing; it takes `rpm`, `reverse`"),
            ({"rpm": 1, "reverse": True, "now": 1}, "takes no argument 'now'"),
            ({"rpm": "fast", "reverse": True}, "Argument 'rpm': The node takes a number"),
            ({"rpm": 9000, "reverse": True}, r"\(Bad"),
        ):
            with pytest.raises(Failed, match=words):
                await opened.call(start, arguments)


async def test_browsing_proposes_points_with_type_and_unit_and_is_bounded(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = table(running, "count")
    # a circle: the line contains itself
    await running.nodes["line"].add_reference(running.nodes["line"], ua.ObjectIds.HasComponent, True, False)
    async with watching(found, folder) as (opened, _):
        proposed = {p.metric: p for p in await opened.discover({}, nullcontext)}
        assert set(proposed) == {"Temperature", "Pressure", "Count", "Running", "State", "Start"}
        temperature, start = proposed["Temperature"], proposed["Start"]
        assert temperature.address == {"node": f"nsu={URI};s=Temperature"}
        assert (temperature.device, temperature.type, temperature.unit) == ("Line1", "float64", "degC")
        assert (temperature.access, temperature.found) == ("read-write", 21.5)
        assert (proposed["State"].access, proposed["Count"].type) == ("read", "int16")
        assert (start.access, start.address["object"]) == ("command", f"nsu={URI};s=Line1")
        with pytest.raises(Cut, match="What was found stands") as cut:
            await opened.discover({"most": 2}, nullcontext)
        assert len(cut.value.found) == 2
        assert await opened.discover({"under": f"nsu={URI};s=Count"}, nullcontext) == []
        for wanted in ({"depth": 99}, {"most": 0}, {"under": "nonsense"}, {"range": 1}):
            with pytest.raises(Failed):
                await opened.discover(wanted, nullcontext)
        monkeypatch.setattr(browse, "_FOR_S", 0.0)
        with pytest.raises(Cut, match="Not all was looked at: it took 0 s already"):
            await opened.discover({}, nullcontext)


async def test_what_changed_while_the_connection_was_cut_comes_afterwards_in_order(
    running: OpcuaPlant, folder: Path
) -> None:
    found, told = table(running, "count"), Told()
    async with watching(found, folder, told):
        await told.until(lambda: told.of("count") == [7])
        running.cut()
        await told.until(lambda: told.lost)
        for value in range(100, 105):
            await running.tell("count", value)
            await asyncio.sleep(0.06)  # some of it is sent into the void, some is queued
    sessions = len(running.server.iserver._external_sessions)
    async with watching(found, folder, told):
        await running.tell("count", 105)
        await told.until(lambda: told.of("count")[-1:] == [105])
        assert policies_in_use(running) == {("Basic256Sha256", "SignAndEncrypt")}
        assert len(running.server.iserver._external_sessions) == sessions == 1
    assert told.of("count") == [7, 100, 101, 102, 103, 104, 105]
    assert not running.server.iserver._external_sessions
    await running.tell("count", 7)


async def test_a_session_that_the_server_forgot_is_made_anew(running: OpcuaPlant, folder: Path) -> None:
    found, told = table(running, "count"), Told()
    async with watching(found, folder, told, probe_s=0.2):
        await told.until(lambda: told.of("count") == [7])
        await running.forget()
        await told.until(lambda: told.lost)
    async with watching(found, folder, told):
        await told.until(lambda: told.of("count") == [7, 7])


async def test_a_server_that_restarts_is_away_meanwhile_and_watched_again_afterwards(
    running: OpcuaPlant, folder: Path
) -> None:
    found, told = table(running, "count"), Told()

    async def is_away() -> None:
        for _ in range(2):
            with pytest.raises(Away, match="Nobody listens there"):
                await driver(found, folder).open(lambda words: None)

    async with watching(found, folder, told):
        await told.until(lambda: told.of("count") == [7])
        restarting = asyncio.create_task(running.restart(is_away))
        await told.until(lambda: told.lost)
    await asyncio.wait_for(restarting, PATIENCE_S)
    async with watching(found, folder, told):
        await told.until(lambda: told.of("count") == [7, 7])
        await running.tell("count", 8)
        await told.until(lambda: told.of("count") == [7, 7, 8])
        await running.tell("count", 7)


async def test_a_server_that_comes_again_with_another_certificate_is_not_trusted(
    running: OpcuaPlant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, told = table(running, "count", link={"timeout": "2 s"}), Told()
    other = Identity.make()
    async with watching(found, folder, told):
        running.cut()
        await told.until(lambda: told.lost)
    server = running.server
    endpoints = [dataclasses.replace(e, ServerCertificate=other.der) for e in server.iserver.endpoints]
    monkeypatch.setattr(server.iserver, "endpoints", endpoints)
    assert server.bserver is not None
    for factory in server.bserver._policies:
        if getattr(factory, "certificate", None) is not None:
            monkeypatch.setattr(factory, "certificate", other.certificate)
            monkeypatch.setattr(factory, "private_key", other.key)
    await running.forget()
    with pytest.raises(Away, match="another certificate than the one that is trusted"):
        await driver(found, folder).open(lambda words: None)


async def test_a_certificate_that_is_not_trusted_any_more_ends_the_session_at_the_next_connection(
    running: OpcuaPlant, folder: Path
) -> None:
    found, told = table(running, "count"), Told()
    async with watching(found, folder, told):
        running.cut()
        await told.until(lambda: told.lost)
    (folder / "opcua" / "trusted" / "plant.der").unlink()
    with pytest.raises(Away, match="is not trusted yet"):
        await driver(found, folder).open(lambda words: None)


async def test_the_keys_of_a_connection_are_renewed_while_values_come(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "count")
    async with watching(found, folder, channel_s=0.4) as (opened, told):
        channel = opened._session.services._client.protocol._connection
        seen: set[int] = set()
        for value in range(200):
            await running.tell("count", 100 + value)
            await told.until(lambda wanted=100 + value: told.of("count")[-1:] == [wanted])
            seen.add(int(channel.security_token.TokenId))
            if len(seen) == 4:
                break
        assert len(seen) == 4
        assert not told.lost
        await running.tell("count", 7)


async def test_a_hundred_reconnects_leave_nothing_behind(running: OpcuaPlant, folder: Path) -> None:
    found = table(running, "count", "temperature")
    held: list[tuple[int, int]] = []
    for n in range(100):
        told = Told()
        async with watching(found, folder, told):
            if n % 8 == 0:
                continue  # closed as it should be
            running.cut()
            await told.until(lambda told=told: told.lost)
            if n % 8 == 1:
                await running.forget()
        if n in (10, 98):
            held.append((len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))))
    await running.forget()
    for before, after in zip(*held, strict=True):
        assert after < before + 10, "some may be on their way out; ninety that each left something would show"


NONSENSE = {
    "says nothing": b"",
    "speaks another language": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50,
    "promises four gigabytes": b"ACKF\xff\xff\xff\xff",
    "answers with an error": b"ERRF\x14\x00\x00\x00\x00\x00\x7d\x80\x04\x00\x00\x00full",
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
async def test_what_is_no_server_is_away_and_cannot_fill_the_memory(said: bytes, tmp_path: Path) -> None:
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            while said and sent < 50_000_000:
                writer.write(said if sent == 0 or not said.startswith(b"ACKF") else bytes(100_000))
                sent += 100_000
                await writer.drain()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = {"protocol": "opcua", "url": f"opc.tcp://127.0.0.1:{port}", "timeout": "1 s"}
    found = points.parse(document.of({"connections": {"plc": connection}, "devices": {}}, "points"))
    opened = driver(found, tmp_path)
    with pytest.raises(Away):
        await opened.open(lambda words: None)
    await opened.close()
    server.close()
    if said.startswith(b"ACKF"):
        assert sent < 20_000_000  # what fits into the buffers of two sockets, and our bound


WRONG: Sequence[tuple[dict[str, Any], str]] = [
    ({"url": "http://plc"}, "opc.tcp://host:4840"),
    ({"url": "opc.tcp://:4840"}, "names no host"),
    ({"url": "opc.tcp://a:b@plc:4840"}, "password_file"),
    ({"security": "Basic128Rsa15"}, "Basic256Sha256"),
    ({"user": "a"}, "belong together"),
    ({"user_key": "a"}, "belong together"),
    ({"security": "none", "user": "a", "password_file": "b"}, "read and used by others"),
]


@pytest.mark.parametrize(("link", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_table_that_cannot_be_used_says_what_to_write(link: dict[str, Any], words: str) -> None:
    said = {"protocol": "opcua", "url": "opc.tcp://plc:4840"} | link
    with pytest.raises(points.TableWrong, match=words):
        points.parse(document.of({"connections": {"plc": said}, "devices": {}}, "points"))


@pytest.mark.parametrize("node", ["", "Line1", "ns=x;s=a", "i=abc", "nsu=a"])
def test_an_address_that_is_no_node_says_what_to_write(node: str) -> None:
    said = {
        "connections": {"plc": {"protocol": "opcua", "url": "opc.tcp://plc:4840"}},
        "devices": {"d": {"connection": "plc", "points": [{"metric": "m", "address": {"node": node}}]}},
    }
    with pytest.raises(points.TableWrong, match="such as ns=2"):
        points.parse(document.of(said, "points"))
