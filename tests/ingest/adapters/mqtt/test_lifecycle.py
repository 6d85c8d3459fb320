"""How connections end, who is told, and what of it others notice: nothing."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from ingest.adapters.base import Decision, Verdict
from ingest.adapters.mqtt.connection import Connection
from ingest.adapters.mqtt.packets import V5, V311, Connack, Disconnect, Pingreq, Pingresp, Will
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, device_id, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient
from tests.support.patience import PATIENCE_S

LEVELS = pytest.mark.parametrize("level", [V311, V5])
PUMP = device_id("acme/d/pump-7")
WILL = Will("t/acme/d/pump-7/up/status", b"gone", 2)


def hurry(house: House) -> None:
    """Make the keep-alive of whoever is logged in 0.2 s, which no client can ask for, so that tests need not wait."""
    for session in house.endpoint._sessions.values():
        session.terms.keep_alive_s = 0.2  # type: ignore[assignment]
        house.endpoint.wheel.put(session.connection, 0)


@LEVELS
async def test_the_younger_session_of_a_device_takes_over_without_a_gap_in_its_presence(
    house: House, level: int
) -> None:
    older = await RawClient.login(house, level=level)
    async with older, await RawClient.login(house, level=level, client_id="another") as younger:
        if level == V5:
            assert (await older.expect(Disconnect)).code == Reason.SESSION_TAKEN_OVER
        assert await older.is_closed()
        younger.publish()
        assert await younger.pubacks(1) == [1]
        assert house.presence.heard == [
            ("connected", "pump-7", 1),
            ("take_over", "pump-7", 1),
            ("connected", "pump-7", 2),
        ]
        assert house.endpoint.live == 1
    await until(lambda: len(house.presence.heard) == 4)
    assert house.presence.heard[-1] == ("network", "pump-7", 2)


async def test_a_login_that_was_overtaken_does_not_cut_the_younger_one(house: House) -> None:
    authorize = house.authorizer.authorize

    async def late(client_id: str, username: str, secret: bytes, certificate: bytes | None = None) -> Decision:
        decision = await authorize(client_id, username, secret)
        if client_id == "late":
            await gate.wait()
        return decision

    gate = asyncio.Event()
    house.authorizer.authorize = late  # type: ignore[method-assign]
    async with await RawClient.dial(house) as overtaken:
        overtaken.send(overtaken.hello(client_id="late"))
        await until(lambda: house.authorizer.asked == 1)
        async with await RawClient.login(house) as younger:
            gate.set()
            assert await overtaken.receive() == Connack(False, 3)
            younger.publish()
            assert await younger.pubacks(1) == [1]
            assert house.presence.heard == [("connected", "pump-7", 2)]


async def test_two_devices_with_the_same_client_id_do_not_disturb_each_other(house: House) -> None:
    async with (
        await RawClient.login(house, "pump-7", client_id="x"),
        await RawClient.login(house, "pump-8", client_id="x"),
    ):
        assert house.endpoint.live == 2


@LEVELS
async def test_the_will_of_a_device_that_is_gone_without_a_word_is_published(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level, will=WILL):
        pass
    await until(lambda: house.uplink.messages)
    (message,) = house.uplink.messages
    assert (message.topic, message.payload, message.qos) == ("up/status", b"gone", 2)
    assert house.presence.reasons("pump-7") == ["connected", "network"]


@LEVELS
async def test_the_will_of_a_device_that_says_goodbye_is_not_published(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level, will=WILL) as client:
        client.send(Disconnect())
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "client"]
    assert house.uplink.messages == []


async def test_a_goodbye_may_ask_for_the_will(house: House) -> None:
    async with await RawClient.login(house, level=V5, will=WILL) as client:
        client.send(Disconnect(Reason.DISCONNECT_WITH_WILL))
        assert await client.is_closed()
    assert house.uplink.payloads() == [b"gone"]


async def test_a_revoked_device_leaves_no_will(house: House) -> None:
    async with await RawClient.login(house, will=WILL) as client:
        assert house.endpoint.cut(PUMP)
        assert await client.is_closed()
    assert house.uplink.messages == []


async def test_a_device_we_close_because_our_store_is_away_leaves_no_will(house: House) -> None:
    house.uplink.verdict = Verdict.UNAVAILABLE
    async with await RawClient.login(house, will=WILL) as client:
        client.publish(b"precious")
        assert await client.is_closed()
    assert house.uplink.payloads() == [b"precious"]


@LEVELS
async def test_who_is_silent_beyond_one_and_a_half_keep_alives_is_closed(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level, keep_alive_s=1, will=WILL) as client:
        if level == V5:
            assert (await client.expect(Disconnect)).code == Reason.KEEP_ALIVE_TIMEOUT
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "keep_alive"]
    assert house.uplink.payloads() == [b"gone"]


async def test_who_pings_stays(house: House) -> None:
    async with await RawClient.login(house, keep_alive_s=1) as client:
        for _ in range(20):
            client.send(Pingreq())
            await client.expect(Pingresp)
            await asyncio.sleep(0.1)
        assert house.presence.reasons("pump-7") == ["connected"]


async def test_who_drips_a_packet_byte_by_byte_is_silent(house: House) -> None:
    async with await RawClient.login(house, keep_alive_s=1) as client:
        hurry(house)
        client.send_raw(b"\x32\xff\x7f")

        async def drip() -> None:
            while True:
                client.send_raw(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await client.is_closed()
        dripping.cancel()
    assert house.presence.reasons("pump-7") == ["connected", "keep_alive"]


async def test_whom_we_do_not_read_is_not_called_silent(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=1)
    house.uplink.holding = True
    async with await RawClient.login(house, keep_alive_s=1) as client:
        hurry(house)
        client.publish()
        client.send(Pingreq())
        await asyncio.sleep(0.6)
        house.uplink.decide()
        assert await client.pubacks(1) == [1]
        await client.expect(Pingresp)


async def test_a_half_open_connection_ends_by_its_keep_alive(house: House) -> None:
    """The peer's host vanished: no FIN, no RST, only silence."""
    async with await RawClient.login(house, keep_alive_s=1) as client:
        hurry(house)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: house.presence.reasons("pump-7") == ["connected", "keep_alive"])
        await until(lambda: house.endpoint.connections == 0)  # given up although the peer never closed


