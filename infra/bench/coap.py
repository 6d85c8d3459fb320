"""`tidegate bench coap`: what a device's datagram costs ingest and Postgres, as JSON and as CBOR.

Devices post one reading after the other, each from a socket of its own. Then what was stored is counted.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import cbor2

from infra.bench.clients import Identity
from infra.bench.http import Course, Measured, measured

COURSES = (Course("a reading, JSON"), Course("a reading, CBOR"))
_ANSWERED_WITHIN_S = 10.0
_CHANGED = 0x44


def measure(devices: int, seconds: float) -> Measured:
    """Run all courses on a platform of their own, `seconds` each."""
    costs, stored = measured(devices, seconds, COURSES, "coap_port", run)
    return Measured(devices, costs, _Device.sent, stored)


async def run(port: int, identities: list[Identity], course: Course, seconds: float) -> list[float]:
    """Send from all these devices at once; the seconds that each request took."""
    until = time.monotonic() + seconds
    devices = [_Device(identity, course is COURSES[1]) for identity in identities]
    return [took for each in await asyncio.gather(*(device.post(port, until) for device in devices)) for took in each]


class _Device(asyncio.DatagramProtocol):
    """Posts until it is told to end; written by hand, so that little of the machine is ours."""

    sent = 0
    _number: Iterator[int] = itertools.count(1)

    def __init__(self, identity: Identity, is_cbor: bool) -> None:
        path = [(11, part) for part in ("ingest", "v1", identity.key, "telemetry")]
        options = [*path, (12, "\x3c" if is_cbor else "\x32"), (15, f"token={identity.token}")]
        self._options = b"".join(_option(options, place) for place in range(len(options))) + b"\xff"
        self._dump = cbor2.dumps if is_cbor else _json
        self._mid = 0
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """The answer."""
        if not self._answer.done():
            self._answer.set_result(data)

    async def post(self, port: int, until: float) -> list[float]:
        """The seconds that each request took."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=("127.0.0.1", port))
        times = []
        try:
            while (began := time.monotonic()) < until:
                self._answer = loop.create_future()
                transport.sendto(self._request())
                answer = await asyncio.wait_for(self._answer, _ANSWERED_WITHIN_S)
                if answer[1] != _CHANGED:
                    raise RuntimeError(f"{answer[1] >> 5}.{answer[1] & 31:02} {answer[4:]!r}")
                _Device.sent += 1
                times.append(time.monotonic() - began)
        finally:
            transport.close()
        return times

    def _request(self) -> bytes:
        self._mid = (self._mid + 1) % 65_536
        n = next(self._number)
        values = {"temperature": n % 50, "humidity": n % 90, "pressure": n}
        said = self._dump({"time": time.time_ns() // 1_000_000, "seq": n, "values": values})
        return b"\x40\x02" + self._mid.to_bytes(2) + self._options + said


def _json(said: object) -> bytes:
    return json.dumps(said).encode()


def _option(options: list[tuple[int, str]], place: int) -> bytes:
    """An option as it goes over the wire (RFC 7252, section 3.1); numbers lie close together here."""
    number, text = options[place]
    before = options[place - 1][0] if place else 0
    value = text.encode()
    long = len(value) >= 13
    head = bytes([(number - before) << 4 | (13 if long else len(value))])
    return head + (bytes([len(value) - 13]) if long else b"") + value
