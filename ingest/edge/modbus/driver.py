"""Reads and writes the machines behind one Modbus line or host."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from ingest.edge.document import Wrong, of
from ingest.edge.driver import Away, Failed, Lost, Proposal, Sample, Tell, Turn
from ingest.edge.modbus import scan, values, words
from ingest.edge.modbus.address import BITS, Address
from ingest.edge.modbus.blocks import Block, address_of, halves, merge
from ingest.edge.modbus.link import Link
from ingest.edge.points import Connection, Point, Raw

_CODES: Mapping[str, int] = {
    "read_coils": 1,
    "read_discrete_inputs": 2,
    "read_holding_registers": 3,
    "read_input_registers": 4,
    "write_coil": 5,
    "write_register": 6,
    "write_registers": 16,
    "mask_write_register": 22,
}
"""What pymodbus calls each request, and the code that its answer bears, too: the library takes any answer for it."""
_LEAST_PAUSE_S = 5.0
_MOST_PAUSE_S = 300.0
_PLAN_LASTS_S = 600.0
"""Then what was refused as a whole is tried as a whole again: a machine may only have been starting."""


class Silent(Exception):
    """A unit gives no answer, or none to what it was asked; others on the same line may."""


class Refused(Exception):
    """A unit answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(words.of(code))
        self.code = code