async def test_a_session_ends_with_its_credential(house: House) -> None:
    house.authorizer.lifetime_s = 0.5
    async with await RawClient.login(house, level=V5) as client:
        assert (await client.expect(Disconnect)).code == Reason.MAXIMUM_CONNECT_TIME
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "expired"]


@LEVELS
async def test_a_revoked_device_is_cut_at_once(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level) as client, await RawClient.login(house, "pump-8") as other:
        assert house.endpoint.cut(PUMP, "revoked")
        assert house.presence.reasons("pump-7") == ["connected", "revoked"]
        client.publish(b"too late")
        if level == V5:
            assert (await client.expect(Disconnect)).code == Reason.ADMINISTRATIVE_ACTION
        assert await client.is_closed()
        other.publish(b"mine")
        assert await other.pubacks(1) == [1]
    assert house.uplink.payloads() == [b"mine"]
    assert not house.endpoint.cut(PUMP)


async def test_only_an_older_epoch_is_cut_when_an_epoch_is_given(house: House) -> None:
    async with await RawClient.login(house) as client:
        assert not house.endpoint.cut(PUMP, "take_over", below_epoch=1)
        assert house.endpoint.cut(PUMP, "take_over", below_epoch=2)
        assert await client.is_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x00\x00", id="type 0"),
        pytest.param(b"\xff" * 50, id="endless length"),
        pytest.param(b"\x32\x05\x00\x01a\x00\x00", id="packet id 0"),
        pytest.param(b"\x10\x00", id="empty CONNECT"),
        pytest.param(b"\x20\x02\x00\x00", id="a server's packet"),
        pytest.param(b"\x90\x03\x00\x01\x00", id="another server's packet"),
    ],
)
@LEVELS
async def test_garbage_ends_its_sender_only(house: House, level: int, garbage: bytes) -> None:
    async with await RawClient.login(house, level=level) as client, await RawClient.login(house, "pump-8") as other:
        client.publish(b"good")
        client.send_raw(garbage)
        client.publish(b"after")
        while (packet := await client.receive()) is not None:
            assert not isinstance(packet, Disconnect) or packet.code >= 0x80
        other.publish(b"mine")
        assert await other.pubacks(1) == [1]
    assert house.presence.reasons("pump-7") == ["connected", "protocol_error"]
    assert sorted(house.uplink.payloads()) == [b"good", b"mine"]


