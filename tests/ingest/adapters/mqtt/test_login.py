"""Who gets in, under which terms, and what the others are told."""

from __future__ import annotations

import asyncio

import pytest

from engine import clock
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, V311, Connack, Disconnect, Pingreq, Publish, Will
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient

LEVELS = pytest.mark.parametrize("level", [V311, V5])


@LEVELS
async def test_a_device_logs_in_and_its_presence_is_told(house: House, level: int) -> None:
    async with await RawClient.login(house, "pump-7", level, client_id="abc", keep_alive_s=30):
        assert house.presence.heard == [("connected", "pump-7", 1)]
        assert house.presence.details == [
            {
                "protocol": {V311: "3.1.1", V5: "5.0"}[level],
                "client_id": "abc",
                "address": "127.0.0.1",
                "keep_alive_s": 30,
            }
        ]
        assert [device.device for device in house.endpoint.sessions()] == ["pump-7"]
        assert (house.endpoint.live, house.endpoint.unauthenticated) == (1, 0)


@pytest.mark.parametrize(
    ("why", "code_311", "reason_5"),
    [
        ("bad_credentials", 5, Reason.BAD_USERNAME_OR_PASSWORD),
        ("revoked", 5, Reason.NOT_AUTHORISED),
        ("suspended", 5, Reason.NOT_AUTHORISED),
        ("unavailable", 3, Reason.SERVER_UNAVAILABLE),
    ],
)
async def test_a_refused_login_is_told_why(house: House, why: str, code_311: int, reason_5: Reason) -> None:
    house.authorizer.refused["acme/d/pump-7"] = why  # type: ignore[assignment]
    async with await RawClient.dial(house) as old, await RawClient.dial(house, level=V5) as new:
        assert await old.connect() == Connack(False, code_311)
        assert await old.is_closed()
        answer = await new.connect()
        assert answer is not None
        assert answer.code == reason_5
        assert len(answer.properties[Property.REASON_STRING]) > 20
        assert await new.is_closed()
    assert house.endpoint.counters.logins_refused == {why: 2}
    assert house.presence.heard == []


@pytest.mark.parametrize("login", [{"password": b"wrong"}, {"password": None}, {"username": "acme/pump-7"}])
async def test_without_a_right_username_and_password_nobody_gets_in(house: House, login: dict[str, object]) -> None:
    async with await RawClient.dial(house) as client:
        assert await client.connect(**login) == Connack(False, 5)
    assert house.endpoint.live == 0


async def test_a_broken_authorizer_is_said_to_be_unavailable(house: House) -> None:
    house.authorizer.fault = OSError("no route to the database")
    async with await RawClient.dial(house) as client:
        assert await client.connect() == Connack(False, 3)


async def test_another_version_of_mqtt_is_told_so(house: House) -> None:
    async with await RawClient.dial(house) as client:
        client.send_raw(bytes.fromhex("100e 0006 4d5149736470 03 02 003c 0000"))
        assert await client.receive() == Connack(False, 1)
        assert await client.is_closed()


