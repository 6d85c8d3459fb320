"""BACnet/IP against a device on the loopback: reading, watching, commanding, finding, and devices that are silent."""

import asyncio
import dataclasses
import math
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from bacpypes3.apdu import UnconfirmedCOVNotificationRequest
from bacpypes3.basetypes import BinaryPV, PropertyValue, Segmentation
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.object import AnalogValueObject
from bacpypes3.pdu import Address as Station
from bacpypes3.primitivedata import Unsigned

from engine import units
from ingest.edge import bacnet, document, points
from ingest.edge.bacnet.driver import BacnetDriver
from ingest.edge.bacnet.settings import Settings
from ingest.edge.bacnet.units import _OURS
from ingest.edge.driver import Away, Cut, Failed, Sample
from ingest.edge.points import Point, PointTable
from tests.support.bacnet_plant import FLAGS, OVERRIDDEN, BacnetPlant, building, free_port, share_loopback

PATIENCE_S = 20.0
OBJECTS = {
    "temperature": "analog-input,1",
    "valve": "analog-output,1",
    "door": "binary-input,1",
    "fan": "binary-output,1",
    "mode": "multi-state-value,1",
    "state": "characterstring-value,1",
}


@pytest.fixture
async def plant() -> AsyncIterator[BacnetPlant]:
    async with building() as made:
        yield made


def table(
    of: BacnetPlant, *names: str, link: dict[str, Any] | None = None, address: Any = None, **point: Any
) -> PointTable:
    said = [
        {"metric": name, "address": {"object": OBJECTS.get(name, name)} | (address or {})} | point for name in names
    ]
    place = {"device": of.device, "host": of.place}
    device = {"connection": "building", "address": place, "points": said}
    connection = {"protocol": "bacnet", "interface": "127.0.0.1/32", "port": free_port(), "timeout": "0.6 s"}
    connections = {"building": connection | (link or {})}
    return points.parse(document.of({"connections": connections, "devices": {"ahu": device}}, "points"))


def driver(found: PointTable, **times: float) -> BacnetDriver:
    connection = found.connections["building"]
    assert isinstance(connection.settings, Settings)
    if times:
        connection = dataclasses.replace(connection, settings=dataclasses.replace(connection.settings, **times))
    made = bacnet.driver(connection, Path())
    assert isinstance(made, BacnetDriver)
    return made