async def test_a_flood_of_pings_ends_the_flooder_only(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client, await RawClient.login(house, "pump-8") as other:
        client.send_raw(b"\xc0\x00" * 100_000)
        pongs = 0
        while isinstance(packet := await client.receive(), Pingresp):
            pongs += 1
        assert isinstance(packet, Disconnect)
        assert packet.code == Reason.MESSAGE_RATE_TOO_HIGH
        assert pongs <= 200
        other.publish()
        assert await other.pubacks(1) == [1]
    assert house.presence.reasons("pump-7") == ["connected", "protocol_error"]


@LEVELS
async def test_stopping_waits_for_the_verdicts_still_out_and_answers_them(open_house: OpenHouse, level: int) -> None:
    house = await open_house(drain_s=5.0)
    house.uplink.holding = True
    async with await RawClient.login(house, level=level, will=WILL) as client, await RawClient.dial(house) as stranger:
        client.publish(b"last")
        await until(lambda: house.uplink.undecided)
        stopping = asyncio.create_task(house.endpoint.stop())
        await turns()
        client.publish(b"too late")
        await turns()
        assert not stopping.done()
        house.uplink.decide()
        assert await client.pubacks(1) == [1]
        if level == V5:
            assert (await client.expect(Disconnect)).code == Reason.SERVER_SHUTTING_DOWN
        assert await client.is_closed()
        assert await stranger.is_closed()
        client.hang_up()
        stranger.hang_up()
        await stopping
        with pytest.raises(OSError, match=r"refused|Connect"):
            await RawClient.dial(house)
    assert house.uplink.payloads() == [b"last"]  # and no will: the device did not fail
    assert house.presence.reasons("pump-7") == ["connected", "shutdown"]


async def test_stopping_does_not_wait_for_a_verdict_for_ever(house: House) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house) as client:
        client.publish()
        await until(lambda: house.uplink.undecided)
        await asyncio.wait_for(house.endpoint.stop(), PATIENCE_S)
        assert await client.is_closed()


async def test_a_thousand_devices_are_served_and_forgotten(house: House) -> None:
    async def one(number: int) -> None:
        async with await RawClient.login(house, f"pump-{number}") as client:
            client.publish(str(number).encode())
            assert await client.pubacks(1) == [1]
            await everybody.wait()
            client.publish(b"again")
            assert await client.pubacks(1) == [2]

    everybody = asyncio.Barrier(1_000)
    async with asyncio.TaskGroup() as group:
        for number in range(1_000):
            group.create_task(one(number))
    assert len(house.uplink.messages) == 2_000
    await until(lambda: not house.endpoint.live and not house.endpoint.connections)
    assert house.endpoint.counters.closed == {"network": 1_000}
    assert len(house.presence.heard) == 2_000
    await turns()
    gc.collect()
    kept = [thing for thing in gc.get_objects() if isinstance(thing, Connection)]
    assert not [connection for connection in kept if connection.endpoint is house.endpoint]


async def test_answers_leave_at_once(house: House) -> None:
    async with await RawClient.login(house):
        (connection,) = house.endpoint._open
        tcp = connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_reason_for_the_end_is_in_words_in_5_0(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        client.send_raw(b"\x00\x00")
        assert "packet type" in (await client.expect(Disconnect)).properties[Property.REASON_STRING]
