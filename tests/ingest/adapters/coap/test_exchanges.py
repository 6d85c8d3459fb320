"""The message layer: repeats, acknowledgements, and peers that mean harm."""

import asyncio
import random

from aiocoap import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import NON

from ingest.adapters.base import Decision, Refused
from tests.ingest.adapters.coap.peer import ACK, CON, RST, open_house, peer
from tests.ingest.adapters.mqtt.memory import until


async def test_a_request_is_answered_in_its_acknowledgement_and_only_after_the_verdict() -> None:
    async with open_house() as house, peer(house.port) as device:
        house.uplink.holding = True
        device.send(device.request())
        await until(lambda: house.uplink.undecided)
        assert await device.hears_nothing()
        house.uplink.decide()
        answer = await device.hear()
    assert (answer.mtype, answer.mid, answer.token, answer.code) == (ACK, 1, b"\x01", Code.CHANGED)
    assert answer.payload == b""


async def test_a_repeat_before_the_answer_and_after_it_is_the_same_request() -> None:
    async with open_house() as house, peer(house.port) as device, peer(house.port) as another:
        house.uplink.holding = True
        request = device.request()
        for _ in range(3):
            device.send(request)
        await until(lambda: house.uplink.undecided)
        house.uplink.decide()
        first = await device.hear()
        assert await device.hears_nothing(), "what is under way is answered once"
        again = await device.ask(request)
        assert (again.mid, again.code, len(house.uplink.messages)) == (first.mid, Code.CHANGED, 1)
        house.uplink.holding = False
        await another.ask(request)
        assert len(house.uplink.messages) == 2, "from another address it is another's"
        await device.ask(request[:2] + b"\x77\x77" + request[4:])
        assert len(house.uplink.messages) == 3, "under another message id it is another"


async def test_a_device_that_begins_its_numbers_anew_is_heard() -> None:
    async with open_house() as house, peer(house.port) as device:
        first = device.request(payload=b'{"t":1}')
        assert (await device.ask(first)).code is Code.CHANGED
        restarted = device.request(payload=b'{"t":2}')
        assert (await device.ask(restarted[:2] + first[2:4] + restarted[4:])).code is Code.CHANGED
        assert house.uplink.payloads() == [b'{"t":1}', b'{"t":2}']


async def test_what_takes_long_is_acknowledged_first_and_answered_in_a_message_of_its_own() -> None:
    async with open_house(ack_within_s=0.02, timeout_s=0.05) as house, peer(house.port) as device:
        house.uplink.holding = True
        request = device.request()
        promise = await device.ask(request)
        assert (promise.mtype, promise.code, promise.mid) == (ACK, Code.EMPTY, 1)
        again = await device.ask(request)
        assert (again.mtype, again.code) == (ACK, Code.EMPTY), "it need not be repeated"
        house.uplink.decide()
        answer, repeated = await device.hear(), await device.hear()
        assert (answer.mtype, answer.code, answer.token) == (CON, Code.CHANGED, b"\x01")
        assert repeated.mid == answer.mid, "sent until it is acknowledged"
        device.acknowledge(answer)
        await until(lambda: not house.endpoint._exchanges._unacknowledged)
        assert len(house.uplink.messages) == 1


async def test_who_proved_nothing_is_answered_once_however_long_it_took() -> None:
    async with open_house(ack_within_s=0.01, timeout_s=0.01, retransmits=4) as house, peer(house.port) as device:
        may_answer = asyncio.Event()

        async def refuse(*_: object, **__: object) -> Decision:
            await may_answer.wait()
            raise Refused("bad_credentials")

        house.identifier.authorize = refuse  # type: ignore[method-assign]
        assert (await device.ask(device.request(token="guessed"))).code is Code.EMPTY
        may_answer.set()
        answer = await device.hear()
        assert (answer.mtype, answer.code, answer.token) == (NON, Code.UNAUTHORIZED, b"\x01")
        assert await device.hears_nothing(), "its address may be another's"
        assert not house.endpoint._exchanges._unacknowledged