class Told:
    """What a driver told."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def of(self, metric: str) -> list[Any]:
        return [s.error or s.raw for s in self.samples if s.point.metric == metric]

    async def until(self, there: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not there():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(found: PointTable, told: Told | None = None, **times: float) -> AsyncIterator[BacnetDriver]:
    opened = driver(found, **times)
    try:
        await opened.open(lambda words: None)
        if told is not None:
            await opened.watch([point for point in found.points if point.is_read], told.samples.append)
        yield opened
    finally:
        await opened.close()


def said(samples: Sequence[Sample]) -> dict[str, Any]:
    return {s.point.metric: s.error or s.raw for s in samples}


EXPECTED = {"temperature": 21.3, "valve": 0.0, "door": True, "fan": False, "mode": 2, "state": "idle"}


@pytest.mark.parametrize("lacks", [(), ("ReadPropertyMultipleRequest",)], ids=["together", "singly"])
async def test_objects_of_all_kinds_are_read_together_or_one_by_one(lacks: Sequence[str]) -> None:
    async with building(lacks=set(lacks)) as plant:
        found = table(plant, *OBJECTS, "analog-input,99")
        async with running(found) as opened:
            for _ in range(2):
                plant.application.asked.clear()
                got = said(await opened.read(found.points))
                assert "unknown-object" in got.pop("analog-input,99")
                assert got == EXPECTED
            if not lacks:
                assert plant.application.asked == ["ReadPropertyMultipleRequest"]
            else:
                assert set(plant.application.asked) == {"ReadPropertyRequest"}


async def test_status_flags_and_reliability_are_the_quality(plant: BacnetPlant) -> None:
    found = table(plant, "temperature")
    async with running(found) as opened:
        plant.objects["temperature"].outOfService = True
        (sample,) = await opened.read(found.points)
        assert (sample.raw, sample.quality) == (21.3, "uncertain")
        plant.objects["temperature"].reliability = "open-loop"
        (sample,) = await opened.read(found.points)
        assert (sample.quality, sample.error) == ("bad", "The device says that the value is faulty (open-loop).")


async def test_what_no_reading_can_hold_is_an_error_and_hurts_nobody(plant: BacnetPlant) -> None:
    plant.objects["temperature"].presentValue = math.nan
    plant.objects["state"].presentValue = "x" * 5_000
    found = table(plant, *OBJECTS)
    wrong = table(plant, "state", type="float32")
    async with running(found) as opened:
        got = said(await opened.read(found.points))
    assert got["temperature"] == "The value is nan, which is no number."
    assert got["mode"] == 2
    assert got["state"] == "The text has 5000 characters; 1024 are the most."
    plant.objects["state"].presentValue = "idle"
    async with running(wrong) as opened:
        assert "the point table says float32" in said(await opened.read(wrong.points))["state"]


async def test_changes_are_told_where_the_device_has_them_and_the_others_are_polled(plant: BacnetPlant) -> None:
    found, told = table(plant, *OBJECTS), Told()
    async with running(found, told) as opened:
        watched = {point.metric for point in opened._watched}
        assert watched == {"temperature", "valve", "door", "fan"}  # the library's other objects have no COV
        await told.until(lambda: said(told.samples).items() >= {n: EXPECTED[n] for n in watched}.items())
        plant.objects["temperature"].presentValue = 22.5
        plant.objects["door"].presentValue = BinaryPV("inactive")
        await told.until(lambda: told.of("temperature")[-1] == 22.5 and told.of("door")[-1] is False)
        plant.flag("temperature", OVERRIDDEN)
        plant.objects["temperature"].presentValue = 23.5
        await told.until(lambda: told.samples[-1].quality == "uncertain")
        settings = found.connections["building"].settings
        assert isinstance(settings, Settings)
        (process,) = (n for point, (_, n) in opened._watched.items() if point.metric == "temperature")
        await plant.application.request(
            UnconfirmedCOVNotificationRequest(
                destination=Station(f"127.0.0.1:{settings.port}"),
                subscriberProcessIdentifier=process,
                initiatingDeviceIdentifier=f"device,{plant.device}",
                monitoredObjectIdentifier=OBJECTS["temperature"],
                timeRemaining=0,
                listOfValues=[PropertyValue(propertyIdentifier="present-value", value=AnyValue(Unsigned(22)))],
            )
        )
        await told.until(lambda: "of another type" in str(told.of("temperature")[-1]))
        assert plant.subscribers == len(watched)
    assert plant.subscribers == 0


async def test_a_device_without_cov_is_polled() -> None:
    async with building(lacks={"SubscribeCOVRequest"}) as plant:
        found, told = table(plant, *OBJECTS), Told()
        async with running(found, told) as opened:
            assert not opened._watched
            assert said(await opened.read(found.points)) == EXPECTED


async def test_subscriptions_are_renewed_and_a_device_that_was_off_is_found_out_and_watched_again(
    plant: BacnetPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BacnetDriver.__init__.__globals__, "_LEAST_PAUSE_S", 0.1)
    monkeypatch.setitem(BacnetDriver.__init__.__globals__, "_MOST_PAUSE_S", 0.1)
    found, told = table(plant, "temperature"), Told()
    async with running(found, told, renew_s=0.2):
        await told.until(lambda: len(told.of("temperature")) >= 3)  # each renewal says the present value
        plant.application.is_silent = True
        await told.until(lambda: "does not answer" in str(told.of("temperature")[-1]))
        for detection in list(plant.application._cov_detections.values()):  # it was off, and has forgotten us
            for subscription in list(detection.cov_subscriptions):
                plant.application.cancel_subscription(subscription)
        plant.application.is_silent = False
        plant.objects["temperature"].presentValue = 25.0
        await told.until(lambda: told.of("temperature")[-1] == 25.0)


async def test_a_device_that_comes_again_with_another_address_is_watched_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_LEAST_PAUSE_S", "_MOST_PAUSE_S"):
        monkeypatch.setitem(BacnetDriver.__init__.__globals__, pause, 0.05)
    port, told = free_port(), Told()
    async with building(host="127.0.0.2", mask=8, port=port, device=78) as plant:
        found = table(plant, "temperature", link={"interface": "127.0.0.1/8", "port": port, "timeout": "0.3 s"})
        moving = [dataclasses.replace(p, address=dataclasses.replace(_address(p), host=None)) for p in found.points]
        opened = driver(found, renew_s=0.1)
        await opened.open(lambda words: None)
        share_loopback(plant.application)
        share_loopback(opened._stack._application)
        assert list(await opened.watch(moving, told.samples.append)) == moving
        await told.until(lambda: told.of("temperature"))
    try:
        await told.until(lambda: "does not answer" in str(told.of("temperature")[-1]))
        async with building(host="127.0.0.3", mask=8, port=port, device=78) as plant:
            share_loopback(plant.application)
            plant.objects["temperature"].presentValue = 26.0
            await told.until(lambda: told.of("temperature")[-1] == 26.0)
            assert plant.subscribers == 1
            await opened.close()
            assert plant.subscribers == 0
    finally:
        await opened.close()


async def test_values_are_commanded_at_a_priority_and_given_back(plant: BacnetPlant) -> None:
    found = table(plant, "valve", "fan", access="read-write", address={"priority": 10})
    by_hand = table(plant, "valve", access="command")
    valve, fan = found.points
    async with running(found) as opened:
        await opened.write(valve, 40.0)
        await opened.write(fan, True)
        assert said(await opened.read(found.points)) == {"valve": 40.0, "fan": True}
        (call,) = by_hand.points
        assert await opened.call(call, {"value": 90, "priority": 8}) == {"present": 90.0}
        await opened.write(valve, 50.0)  # below what is commanded by hand
        assert await opened.call(call, {"value": None, "priority": 8}) == {"present": 50.0}
        assert await opened.call(call, {"value": None, "priority": 10}) == {"present": 0.0}
        assert await opened.call(call, {"value": None, "priority": 16}) == {"present": 0.0}
        for arguments in ({}, {"value": 1, "priority": 0}, {"value": 1, "at": 1}, {"value": "open"}, {"value": 1e300}):
            with pytest.raises(Failed):
                await opened.call(call, arguments)


async def test_what_a_device_refuses_to_write_is_said_in_words(plant: BacnetPlant) -> None:
    found = table(plant, "temperature", "analog-output,99", access="read-write")
    async with running(found) as opened:
        with pytest.raises(Failed, match="no such object"):
            await opened.write(found.points[1], 1.0)
        with pytest.raises(Failed, match="takes a number"):
            await opened.write(found.points[0], True)


async def test_a_silent_device_does_not_keep_the_others_waiting_for_long(plant: BacnetPlant) -> None:
    async with building(device=1202) as other:
        other.application.is_silent = True
        found = table(plant, "temperature")
        lost = table(other, "temperature")
        together = [*found.points, *lost.points]
        async with running(found) as opened:
            first = await opened.read(together)
            assert [s.raw for s in first] == [21.3, None]
            assert "Device 1202: It does not answer" in str(first[1].error)
            other.application.asked.clear()
            again = await opened.read(together)
            assert [s.raw for s in again] == [21.3, None]
            assert "is asked again in" in str(again[1].error)
            assert not other.application.asked
            with pytest.raises(Failed, match="does not answer"):
                await opened.write(lost.points[0], 1.0)


async def test_devices_are_found_by_asking_around_and_by_their_number() -> None:
    port = free_port()
    # two machines in one network: the loopback has more addresses than one
    async with building(host="127.0.0.2", mask=8, port=port, device=77) as plant:
        found = table(plant, "temperature", link={"interface": "127.0.0.1/8", "port": port})
        by_number = [dataclasses.replace(p, address=dataclasses.replace(_address(p), host=None)) for p in found.points]
        async with running(found) as opened:
            share_loopback(plant.application)
            share_loopback(opened._stack._application)
            assert [s.raw for s in await opened.read(by_number)] == [21.3]
            proposed = {p.metric: p for p in await opened.discover({"low": 70, "high": 80}, nullcontext)}
            nobody = [dataclasses.replace(p, address=dataclasses.replace(_address(p), device=5)) for p in by_number]
            assert "Nobody in the network" in str((await opened.read(nobody))[0].error)
    assert set(proposed) == {"Room_Temp", "Valve", "Door", "Fan", "Mode", "State"}
    temperature = proposed["Room_Temp"]
    assert temperature.address == {"device": 77, "object": "analog-input,1"}
    assert (temperature.device, temperature.type, temperature.unit, temperature.found) == (
        "AHU-1",
        "float32",
        "degC",
        21.3,
    )
    assert (temperature.access, temperature.words) == ("read", "Room.Temp · Room 1")
    assert (proposed["Valve"].access, proposed["Valve"].unit) == ("read-write", "percent")


@pytest.mark.parametrize("lacks", [(), ("ReadPropertyMultipleRequest",)], ids=["together", "singly"])
async def test_what_a_named_host_has_is_proposed_and_bounded(lacks: Sequence[str]) -> None:
    async with building(lacks=set(lacks)) as plant:
        found = table(plant, "temperature")
        async with running(found) as opened:
            proposed = await opened.discover({"hosts": [plant.place]}, nullcontext)
            assert [p.found for p in proposed] == [EXPECTED[name] for name in OBJECTS]
            assert proposed[0].address["host"] == plant.place
            with pytest.raises(Cut, match=r"device 1201: it has 4 points more; ask for more of them") as cut:
                await opened.discover({"hosts": [plant.place], "most": 2}, nullcontext)
            assert [p.metric for p in cut.value.found] == [p.metric for p in proposed[:2]]
            with pytest.raises(Failed, match="No device answered"):
                await opened.discover({"hosts": [f"127.0.0.1:{free_port()}"]}, nullcontext)
            with pytest.raises(Failed, match="no neighbours"):
                await opened.discover({}, nullcontext)
            for wanted in ({"low": 5, "high": 1}, {"hosts": ["plant"]}, {"most": 0}, {"range": 1}):
                with pytest.raises(Failed):
                    await opened.discover(wanted, nullcontext)


@pytest.mark.parametrize(
    ("lacks", "is_small", "number"),
    [((), False, 300), ((), True, 120), (("ReadPropertyMultipleRequest",), True, 60)],
    ids=["in segments", "by numbers", "singly"],
)
async def test_a_device_with_very_many_objects_tells_them_all_between_the_requests_of_others(
    lacks: Sequence[str], is_small: bool, number: int
) -> None:
    turns = 0

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        nonlocal turns
        turns += 1
        yield

    async with building(lacks=set(lacks)) as plant:
        for n in range(2, number - 4):
            kind = ("analog-value", n)
            plant.add(
                str(n), AnalogValueObject(objectIdentifier=kind, objectName=f"Value {n}", presentValue=n, **FLAGS)
            )
        if is_small:
            itself = plant.application.device_object
            itself.segmentationSupported, itself.maxApduLengthAccepted = Segmentation("no-segmentation"), 480
        async with running(table(plant, "temperature")) as opened:
            proposed = await opened.discover({"hosts": [plant.place]}, turn)
    assert len(proposed) == number
    assert {p.found for p in proposed} > {float(n) for n in range(2, number - 4)}
    assert len({p.metric for p in proposed}) == number
    assert turns == sum(name.startswith("ReadProperty") for name in plant.application.asked)


@pytest.mark.parametrize("is_away", [False, True], ids=["silent", "away"])
async def test_what_could_not_be_looked_at_costs_nothing_of_what_was_found_and_is_told(is_away: bool) -> None:
    async with building() as plant:
        for n in range(2, 40):
            plant.add(str(n), AnalogValueObject(objectIdentifier=("analog-value", n), objectName=f"V {n}", **FLAGS))
        async with running(table(plant, "temperature")) as opened:
            asked = 0

            @asynccontextmanager
            async def turn() -> AsyncIterator[None]:
                nonlocal asked
                if is_away and asked == 4:
                    raise Away("It does not answer")
                yield
                asked += 1
                plant.application.is_silent = asked == 4

            with pytest.raises(Cut, match=r"device \d+: It does not answer\. What was found stands") as cut:
                await opened.discover({"hosts": [plant.place]}, turn)
            assert len(cut.value.found) == 20


async def test_packets_that_are_none_hurt_nobody(plant: BacnetPlant) -> None:
    found = table(plant, "temperature")
    settings = found.connections["building"].settings
    assert isinstance(settings, Settings)
    noise = random.Random(135)
    async with running(found, Told()) as opened:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            for packet in (b"", b"\x81", b"\x81\x0a\x00\x04", b"\x81\x0a\x00\x10" + bytes(12), noise.randbytes(1400)):
                stranger.sendto(packet, ("127.0.0.1", settings.port))
            for length in range(1, 60):  # a notification of a change that ends too early, or says something else
                packet = b"\x01\x00\x00\x05\x01\x01" + noise.randbytes(length)
                header = b"\x81\x0a" + (len(packet) + 4).to_bytes(2, "big")
                stranger.sendto(header + packet, ("127.0.0.1", settings.port))
        await asyncio.sleep(0.05)
        assert said(await opened.read(found.points)) == {"temperature": 21.3}


async def test_nobody_can_write_to_the_edge(plant: BacnetPlant) -> None:
    found = table(plant, "temperature")
    settings = found.connections["building"].settings
    assert isinstance(settings, Settings)
    async with running(found):
        with pytest.raises(BaseException, match="write-access-denied"):
            await plant.application.write_property(
                f"127.0.0.1:{settings.port}", f"device,{settings.instance}", "object-name", "mine"
            )


async def test_a_port_that_another_program_holds_is_said_in_words(plant: BacnetPlant) -> None:
    found = table(plant, "temperature")
    settings = found.connections["building"].settings
    assert isinstance(settings, Settings)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", settings.port))
        with pytest.raises(Away, match="end other BACnet programs"):
            await driver(found).open(lambda words: None)
    async with running(found) as opened:
        assert said(await opened.read(found.points)) == {"temperature": 21.3}


async def test_a_hundred_openings_leave_nothing_behind(plant: BacnetPlant) -> None:
    held: list[tuple[int, int]] = []
    found = table(plant, "temperature", "valve", link={"timeout": "0.2 s"})
    for n in range(101):
        told = Told()
        async with running(found, told) as opened:
            if n % 20 == 5:
                plant.application.is_silent = True
                asking = asyncio.create_task(opened.read(found.points))
                await asyncio.sleep(0.01)
                asking.cancel()
                await asyncio.wait([asking])
        plant.application.is_silent = False
        if n in (10, 100):
            await asyncio.sleep(0.1)
            held.append((len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))))
    for before, after in zip(*held, strict=True):
        assert after < before + 10, "one may be on its way out; ninety openings that each left something would show"


WRONG: Sequence[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"interface": "0.0.0.0/0"}, {}, "with its mask"),
    ({"interface": "192.168.1.5"}, {}, "with its mask"),
    ({}, {"device": 5_000_000}, "a whole number"),
    ({}, {"host": "plc"}, "192.168.10.30"),
    ({}, {"object": "analog-input"}, "such as analog-input,3"),
    ({}, {"object": "anything,1"}, "such as analog-input,3"),
    ({}, {"property": "presentvalu"}, "such as present-value"),
    ({}, {"priority": 17}, "from 1 to 16"),
    ({}, {"priority": 8}, "is for writing"),
]


@pytest.mark.parametrize(("link", "address", "words"), WRONG, ids=[f"{link or address}" for link, address, _ in WRONG])
def test_a_table_that_cannot_be_used_says_what_to_write(
    link: dict[str, Any], address: dict[str, Any], words: str
) -> None:
    connection = {"protocol": "bacnet", "interface": "192.168.1.5/24"} | link
    place = {"device": 1, "object": "analog-input,1"} | address
    said = {
        "connections": {"building": connection},
        "devices": {"d": {"connection": "building", "points": [{"metric": "m", "address": place}]}},
    }
    with pytest.raises(points.TableWrong, match=words):
        points.parse(document.of(said, "points"))


def test_every_unit_that_is_proposed_is_one_that_can_be_converted() -> None:
    assert [unit for unit in _OURS.values() if not units.is_known(unit)] == []


def _address(point: Point) -> Any:
    return point.address
