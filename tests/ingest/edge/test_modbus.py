"""Modbus against a real server: every type and order, merged reads, words for refusals, silence, and no leaks."""

import asyncio
import json
import os
import pty
import struct
import sys
import time
import tty
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ingest.edge import document, modbus, points
from ingest.edge.driver import Away, Cut, Failed, Sample
from ingest.edge.modbus.blocks import merge
from ingest.edge.modbus.driver import ModbusDriver
from ingest.edge.points import Point, PointTable, Raw


class Machine:
    """A server of units 1 and 2; `cells` are unit 1's registers, `asked` the requests that it got."""

    def __init__(self) -> None:
        self.cells: dict[int, int] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.refuses: set[int] = set()
        self.refusal = ExcCodes.ILLEGAL_ADDRESS
        self.is_silent: set[int] = set()
        self.slow_s = 0.0
        self.port = 0

    def devices(self) -> list[SimDevice]:
        block = [
            SimData(0, count=400, datatype=DataType.REGISTERS),
            SimData(500, count=100, datatype=DataType.REGISTERS),
        ]
        one = SimDevice(1, block, use_bit_addressing=True, action=self._look)
        two = SimDevice(2, [SimData(0, count=10, values=7, datatype=DataType.REGISTERS)])
        return [one, two]

    def traced(self, is_sent: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not is_sent:
            self.asked.append((pdu.function_code, pdu.address, pdu.count))
        return pdu

    def muted(self, is_sent: bool, packet: bytes) -> bytes:
        return b"" if is_sent and packet and packet[6] in self.is_silent else packet

    async def _look(
        self, code: int, first: int, address: int, count: int, registers: list[int], written: Any
    ) -> ExcCodes | None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.refuses & set(range(address, address + count)):
            return self.refusal
        for place, value in self.cells.items():
            registers[place - first] = value
        if written is not None and code in (6, 16):
            self.cells |= {address + n: value for n, value in enumerate(written)}
        elif written is not None:
            self.cells.clear()  # bits are written into the registers themselves
        return None


@asynccontextmanager
async def serving(machine: Machine, port: int = 0) -> AsyncIterator[ModbusTcpServer]:
    server = ModbusTcpServer(
        machine.devices(), address=("127.0.0.1", port), trace_pdu=machine.traced, trace_packet=machine.muted
    )
    await server.serve_forever(background=True)
    machine.port = server.transport.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await server.shutdown()


def table(of: Sequence[dict[str, Any]], **link: Any) -> PointTable:
    link = {"protocol": "modbus-tcp", "host": "127.0.0.1", "timeout": "0.3 s"} | link
    said = [{"metric": f"m{n}", **point} for n, point in enumerate(of)]
    return points.parse(
        document.of({"connections": {"plc": link}, "devices": {"d": {"connection": "plc", "points": said}}}, "points")
    )


def driver(found: PointTable) -> ModbusDriver:
    made = modbus.driver(found.connections["plc"], None)  # type: ignore[arg-type]
    assert isinstance(made, ModbusDriver)
    return made


@asynccontextmanager
async def reading(
    machine: Machine, of: Sequence[dict[str, Any]], **link: Any
) -> AsyncIterator[tuple[ModbusDriver, list[Point]]]:
    found = table(of, port=machine.port, **link)
    opened = driver(found)
    await opened.open(lambda words: None)
    await opened.watch(found.points, lambda sample: None)
    try:
        yield opened, list(found.points)
    finally:
        await opened.close()


def by_name(samples: Sequence[Sample]) -> dict[str, Raw | str | None]:
    return {s.point.metric: s.raw if s.error is None else s.error for s in samples}


def registers(form: str, value: Any, *, words: str = "big", bytes_: str = "big") -> list[int]:
    """What a machine with this order holds, made another way than by the code under test."""
    data = struct.pack(">" + form, value)
    found = list(struct.unpack(f">{len(data) // 2}H", data))
    if words == "little":
        found = found[::-1]
    return [(cell >> 8) | (cell & 0xFF) << 8 for cell in found] if bytes_ == "little" else found


KINDS: Sequence[tuple[str, str, Any]] = [
    ("int16", "h", -12_345),
    ("uint16", "H", 54_321),
    ("int32", "i", -1_234_567_890),
    ("uint32", "I", 3_234_567_890),
    ("int64", "q", -1_234_567_890_123_456_789),
    ("uint64", "Q", 12_345_678_901_234_567_890),
    ("float32", "f", 0.15625),
    ("float64", "d", -1.0000000000000002),
]


async def test_every_type_is_read_and_written_in_every_order_of_words_and_bytes() -> None:
    said, held, expected = [], [], []
    for type_, form, value in KINDS:
        for words in ("big", "little"):
            for bytes_ in ("big", "little"):
                cells = registers(form, value, words=words, bytes_=bytes_)
                address = {"holding": len(held), "words": words, "bytes": bytes_}
                said.append({"address": address, "type": type_, "access": "read-write"})
                held += cells
                expected.append(value)
    machine = Machine()
    machine.cells = dict(enumerate(held))
    async with serving(machine), reading(machine, said) as (opened, found):
        assert list(by_name(await opened.read(found)).values()) == expected
        machine.cells = {}
        for point, value in zip(found, expected, strict=True):
            await opened.write(point, value)
        assert [machine.cells[n] for n in range(len(held))] == held


async def test_bits_strings_and_coils_are_read_and_written() -> None:
    text = "Ölpumpe"
    machine = Machine()
    machine.cells = {20: 0b0100_0000_0000_0001, 320: 0xFFFF, 5: 0x1234}
    machine.cells |= {
        30 + n: int.from_bytes(text.encode().ljust(12, b"\0")[2 * n : 2 * n + 2], "big") for n in range(6)
    }
    said = [
        {"address": {"holding": 20, "bit": 14}, "access": "read-write"},
        {"address": {"holding": 20, "bit": 1}, "access": "read-write"},
        {"address": {"holding": 20, "bit": 8, "bytes": "little"}},
        {"address": {"input": 30, "length": 6}, "type": "string"},
        {"address": {"holding": 30, "length": 6}, "type": "string", "access": "write"},
        {"address": {"discrete": 16 * 20 + 14}},
        {"address": {"coil": 16 * 5 + 3}, "access": "read-write"},
        {"address": {"holding": 20}, "type": "uint16"},
    ]
    async with serving(machine), reading(machine, said) as (opened, found):
        read = by_name(await opened.read([point for point in found if point.is_read]))
        assert read == {"m0": True, "m1": False, "m2": True, "m3": text, "m5": True, "m6": False, "m7": 0x4001}

        await opened.write(found[1], True)
        await opened.write(found[0], False)
        await opened.write(found[4], "Pump")
        await opened.write(found[6], True)
        assert by_name(await opened.read([found[7], found[3], found[6]])) == {"m3": "Pump", "m6": True, "m7": 3}
        with pytest.raises(Failed, match="there is room for 12"):
            await opened.write(found[4], "longer than twelve")


async def test_near_points_are_read_at_once_and_a_hole_between_them_hurts_nobody() -> None:
    machine = Machine()
    machine.cells = {0: 1, 9: 2, 130: 3, 131: 4, 399: 5, 500: 6}
    machine.refuses = {4}
    said = [{"address": {"holding": at}, "type": "uint16"} for at in (0, 9, 130, 131, 399, 500)]
    async with serving(machine), reading(machine, said) as (opened, found):
        assert list(by_name(await opened.read(found)).values()) == [1, 2, 3, 4, 5, 6]
        assert (3, 0, 10) in machine.asked
        assert (3, 130, 2) in machine.asked
        machine.asked.clear()
        assert list(by_name(await opened.read(found)).values()) == [1, 2, 3, 4, 5, 6]
        # it has learned that 4 cannot be read, and reads around it
        assert machine.asked == [(3, 0, 1), (3, 9, 1), (3, 130, 2), (3, 399, 1), (3, 500, 1)]


async def test_a_machine_that_refused_all_while_it_started_is_read_as_a_whole_again() -> None:
    machine = Machine()
    of = [{"address": {"holding": n}, "type": "uint16"} for n in range(8)]
    machine.refuses, machine.refusal = set(range(8)), ExcCodes.DEVICE_FAILURE
    async with serving(machine), reading(machine, of) as (opened, found):
        assert all(s.error for s in await opened.read(found))
        machine.refuses.clear()
        for requests in (8, 1, 1):
            machine.asked.clear()
            assert [s.raw for s in await opened.read(found)] == [0] * 8
            assert len(machine.asked) == requests
            assert all(0 < until - time.monotonic() <= 600 for until, _ in opened._plans.values())
            opened._plans = {
                key: (time.monotonic(), plan) for key, (_, plan) in opened._plans.items()
            }  # ten minutes on


async def test_a_unit_that_is_busy_or_behind_a_gateway_that_does_not_reach_it_is_not_asked_piece_by_piece() -> None:
    machine = Machine()
    said = [{"address": {"unit": 1, "holding": at}, "type": "uint16"} for at in range(8)]
    said.append({"address": {"unit": 2, "holding": 0}, "type": "uint16"})
    async with serving(machine), reading(machine, said) as (opened, found):
        for refusal, words in ((ExcCodes.DEVICE_BUSY, "is busy"), (ExcCodes.GATEWAY_NO_RESPONSE, "no answer of it")):
            machine.refuses, machine.refusal = {3}, refusal
            machine.asked.clear()
            read = by_name(await opened.read(found))
            assert machine.asked == [(3, 0, 8), (3, 0, 1)]
            assert words in str(read["m0"])
            assert read["m8"] == 7
        machine.asked.clear()
        assert "asked again in" in str(by_name(await opened.read(found))["m0"])
        assert machine.asked == [(3, 0, 1)]  # a gateway takes long to find out, and the others wait for it


def test_no_read_is_longer_than_a_machine_can_take() -> None:
    found = table([{"address": {"holding": at}, "type": "float64"} for at in range(0, 400, 4)]).points

    assert [(block.start, block.count) for block in merge(found, 125, 10)] == [
        (0, 124),
        (124, 124),
        (248, 124),
        (372, 28),
    ]
    assert max(block.count for block in merge(found, 10, 10)) == 8
    wide = table([{"address": {"coil": at}} for at in (0, 160, 161, 2_100)]).points
    assert [(block.start, block.count) for block in merge(wide, 125, 10)] == [(0, 162), (2_100, 1)]


async def test_a_refusal_is_told_in_words_and_is_the_points_alone() -> None:
    machine = Machine()
    machine.cells = {0: 1}
    said = [
        {"address": {"holding": 0}, "type": "uint16"},
        {"address": {"holding": 450}, "type": "uint16", "access": "read-write"},
    ]
    async with serving(machine), reading(machine, said) as (opened, found):
        read = by_name(await opened.read(found))
        assert read["m0"] == 1
        assert "it has no such register (code 2): look at the address" in str(read["m1"])
        with pytest.raises(Failed, match="no such register"):
            await opened.write(found[1], 3)


async def test_a_float_of_32_bits_is_read_as_people_write_it() -> None:
    said = [82.4, -0.001, 3.4e38, 16_777_217.0, 1e-40]
    machine = Machine()
    machine.cells = {2 * n + m: cell for n, value in enumerate(said) for m, cell in enumerate(registers("f", value))}
    points_ = [{"address": {"holding": 2 * n}, "type": "float32"} for n in range(len(said))]
    async with serving(machine), reading(machine, points_) as (opened, found):
        read = list(by_name(await opened.read(found)).values())
    assert read[:3] == said[:3]
    assert [struct.pack(">f", value) for value in read] == [struct.pack(">f", value) for value in said]


async def test_a_float_that_is_no_number_is_an_error_and_no_value() -> None:
    machine = Machine()
    machine.cells = dict(enumerate(registers("f", float("nan"))))
    async with serving(machine), reading(machine, [{"address": {"holding": 0}, "type": "float32"}]) as (opened, found):
        (sample,) = await opened.read(found)
        assert sample.raw is None
        assert sample.quality == "bad"
        assert "no value" in str(sample.error)


async def test_a_silent_unit_is_left_alone_and_does_not_slow_the_others() -> None:
    machine = Machine()
    machine.cells, machine.is_silent = {0: 5}, {2}
    said = [{"address": {"unit": unit, "holding": 0}, "type": "uint16"} for unit in (1, 2)]
    async with serving(machine), reading(machine, said) as (opened, found):
        read = by_name(await opened.read(found))
        assert read["m0"] == 5
        assert "unit 2 does not answer: look at" in str(read["m1"])
        machine.asked.clear()
        read = by_name(await opened.read(found))
        assert read["m0"] == 5
        assert "asked again in" in str(read["m1"])
        assert len(machine.asked) == 1


@asynccontextmanager
async def answering(said: list[tuple[float, bytes]], *, hangs_up: bool = False) -> AsyncIterator[int]:
    """Something on a line of RTU frames over TCP that answers each request with the next of these, after a while.

    `hangs_up` then: it keeps no connection on which nothing is asked.
    """
    tasks: list[asyncio.Task[None]] = []

    async def answer(writer: asyncio.StreamWriter, after_s: float, frame: bytes) -> None:
        await asyncio.sleep(after_s)
        writer.write(frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"))
        if hangs_up:
            await asyncio.sleep(0.02)
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(8):
            tasks.append(asyncio.create_task(answer(writer, *said.pop(0))))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def test_what_a_machine_sends_is_never_taken_for_what_it_was_not_asked() -> None:
    said = [{"address": {"coil": 0}}, {"address": {"coil": 9}}, {"address": {"holding": 0}, "type": "uint16"}]
    frames = [(0.0, b"\1\1\1\xff"), (0.0, b"\1\3\4\0\5\0\6")]  # eight coils where ten are asked for, two registers
    async with answering(frames) as port:
        machine = Machine()
        machine.port = port
        async with reading(machine, said, framing="rtu") as (opened, found):
            read = by_name(await opened.read(found))
            assert read["m0"] is True
            assert "fewer bits" in str(read["m1"])
            assert "more registers" in str(read["m2"])
            frames.append((0.0, b"\1\4\2\0\5"))  # of another table
            with pytest.raises(Away):
                await opened.read(found[2:])


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    frames = [(0.4, b"\1\6\0\0\0\5"), (0.2, b"\1\3\2\0\7")]
    async with answering(frames) as port:
        machine = Machine()
        machine.port = port
        said = [{"address": {"holding": 0}, "type": "uint16", "access": "read-write"}]
        async with reading(machine, said, framing="rtu") as (opened, found):
            with pytest.raises(Failed, match="does not answer"):
                await opened.write(found[0], 5)  # whether it was written nobody knows
            assert by_name(await opened.read(found)) == {"m0": 7}


async def test_when_nobody_answers_or_listens_the_machine_is_away() -> None:
    machine = Machine()
    machine.is_silent = {1}
    async with serving(machine), reading(machine, [{"address": {"holding": 0}, "type": "uint16"}]) as (opened, found):
        with pytest.raises(Away, match="does not answer: look at the unit number"):
            await opened.read(found)
    with pytest.raises(Away, match="does not let us connect"):
        await driver(table([{"address": {"coil": 0}}], port=machine.port)).open(lambda words: None)


async def test_a_machine_that_hangs_up_is_noticed_at_once() -> None:
    machine = Machine()
    gone: asyncio.Queue[str] = asyncio.Queue()
    async with serving(machine):
        opened = driver(table([{"address": {"coil": 0}}], port=machine.port))
        await opened.open(gone.put_nowait)
    assert "has closed the connection" in await asyncio.wait_for(gone.get(), 20)
    with pytest.raises(Away):
        await opened.read(table([{"address": {"coil": 0}}], port=machine.port).points)
    await opened.close()
    assert gone.empty()


async def test_a_machine_that_hangs_up_on_who_asks_nothing_is_called_again_with_the_next_request() -> None:
    said, lost = [(0.0, b"\1\3\2\0" + bytes([n])) for n in range(3)], list[str]()
    async with answering(said, hangs_up=True) as port:
        found = table([{"address": {"holding": 0}, "type": "uint16"}], port=port, framing="rtu")
        opened = driver(found)
        await opened.open(lost.append)
        for n in range(3):
            assert by_name(await opened.read(found.points)) == {"m0": n}
            assert opened._client is not None
            while opened._client.connected:
                await asyncio.sleep(0.01)
    with pytest.raises(Away, match="does not let us connect"):
        await opened.read(found.points)
    await opened.close()
    assert lost == []


async def test_a_hundred_reconnects_leave_nothing_behind() -> None:
    machine = Machine()
    said = [{"address": {"holding": 0}, "type": "uint16"}]

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())

    async with serving(machine):
        before = None
        for n in range(101):
            async with reading(machine, said, timeout="5 s") as (opened, found):
                assert (await opened.read(found))[0].error is None
            if n == 0:
                before = await _settled(held, None)
        after = await _settled(held, before)
        assert all(now < then + 10 for now, then in zip(after, before, strict=True)), (before, after)


async def _settled(held: Any, wanted: Any) -> Any:
    """The server's half of a connection ends a little after ours; what tests before left may end meanwhile too."""
    for _ in range(200):
        await asyncio.sleep(0.02)
        if wanted is None or all(now <= then for now, then in zip(held(), wanted, strict=True)):
            break
    return held()


async def test_a_scan_finds_the_registers_that_are_there() -> None:
    machine = Machine()
    machine.cells = {500: 77}
    async with serving(machine), reading(machine, [{"address": {"coil": 0}}]) as (opened, _):
        found = await opened.discover({"from": 395, "to": 505, "device": "freezer-9"}, nullcontext)
        assert [proposal.address["holding"] for proposal in found] == [*range(395, 400), *range(500, 506)]
        known = next(proposal for proposal in found if proposal.found)
        assert (known.device, known.metric, known.type, known.found) == ("freezer-9", "holding_500", "uint16", 77)
        with pytest.raises(Failed, match="`to` is 4"):
            await opened.discover({"from": 5, "to": 4}, nullcontext)


@pytest.mark.parametrize(
    ("ending", "why"),
    [("silent", "unit 1 does not answer"), ("gone", "the connection broke"), ("late", "it took 60 s already")],
    ids=["silent", "gone", "late"],
)
async def test_a_scan_that_ends_early_gives_what_it_had_found_and_says_where_to_go_on(
    ending: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    turns, now_s = iter(range(9)), [0.0]
    monkeypatch.setattr(sys.modules[ModbusDriver.__module__], "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    async with serving(machine), reading(machine, [{"address": {"coil": 0}}]) as (opened, _):

        @asynccontextmanager
        async def turn() -> AsyncIterator[None]:
            is_third = next(turns) == 2
            if is_third and ending == "gone":
                raise Away("the connection broke while it was looked at")
            machine.is_silent = {1} if is_third and ending == "silent" else set()
            yield
            now_s[0] += 30.0 if ending == "late" else 0.0

        with pytest.raises(Cut, match=f"^It ended before holding 100: {why}.*look again from 100") as cut:
            await opened.discover({"to": 199}, turn)
        assert [proposal.address["holding"] for proposal in cut.value.found] == list(range(100))
        machine.is_silent = {1}
        with pytest.raises(Failed, match=r"^unit 1 does not answer"):
            await opened.discover({}, nullcontext)


async def test_a_serial_line_carries_the_same() -> None:
    machine = Machine()
    machine.cells = {0: 42, 7: 0xFFFE}
    async with serial_line() as (ours, theirs):
        server = ModbusSerialServer(machine.devices(), framer=FramerType.RTU, port=theirs, baudrate=115_200)
        await server.serve_forever(background=True)
        said = [
            {"address": {"holding": 0}, "type": "uint16"},
            {"address": {"holding": 7}, "type": "int16", "access": "read-write"},
        ]
        rtu = {"protocol": "modbus-rtu", "device": ours, "baud_rate": 115_200, "parity": "N", "timeout": "2 s"}
        found = points.parse(
            document.of(
                json.loads(
                    json.dumps(
                        {
                            "connections": {"plc": rtu},
                            "devices": {
                                "d": {
                                    "connection": "plc",
                                    "points": [{"metric": f"m{n}", **s} for n, s in enumerate(said)],
                                }
                            },
                        }
                    )
                ),
                "points",
            )
        )
        opened = driver(found)
        try:
            await opened.open(lambda words: None)
            assert by_name(await opened.read(found.points)) == {"m0": 42, "m1": -2}
            await opened.write(found.points[1], 9)
            assert machine.cells[7] == 9
        finally:
            await opened.close()
            await server.shutdown()


@asynccontextmanager
async def serial_line() -> AsyncIterator[tuple[str, str]]:
    """Two ends of a serial line, made of two pseudo terminals."""
    loop = asyncio.get_running_loop()
    pairs = [pty.openpty(), pty.openpty()]
    (one, _), (other, _) = pairs
    for master, slave in pairs:
        tty.setraw(master)
        tty.setraw(slave)
    loop.add_reader(one, lambda: os.write(other, os.read(one, 4096)))
    loop.add_reader(other, lambda: os.write(one, os.read(other, 4096)))
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        loop.remove_reader(one)
        loop.remove_reader(other)
        for master, slave in pairs:
            os.close(master)
            os.close(slave)
