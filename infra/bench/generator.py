"""The process that plays the devices: told what to send by lines of JSON on stdin, it answers each with one on stdout.

    {"do": "connect"}                                        → {"connected": 1000, "seconds": 0.9}
    {"do": "run", "rate": 8000, "seconds": 10, "burst": 1}   → {"sent": 80000, "acked": …, "latency_ms": {…}}
    {"do": "stop"}                                           ends a run early
    {"do": "forget"}                                         drops what is due but could not be sent → {"forgot": 12}
    {"do": "finish"}                                         → what each device sent and what was not acknowledged

Its first line is the order (`Order`). It is a process of its own so that its CPU is not counted as the platform's.
"""

import asyncio
import json
import mmap
import struct
import sys
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from infra.bench.clients import Fleet, Identity, Tally, now
from infra.bench.readings import Signal
from infra.serve import allow_many_connections

TICK_S = 0.001
CONNECT_WITHIN_S = 60.0
CONNECT_EACH_S = 0.02
PROGRESS = struct.Struct("=qqqd")
"""Acknowledged, sent again, connections lost, and the newest time of sending that was acknowledged (monotonic)."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who plays and how; `progress` is a file of PROGRESS.size bytes kept up to date, `watched` devices keep times.

    The last `slow` devices speak once where the others speak `slower` times. The last three are as `Fleet` says.
    """

    port: int
    identities: list[Identity]
    signal: Signal
    in_flight: int
    watched: int
    progress: str
    seed: int
    slow: int = 0
    slower: int = 1
    most_waiting: int = 0
    is_tls: bool = False
    has_downlink: bool = False

    def text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> "Order":
        """What `text` wrote."""
        told = json.loads(line)
        told["identities"] = [Identity(**each) for each in told["identities"]]
        return cls(**{**told, "signal": Signal(**told["signal"])})


class Generator:
    """Follows the commands; one run at a time."""

    def __init__(self, order: Order) -> None:
        self._fleet = Fleet(
            order.port,
            order.identities,
            order.signal,
            in_flight=order.in_flight,
            watched=order.watched,
            seed=order.seed,
            most_waiting=order.most_waiting,
            is_tls=order.is_tls,
            has_downlink=order.has_downlink,
        )
        self._first_slow, self._slower = len(order.identities) - order.slow, order.slower
        self._stop = asyncio.Event()
        self._progress = _mapped(Path(order.progress))

    async def follow(self, lines: asyncio.StreamReader) -> None:
        """Answer commands until stdin ends."""
        publishing = asyncio.create_task(self._publish_progress())
        running: asyncio.Task[None] | None = None
        while line := await lines.readline():
            command = json.loads(line)
            if command["do"] == "stop":
                self._stop.set()
                continue
            if running is not None:
                await running
            running = asyncio.create_task(self._answer(command))
        self._stop.set()
        if running is not None:
            await running
        publishing.cancel()
        await self._fleet.close()

    async def _answer(self, command: dict[str, Any]) -> None:
        match command.pop("do"):
            case "connect":
                answer = await self._connect()
            case "run":
                answer = await self._run(**command)
            case "forget":
                answer = {"forgot": self._fleet.forget()}
            case "finish":
                answer = self._finish()
            case other:
                raise ValueError(f"{other!r} is no command")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    async def _connect(self) -> dict[str, Any]:
        began = now()
        await self._fleet.connect(CONNECT_WITHIN_S + CONNECT_EACH_S * len(self._fleet.clients))
        return {"connected": len(self._fleet.clients), "seconds": now() - began}

    async def _run(self, rate: float, seconds: float, burst: int = 1, patience_s: float = 60.0) -> dict[str, Any]:
        """Send by an open schedule: due messages are due, however long the answers to earlier ones take."""
        fleet, tally = self._fleet, Tally()
        fleet.tally = tally
        self._stop.clear()
        began = now() + TICK_S
        await self._schedule(began, rate / burst, int(rate * seconds / burst), burst)
        scheduled_s = now() - began
        on_time = tally.acked
        is_quiet = await fleet.quiet(patience_s)
        return {
            "sent": tally.sent,
            "acked": tally.acked,
            "refused": len(fleet.refused),
            "resent": fleet.resent,
            "dropped": fleet.dropped,
            "is_quiet": is_quiet,
            "scheduled_s": scheduled_s,
            "acked_on_time": on_time,
            "until_last_ack_s": tally.last_ack - began,
            "latency_ms": percentiles(tally.latencies),
        }

    async def _schedule(self, began: float, per_s: float, total: int, burst: int) -> None:
        clients = self._fleet.clients
        done = 0
        while done < total and not self._stop.is_set():
            until = min(total, int((now() - began) * per_s))
            for number in range(done, until):
                turn, place = divmod(number, len(clients))
                if place < self._first_slow or turn % self._slower == 0:
                    clients[place].wanted(began + number / per_s, burst)
            done = max(done, until)
            await asyncio.sleep(TICK_S)

    def _finish(self) -> dict[str, Any]:
        clients = self._fleet.clients
        return {
            "made": [client.count for client in clients],
            "unacked": [sorted(pending.n for pending in client.pending.values()) for client in clients],
            "refused": self._fleet.refused,
            "resent": self._fleet.resent,
            "due": self._fleet.due_of,
            "reconnects": self._fleet.reconnects,
        }

    async def _publish_progress(self) -> None:
        fleet = self._fleet
        while True:
            PROGRESS.pack_into(self._progress, 0, fleet.acked_total, fleet.resent, fleet.reconnects, fleet.acked_sent)
            await asyncio.sleep(0.005)


def percentiles(seconds: "array[float]") -> dict[str, float]:
    """p50, p95, p99 and the maximum of some times in seconds, in milliseconds (nearest rank)."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[min(last, int(share * len(ordered)))] * 1000, 2) for name, share in at.items()}


def _mapped(path: Path) -> mmap.mmap:
    path.write_bytes(bytes(PROGRESS.size))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), PROGRESS.size)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = Order.parse((await lines.readline()).decode())
    await Generator(order).follow(lines)


if __name__ == "__main__":
    allow_many_connections()
    uvloop.run(_main())