class ModbusDriver:
    """A `Driver`. A unit that does not answer is left alone for a while, so that it does not slow the others down."""

    def __init__(self, connection: Connection) -> None:
        assert isinstance(connection.settings, Link)
        self._link = connection.settings
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._plans: dict[frozenset[Point], tuple[float, list[Block]]] = {}
        """What was found to work for these points, and until when that is followed."""
        self._units: set[int] = set()
        self._silent: dict[int, tuple[float, float]] = {}
        """Units that gave no answer: until when they are left alone, and how long that is."""
        self._is_asking = False
        self._has_answered = False
        """Whether something has come on this connection."""
        self._owing: dict[int, float] = {}
        """Units that may still answer what nobody waits for any more: until when nothing else is asked of them."""

    async def open(self, lost: Lost) -> None:
        """Connect; `lost` hears when the machine hangs up on a request, or before it has answered any.

        Many machines hang up on who asks nothing for some seconds: the next request then connects again.
        """
        link = self._link

        def changed(is_connected: bool) -> None:
            if not is_connected and self._client is client and (self._is_asking or not self._has_answered):
                lost(f"{link} has closed the connection")

        client = self._client = _client(link, changed)
        client.set_max_no_responses(1_000_000_000)  # when to give up is decided here, by all units together
        await self._connect(client)

    async def _connect(self, client: AsyncModbusTcpClient | AsyncModbusSerialClient) -> None:
        link = self._link
        self._has_answered = False
        try:
            is_open = await client.connect()
        except OSError as error:
            raise Away(f"{link} cannot be opened: {error.strerror or error}") from None
        if not is_open:
            hint = "look at the line and its rights" if link.device else "look at address, port and network"
            raise Away(f"{link} does not let us connect: {hint}")

    async def close(self) -> None:
        """Give the socket or the line back."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)  # the transport closes its socket on the next turn of the loop

    async def watch(self, points: Sequence[Point], tell: Tell) -> Collection[Point]:
        """Nothing: Modbus machines tell nothing by themselves. All units are known from here."""
        self._units = {address_of(point).unit for point in points}
        return ()

    async def read(self, points: Sequence[Point]) -> Sequence[Sample]:
        """The points' values, in the fewest reads."""
        key = frozenset(points)
        until, plan = self._plans.get(key, (0.0, []))
        if until <= time.monotonic():
            until = time.monotonic() + _PLAN_LASTS_S
            plan = merge(points, self._link.max_read, self._link.max_gap)
        samples: list[Sample] = []
        followed: list[Block] = []
        is_silent = False
        for block in plan:
            if (pause := self._paused(block.unit)) is not None:
                samples += _errors(block, f"unit {block.unit} does not answer; it is asked again in {pause:.0f} s")
                followed.append(block)
                continue
            known = len(followed)
            try:
                samples += await self._read_block(block, followed)
                self._silent.pop(block.unit, None)
            except Silent as error:
                is_silent = True
                followed[known:] = [block]
                self._leave_alone(block.unit)
                samples += _errors(block, str(error))
        if len(self._plans) > 1_000:
            self._plans.clear()
        self._plans[key] = until, followed
        if is_silent and self._silent.keys() >= (self._units or {block.unit for block in plan}):
            raise Away(f"{self._link} does not answer: look at the unit number, the wiring and the machine's power")
        return samples

    async def write(self, point: Point, raw: Raw) -> None:
        """Write a coil, a register or more, or one bit of a register."""
        address = address_of(point)
        try:
            if address.table == "coil":
                await self._ask("write_coil", address, value=bool(raw))
            elif address.bit is not None:
                await self._write_bit(address, address.bit, bool(raw))
            else:
                registers = values.encode(address, raw)
                if len(registers) == 1:
                    await self._ask("write_register", address, value=registers[0])
                else:
                    await self._ask("write_registers", address, values=registers)
        except ValueError as error:
            raise Failed(str(error)) from None
        except (Silent, Refused) as error:
            raise Failed(f"{point.name}: {error}") from None

    async def call(self, point: Point, arguments: Mapping[str, Any]) -> Any:
        """Modbus has nothing to call."""
        raise Failed("Modbus has nothing to call; write to a coil or a register.")

    async def discover(self, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
        """Scan a range of registers: `{"unit": 1, "table": "holding", "from": 0, "to": 199, "device": "freezer-1"}`."""
        try:
            range_ = scan.parse(of(dict(wanted), "discover"))
        except Wrong as wrong:
            raise Failed(str(wrong)) from None
        found: dict[int, int | bool] = {}
        waiting = list(scan.pieces(range_, self._link.max_read))
        until = time.monotonic() + scan.MOST_S
        while waiting and time.monotonic() < until:
            start, count = waiting.pop()
            try:
                async with turn():
                    cells = await self._cells(range_, start, count)
            except (Failed, Away) as error:
                if not found:
                    raise
                raise scan.cut(range_, found, start, str(error)) from None
            if cells is not None:
                found |= {start + n: cell for n, cell in enumerate(cells)}
            elif count > 1:
                waiting += [(start + count // 2, count - count // 2), (start, count // 2)]
        if waiting:
            raise scan.cut(range_, found, waiting[-1][0], f"it took {scan.MOST_S:.0f} s already")
        return scan.proposals(range_, found)

    async def _cells(self, range_: scan.Range, start: int, count: int) -> Sequence[int | bool] | None:
        """What a part of a range holds, None when it is refused. Raises Failed when all of it would be, or Away."""
        try:
            answer = await self._ask(scan.FUNCTIONS[range_.table], range_.unit, start, count=count)
        except Silent as error:
            raise Failed(str(error)) from None
        except Refused as error:
            if error.code == words.ILLEGAL_FUNCTION:
                raise Failed(f"unit {range_.unit} says no: {error}") from None
            return None
        cells: Sequence[int | bool] = answer.bits if range_.table in BITS else answer.registers
        return cells[:count]

    async def _read_block(self, block: Block, followed: list[Block]) -> list[Sample]:
        """A block's samples. What the machine refuses as a whole is read in ever smaller parts, from now on."""
        try:
            answer = await self._ask(scan.FUNCTIONS[block.table], block.unit, block.start, count=block.count)
        except Refused as error:
            if len(block.points) == 1 or error.code not in words.SMALLER_PARTS:
                followed.append(block)
                return _errors(block, f"unit {block.unit} says no: {error}")
            samples: list[Sample] = []
            for half in halves(block):
                samples += await self._read_block(half, followed)
            return samples
        followed.append(block)
        return [_sample(block, point, answer) for point in block.points]

    async def _write_bit(self, address: Address, bit: int, is_set: bool) -> None:
        place = bit if address.bytes == "big" else (bit + 8) % 16
        mask = 1 << place
        try:
            await self._ask("mask_write_register", address, and_mask=0xFFFF ^ mask, or_mask=mask if is_set else 0)
        except Refused as error:
            if error.code != words.ILLEGAL_FUNCTION:
                raise
            # few machines know the one request that changes single bits
            registers = (await self._ask("read_holding_registers", address, count=1)).registers
            if len(registers) != 1:
                raise ValueError(f"unit {address.unit} sent {len(registers)} registers where 1 was asked for") from None
            now = registers[0]
            await self._ask("write_register", address, value=now | mask if is_set else now & ~mask)

    async def _ask(self, function: str, where: Address | int, start: int = 0, **more: Any) -> ModbusPDU:
        """One request and its answer. Raises Refused, Silent or Away."""
        unit = where.unit if isinstance(where, Address) else where
        start = where.start if isinstance(where, Address) else start
        await self._hear_out(unit)
        client = self._client
        if client is not None and not client.connected and self._has_answered:
            await self._connect(client)
        if client is None or not client.connected:
            raise Away(f"{self._link} has closed the connection")
        self._is_asking = True
        self._owing[unit] = time.monotonic() + 2 * self._link.timeout_s
        try:
            answer: ModbusPDU = await getattr(client, function)(address=start, device_id=unit, **more)
        except ModbusException:
            if not client.connected:
                raise Away(f"{self._link} has closed the connection") from None
            raise Silent(f"unit {unit} does not answer: look at the unit number, its power and its line") from None
        except OSError as error:
            raise Away(f"{self._link} has failed: {error.strerror or error}") from None
        finally:
            self._is_asking = False
        self._has_answered = True
        if answer.function_code & 0x7F != _CODES[function]:
            told = "raise `timeout`, look whether something else asks on its line"
            raise Silent(f"unit {unit} answers something that it was not asked: {told}")
        del self._owing[unit]
        if answer.isError():
            code = answer.exception_code
            raise Silent(f"unit {unit} is not reached: {words.of(code)}") if code in words.NOBODY else Refused(code)
        return answer

    async def _hear_out(self, unit: int) -> None:
        """Let a late answer come, which only Modbus TCP could tell from the one to the next request."""
        left_s = self._owing.pop(unit, 0.0) - time.monotonic()
        if left_s > 0 and self._link.framing == "rtu":
            await asyncio.sleep(left_s)

    def _paused(self, unit: int) -> float | None:
        """In how many seconds a silent unit is asked again; None when it may be asked now."""
        left_s = self._silent.get(unit, (0.0, 0.0))[0] - time.monotonic()
        return left_s if left_s > 0 else None

    def _leave_alone(self, unit: int) -> None:
        pause_s = min(_MOST_PAUSE_S, max(_LEAST_PAUSE_S, 2 * self._silent.get(unit, (0.0, 0.0))[1]))
        self._silent[unit] = time.monotonic() + pause_s, pause_s


def _client(link: Link, changed: Any) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
    # no reconnects and no retries of its own: the edge begins anew, and knows what it says of that
    common = {"timeout": link.timeout_s, "retries": 0, "reconnect_delay": 0, "trace_connect": changed}
    if link.device:
        serial = {"baudrate": link.baud_rate, "parity": link.parity, "stopbits": link.stop_bits}
        return AsyncModbusSerialClient(link.device, framer=FramerType.RTU, **serial, **common)  # type: ignore[arg-type]
    framer = FramerType.RTU if link.framing == "rtu" else FramerType.SOCKET
    return AsyncModbusTcpClient(link.host, port=link.port, framer=framer, **common)


def _sample(block: Block, point: Point, answer: ModbusPDU) -> Sample:
    address = address_of(point)
    first = address.start - block.start
    is_bits = block.table in BITS
    cells = (answer.bits if is_bits else answer.registers)[first : first + address.count]
    if len(cells) < address.count:
        what = "bits" if is_bits else "registers"
        return _error(point, f"unit {block.unit} sent fewer {what} than were asked for: lower max_read")
    if is_bits:
        return Sample(point, bool(cells[0]))
    if len(answer.registers) > block.count:
        return _error(point, f"unit {block.unit} sent more registers than were asked for: look at the machine")
    registers = cells
    try:
        return Sample(point, values.decode(address, registers))
    except values.Unreadable as error:
        return _error(point, str(error))


def _errors(block: Block, told: str) -> list[Sample]:
    return [_error(point, told) for point in block.points]


def _error(point: Point, told: str) -> Sample:
    return Sample(point, error=told, quality="bad")
