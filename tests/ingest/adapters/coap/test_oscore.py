"""Messages that are each protected: what is taken, once, what is answered in kind, and what is thrown at it."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiocoap import Message
from aiocoap.message import Direction
from aiocoap.numbers.codes import Code

from ingest.adapters.base import Verdict
from ingest.adapters.coap.keeper import NotOpened
from ingest.adapters.coap.oscore import Protection
from tests.ingest.adapters.coap.peer import CON, House, MemoryContexts, Peer, Secured, open_house, peer
from tests.ingest.adapters.mqtt.memory import device_id, until

PUMP = device_id("acme/d/pump-7")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house(takes_tokens=False) as made:
        yield made


@pytest.fixture
async def device(house: House) -> AsyncIterator[Peer]:
    async with peer(house.port) as made:
        yield made


@pytest.fixture
def pump(house: House) -> Secured:
    found = house.contexts.issue()
    return Secured(found.kid, found.master)


async def asked(device: Peer, pump: Secured, path: str = "telemetry", payload: bytes = b'{"t":1}', **more: Any) -> Any:
    """What a protected request is answered with, opened."""
    wrapped, identifiers = pump.wrapped(device.request(path, payload, token=None, **more))
    return pump.unwrapped(await device.ask(wrapped), identifiers)


async def test_the_key_of_rfc_8613s_example_is_derived_and_its_request_is_opened() -> None:
    """Appendix C.1.2 (the server's side) and C.4, but for the ids: ours are seven bytes and one."""
    context = Secured(b"", bytes.fromhex("0102030405060708090a0b0c0d0e0f10"))
    context.sender_id, context.recipient_id = b"\x01", b""
    salt, secret = "9e7ca92223786340", "0102030405060708090a0b0c0d0e0f10"  # pragma: allowlist secret
    context.derive_keys(bytes.fromhex(salt), bytes.fromhex(secret))
    assert context.common_iv.hex() == "4622d4dd6d944168eefb54987c"  # pragma: allowlist secret
    assert context.recipient_key.hex() == "f0910ed7295e6ad4b54fc793154302ff"  # pragma: allowlist secret
    said = bytes.fromhex("44025d1f00003974396c6f63616c686f737462091400ff612f1092f1776f1c1668b3825e")
    opened, _ = context.unprotect(Message.decode(said, None))
    assert (opened.code, opened.opt.uri_path) == (Code.GET, ("tv1",))


async def test_a_protected_message_is_taken_where_no_token_is_and_answered_in_kind(
    house: House, device: Peer, pump: Secured
) -> None:
    wrapped, identifiers = pump.wrapped(device.request(token=None))
    assert b"telemetry" not in wrapped
    assert b"pump-7" not in wrapped
    outer = await device.ask(wrapped)
    assert (outer.code, pump.unwrapped(outer, identifiers).code) == (Code.CHANGED, Code.CHANGED)
    assert [(each.topic, each.transport) for each in house.uplink.messages] == [("up/telemetry", "coap")]
    for path in ("events/door", "commands/c-1/ack"):
        assert (await asked(device, pump, path, b"")).code is Code.CHANGED
    house.uplink.verdict = Verdict.QUOTA
    late = await asked(device, pump)
    assert (late.code.dotted, late.opt.max_age) == ("4.29", 1)
    assert (await asked(device, pump, "nothing")).code is Code.NOT_FOUND
    assert (await device.post()).code is Code.UNAUTHORIZED, "in the clear, no token is taken"


async def test_a_message_counts_once_whatever_address_or_process_it_reaches(house: House, device: Peer) -> None:
    found = house.contexts.issue()
    pump = Secured(found.kid, found.master)
    wrapped, _ = pump.wrapped(device.request(token=None))
    first = await device.ask(wrapped)
    assert (await device.ask(wrapped)).payload == first.payload, "the repeat of the datagram is the same request"
    async with (
        peer(house.port) as thief,
        open_house(contexts=house.contexts) as another,
        peer(another.port) as elsewhere,
    ):
        for replayer in (thief, elsewhere):
            answer = await replayer.ask(wrapped)
            assert (answer.code.dotted, answer.opt.max_age, answer.opt.oscore) == ("4.01", 0, None)
        assert (len(house.uplink.messages), another.uplink.messages) == (1, [])


async def test_without_the_store_nothing_is_taken_and_the_next_number_is(
    house: House, device: Peer, pump: Secured
) -> None:
    house.contexts.is_away = True
    wrapped, _ = pump.wrapped(device.request(token=None))
    answer = await device.ask(wrapped)
    assert (answer.code.dotted, answer.opt.oscore, house.uplink.messages) == ("5.03", None, [])
    house.contexts.is_away = False
    assert (await device.ask(wrapped)).code is Code.CHANGED, "its number was not used up"
    assert (await asked(device, pump)).code is Code.CHANGED


async def test_a_long_message_comes_in_blocks_that_are_protected_each(
    house: House, device: Peer, pump: Secured
) -> None:
    whole = orjson.dumps([{"n": n} for n in range(30)])
    codes = []
    for number, at in enumerate(range(0, len(whole), 64)):
        more = at + 64 < len(whole)
        answer = await asked(device, pump, payload=whole[at : at + 64], block1=(number, more, 2))
        codes.append(answer.code)
    assert codes == [*[Code.CONTINUE] * (len(codes) - 1), Code.CHANGED]
    assert [each.payload for each in house.uplink.messages] == [whole]
    outside = Message.decode(pump.wrapped(device.request(token=None))[0], None)
    outside.opt.block1 = (0, True, 2)
    outside.direction = Direction.OUTGOING
    assert (await device.ask(outside.encode())).code is Code.BAD_OPTION


async def test_what_is_observed_is_protected_with_numbers_of_ours_that_no_notification_shares(
    house: House, device: Peer, pump: Secured
) -> None:
    wrapped, identifiers = pump.wrapped(
        device.request("commands", b"", code=Code.GET, token=None, observe=0, mark=b"ob")
    )
    begun = await device.ask(wrapped)
    assert begun.opt.observe is not None
    assert pump.unwrapped(begun, identifiers).payload == b'{"commands":[]}'
    numbers = []
    for each in (b'{"id":"a"}', b'{"id":"b"}', b'{"id":"c"}'):
        sent = house.endpoint.observers.send(PUMP, "down/cmd/open", each)
        told = await device.hear()
        assert (told.mtype, told.token, told.opt.observe) == (CON, b"ob", told.opt.observe)
        assert each not in told.payload
        numbers.append(told.opt.oscore)
        inner = pump.unwrapped(told, identifiers)
        assert inner.payload == b'{"commands":[' + each + b"]}"
        device.acknowledge(told)
        assert await asyncio.wait_for(sent, 5)
    assert len(set(numbers)) == 3
    await asked(device, pump, "commands", b"", code=Code.GET, observe=1)
    assert house.endpoint.observers.observing(PUMP) == []


async def test_who_lost_its_rights_hears_so_under_protection_and_its_observation_ends(
    house: House, device: Peer, pump: Secured
) -> None:
    wrapped, identifiers = pump.wrapped(
        device.request("commands", b"", code=Code.GET, token=None, observe=0, mark=b"ob")
    )
    await device.ask(wrapped)
    house.identifier.refused["pump-7"] = "revoked"
    house.endpoint.changed(PUMP)
    told = await device.hear()
    assert pump.unwrapped(told, identifiers).code is Code.UNAUTHORIZED
    device.acknowledge(told)
    await until(lambda: not house.endpoint.observers.observing(PUMP))
    assert (await asked(device, pump)).code is Code.UNAUTHORIZED
    assert house.uplink.messages == []


async def test_a_context_speaks_for_its_own_device_alone(house: House, device: Peer, pump: Secured) -> None:
    found = house.contexts.issue("pump-8")
    other = Secured(found.kid, found.master)
    assert (await asked(device, other)).code is Code.FORBIDDEN
    borrowed = Secured(found.kid, b"\0" * 16)
    borrowed.derive_keys(b"", next(each.master for each in house.contexts.found.values() if each is not found))
    borrowed.sender_sequence_number = 9
    answer = await device.ask(borrowed.wrapped(device.request(token=None))[0])
    assert (answer.code, answer.payload) == (Code.BAD_REQUEST, b"Decryption failed.")
    assert house.refused == [("pump-8", "device")]
    assert house.uplink.messages == []


async def test_what_is_no_message_of_a_context_is_refused_before_anything_is_asked_or_kept(
    house: House, device: Peer, pump: Secured
) -> None:
    good, _ = pump.wrapped(device.request(token=None))
    kid = pump.sender_id

    def changed(option: bytes | None = None, payload: bytes | None = None, code: Any = None) -> bytes:
        message = Message.decode(good, None)
        message.direction = Direction.OUTGOING
        message.opt.oscore = message.opt.oscore if option is None else option
        message.payload = message.payload if payload is None else payload
        message.code = code or message.code
        message.mid = random.randrange(65_536)
        return bytes(message.encode())

    tampered = bytearray(Message.decode(good, None).payload)
    tampered[0] ^= 1
    wrong = {
        "4.02": [
            changed(b"\xe0"),  # reserved bits
            changed(b"\x05\x00"),  # shorter than it says
            changed(b"\x19\x00"),  # an ID Context that is not there
            changed(b"\x08" + kid),  # no number
            changed(b"\x0f" + b"\x00" * 7 + kid),  # too long a number
            changed(b"\x29\x00" + kid),  # of a group
            changed(b""),
        ],
        "4.01": [
            changed(b"\x09\x00" + os.urandom(7)),
            changed(b"\x09\x00"),
            changed(b"\x09\x00" + kid[:-1]),
            changed(b"\x19\x00\x01x" + kid),  # with an ID Context
        ],
        "4.00": [
            changed(payload=bytes(tampered)),
            changed(payload=bytes(tampered[:-1])),
            changed(payload=b"x"),
            changed(payload=b""),
            changed(b"\x09\x01" + kid),  # another number
        ],
        "4.05": [changed(code=Code.GET), changed(code=Code.DELETE)],
    }
    for code, datagrams in wrong.items():
        for each in datagrams:
            answer = await device.ask(each)
            assert (answer.code.dotted, answer.opt.oscore) == (code, None), each
            assert device.sizes[-1] <= 3 * len(each)
    assert (house.contexts.struck, house.identifier.asked, house.uplink.messages) == (set(), 0, [])
    assert (await device.ask(good)).code is Code.CHANGED, "none of it used up the number of the true one"


async def test_thousands_of_forged_messages_leave_nothing_behind(house: House, pump: Secured) -> None:
    contexts = MemoryContexts()
    contexts.found = house.contexts.found
    protection = Protection(contexts, most=1)
    number = random.Random(7)
    for turn in range(10_000):
        kid = pump.sender_id if turn % 2 else number.randbytes(7)
        option = bytes([number.choice((9, 0x19, 1, 0xFF, 0x0D))]) + number.randbytes(number.randrange(3)) + kid
        said = Message(code=Code.POST, oscore=option, payload=number.randbytes(number.randrange(40)))
        said.direction = Direction.INCOMING
        with pytest.raises(NotOpened):
            await protection.open(said)
    assert (len(protection._contexts), contexts.struck) == (1, set())
    async with peer(house.port) as device:
        assert (await asked(device, pump)).code is Code.CHANGED