async def test_an_answer_that_nobody_acknowledges_is_given_up() -> None:
    async with open_house(ack_within_s=0.01, timeout_s=0.01, retransmits=2) as house, peer(house.port) as device:
        house.uplink.holding = True
        await device.ask(device.request())
        house.uplink.decide()
        assert [(await device.hear()).code for _ in range(3)] == [Code.CHANGED] * 3
        await until(lambda: not house.endpoint._exchanges._unacknowledged)
        assert await device.hears_nothing()


async def test_what_needs_no_acknowledgement_is_answered_so_and_its_repeat_is_not() -> None:
    async with open_house() as house, peer(house.port) as device:
        request = device.request(kind=NON)
        answer = await device.ask(request)
        assert (answer.mtype, answer.code) == (NON, Code.CHANGED)
        device.send(request)
        assert await device.hears_nothing()
        assert len(house.uplink.messages) == 1


async def test_a_ping_and_an_answer_that_nobody_waits_for_are_answered_with_a_reset() -> None:
    async with open_house() as house, peer(house.port) as device:
        for nobodys in (b"\x40\x00\x12\x34", b"\x41\x45\x12\x34\x01", b"\x40\xff\x12\x34"):
            answer = await device.ask(nobodys)
            assert (answer.mtype, answer.mid) == (RST, 0x1234)
        device.send(b"\x50\x00\x12\x34")
        assert await device.hears_nothing()


async def test_more_at_once_than_the_bound_is_told_to_come_again() -> None:
    async with open_house(at_once=2) as house, peer(house.port) as device:
        house.uplink.holding = True
        for _ in range(3):
            device.send(device.request())
        refused = await device.hear()
        assert (refused.code, refused.opt.max_age, refused.mid) == (Code.SERVICE_UNAVAILABLE, 1, 3)
        house.uplink.decide()
        assert {(await device.hear()).code, (await device.hear()).code} == {Code.CHANGED}


async def test_what_is_remembered_is_bounded_and_who_proved_nothing_is_not_remembered() -> None:
    async with open_house(remembered=10) as house, peer(house.port) as device:
        for _ in range(30):
            await device.post()
        assert len(house.endpoint._exchanges._known) <= 10
        house.identifier.refused["wrong"] = "bad_credentials"
        known = len(house.endpoint._exchanges._known)
        for _ in range(30):
            assert (await device.post(token="wrong")).code is Code.UNAUTHORIZED
            assert (await device.post(token=None)).code is Code.UNAUTHORIZED
        assert len(house.endpoint._exchanges._known) <= known


async def test_who_proved_nothing_is_answered_with_three_times_what_they_sent_at_most() -> None:
    async with open_house() as house, peer(house.port) as device:
        house.identifier.refused["wrong"] = "bad_credentials"
        tiny = bytes(Message(code=Code.GET, _mid=7, _mtype=CON, _token=b"").encode())
        asked = [tiny, b"\x44\x01\x00\x01abcd", device.request(token=None), device.request(token="wrong")]
        asked += [device.request(token="sibling"), device.request(code=Code.DELETE), device.request("x" * 50)]
        for request in asked:
            device.sizes.clear()
            answer = await device.ask(request)
            assert answer.code.class_ == 4
            assert device.sizes[0] <= 3 * len(request), request


async def test_nothing_that_anybody_sends_ends_it() -> None:
    async with open_house() as house, peer(house.port) as device:
        dice = random.Random(5683)
        honest = [
            device.request(),
            device.request("commands", b"", code=Code.GET, observe=0),
            device.request(block1=(0, True, 2)),
        ]
        for turn in range(3_000):
            data = bytearray(dice.choice(honest)) if turn % 2 else bytearray(dice.randbytes(dice.randrange(40)))
            for _ in range(dice.randrange(4)):
                if data:
                    data[dice.randrange(len(data))] = dice.randrange(256)
            device.send(bytes(data[: dice.randrange(len(data) + 1)] if turn % 3 else data))
            if turn % 50 == 0:  # no faster than it reads, or the system drops them
                device.send(b"\x40\x00" + turn.to_bytes(2))
                while (told := await device.hear()).mtype is not RST or told.mid != turn:
                    pass
        await until(lambda: not house.endpoint._exchanges.busy)
        assert house.uplink.messages
        async with peer(house.port) as another:
            assert (await another.post()).code is Code.CHANGED