@pytest.mark.parametrize(
    "first", [b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n", encode(Publish("a", b""), V311), b"\x16\x03\x01"]
)
async def test_who_does_not_begin_with_a_connect_is_closed(house: House, first: bytes) -> None:
    async with await RawClient.dial(house) as client:
        client.send_raw(first + bytes(400))
        assert await client.is_closed()
    assert house.endpoint.counters.closed == {"unauthenticated": 1}


async def test_who_says_nothing_is_closed_in_time(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout_s=0.1)
    async with await RawClient.dial(house) as client:
        assert await client.is_closed()
    assert house.endpoint.unauthenticated == 0


async def test_a_login_that_takes_too_long_is_closed_in_time(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout_s=0.1)
    house.authorizer.gate = asyncio.Event()
    async with await RawClient.dial(house) as client:
        assert await client.connect() is None
    house.authorizer.gate.set()
    await turns()
    assert house.presence.heard == []
    assert house.endpoint.live == 0


async def test_before_login_only_short_packets_are_taken(open_house: OpenHouse) -> None:
    house = await open_house(connect_packet_bytes=256)
    async with await RawClient.dial(house) as client:
        assert await client.connect(password=b"x" * 300) is None


async def test_too_many_strangers_make_the_longest_silent_give_way(open_house: OpenHouse) -> None:
    house = await open_house(max_unauthenticated=2, silence_s=0)
    async with await RawClient.login(house, "pump-7") as inside:
        strangers = [await RawClient.dial(house) for _ in range(3)]
        assert await strangers[0].is_closed()
        for device, stranger in enumerate(strangers[1:]):
            stranger.device = f"valve-{device}"
            assert await stranger.connect() == Connack(False, 0)
        inside.publish()
        assert await inside.pubacks(1) == [1]
        for stranger in strangers:
            stranger.hang_up()
    assert house.endpoint.counters.turned_away == 1


async def test_who_waits_for_the_answer_to_its_login_never_gives_way(open_house: OpenHouse) -> None:
    house = await open_house(max_unauthenticated=2, silence_s=0)
    house.authorizer.gate = asyncio.Event()
    waiting = [await RawClient.dial(house, f"pump-{n}") for n in range(2)]
    for client in waiting:
        client.send(client.hello())
    await until(lambda: house.authorizer.asked == 2)
    async with await RawClient.dial(house, "pump-9") as newcomer:
        assert await newcomer.is_closed()
    house.authorizer.gate.set()
    for client in waiting:
        assert await client.receive() == Connack(False, 0)
        client.hang_up()


async def test_a_newcomer_does_not_push_out_who_had_no_time_to_speak(open_house: OpenHouse) -> None:
    house = await open_house(max_unauthenticated=1, silence_s=60)
    async with await RawClient.dial(house) as first, await RawClient.dial(house, "pump-8") as second:
        assert await second.is_closed()
        assert await first.connect() == Connack(False, 0)


async def test_a_full_house_turns_newcomers_away_and_takes_them_when_there_is_room(open_house: OpenHouse) -> None:
    house = await open_house(max_connections=1)
    async with await RawClient.login(house, "pump-7"), await RawClient.dial(house, "pump-8") as second:
        assert await second.connect() is None
    await until(lambda: not house.endpoint.live)
    async with await RawClient.login(house, "pump-8"):
        assert house.endpoint.live == 1


async def test_what_follows_connect_without_waiting_is_served_after_the_login(house: House) -> None:
    house.authorizer.gate = asyncio.Event()
    async with await RawClient.dial(house) as client:
        client.send(client.hello(), Publish(client.topic("up/telemetry"), b"1", 1, packet_id=1), Pingreq())
        await turns()
        assert house.uplink.messages == []
        house.authorizer.gate.set()
        assert await client.receive() == Connack(False, 0)
        assert {type(await client.receive()).__name__ for _ in range(2)} == {"Puback", "Pingresp"}


async def test_a_client_that_leaves_during_its_login_was_never_there(house: House) -> None:
    house.authorizer.gate = asyncio.Event()
    async with await RawClient.dial(house) as client:
        client.send(client.hello())
        await until(lambda: house.authorizer.asked)
    await until(lambda: not house.endpoint.unauthenticated)
    house.authorizer.gate.set()
    await turns()
    assert house.presence.heard == []
    assert house.endpoint.live == 0


async def test_who_sends_much_during_the_login_is_not_read_further(open_house: OpenHouse) -> None:
    house = await open_house(connect_packet_bytes=1000)
    house.authorizer.gate = asyncio.Event()
    async with await RawClient.dial(house) as client:
        client.send(client.hello())
        for _ in range(200):
            client.publish(bytes(100_000))
        await until(lambda: house.authorizer.asked)
        await turns()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.writer.drain(), 0.1)
        house.authorizer.gate.set()
        assert await client.receive() == Connack(False, 0)
        assert await client.pubacks(200) == list(range(1, 201))


@LEVELS
async def test_no_session_is_ever_present(house: House, level: int) -> None:
    for _ in range(2):
        async with await RawClient.dial(house, level=level) as client:
            answer = await client.connect(clean_start=False, client_id="same")
            assert answer is not None
            assert (answer.session_present, answer.code) == (False, 0)
            client.send(Disconnect())


async def test_an_empty_client_id_is_assigned_one(house: House) -> None:
    async with await RawClient.dial(house, "pump-8", V5) as new, await RawClient.login(house, client_id=""):
        answer = await new.connect(client_id="")
        assert answer is not None
        assigned = answer.properties[Property.ASSIGNED_CLIENT_IDENTIFIER]
        assert house.presence.details[1]["client_id"] == assigned
        assert assigned.startswith("pump-8-")


async def test_an_empty_client_id_wants_a_clean_session_in_3_1_1(house: House) -> None:
    async with await RawClient.dial(house) as client:
        assert await client.connect(client_id="", clean_start=False) == Connack(False, 2)


async def test_5_0_announces_every_limit_and_everything_not_offered(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=25, max_packet_bytes=5000, max_keep_alive_s=300)
    async with await RawClient.dial(house, level=V5) as client:
        answer = await client.connect(keep_alive_s=0, properties={Property.SESSION_EXPIRY_INTERVAL: 3600})
        assert answer is not None
        assert answer.properties == {
            Property.RECEIVE_MAXIMUM: 25,
            Property.RETAIN_AVAILABLE: 0,
            Property.MAXIMUM_PACKET_SIZE: 5000,
            Property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: 0,
            Property.SHARED_SUBSCRIPTION_AVAILABLE: 0,
            Property.TOPIC_ALIAS_MAXIMUM: 16,
            Property.SESSION_EXPIRY_INTERVAL: 0,
            Property.SERVER_KEEP_ALIVE: 300,
            Property.USER_PROPERTY: answer.properties[Property.USER_PROPERTY],
        }


@pytest.mark.parametrize("most_bytes", [None, 1_000, 60])
async def test_5_0_is_told_what_time_it_is_where_there_is_room_for_it(house: House, most_bytes: int | None) -> None:
    async with await RawClient.dial(house, level=V5) as client:
        before_ms = clock.now_ms()
        answer = await client.connect(properties=most_bytes and {Property.MAXIMUM_PACKET_SIZE: most_bytes})
        assert answer is not None
        said = dict(answer.properties.get(Property.USER_PROPERTY, ()))
        assert said.keys() == (set() if most_bytes == 60 else {"time"})
        assert all(before_ms <= int(each) <= clock.now_ms() for each in said.values())


async def test_enhanced_authentication_is_not_offered(house: House) -> None:
    async with await RawClient.dial(house, level=V5) as client:
        answer = await client.connect(properties={Property.AUTHENTICATION_METHOD: "SCRAM-SHA-1"})
        assert answer is not None
        assert answer.code == Reason.BAD_AUTHENTICATION_METHOD


@pytest.mark.parametrize(
    ("level", "will", "code"),
    [
        (V311, Will("t/acme/d/other/up/status", b""), 5),
        (V311, Will("t/acme/d/pump-7/down/cmd/1", b""), 5),
        (V5, Will("t/acme/d/other/up/status", b""), Reason.NOT_AUTHORISED),
        (V5, Will("t/acme/d/pump-7/up/status", b"", retain=True), Reason.RETAIN_NOT_SUPPORTED),
    ],
)
async def test_a_will_the_device_may_not_publish_refuses_the_login(
    house: House, level: int, will: Will, code: int
) -> None:
    async with await RawClient.dial(house, level=level) as client:
        answer = await client.connect(will=will)
        assert answer is not None
        assert answer.code == code
    assert house.presence.heard == []


async def test_a_second_connect_breaks_the_protocol(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        client.send(client.hello())
        assert (await client.expect(Disconnect)).code == Reason.PROTOCOL_ERROR
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "protocol_error"]
