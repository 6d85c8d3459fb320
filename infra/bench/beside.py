"""What stands beside a platform and is killed as well: an edge with its machine, and a broker with those who publish.

Each has a tenant of its own. The machine counts how often it was read, so each reading is a number: it must be stored
once, unless it was lost on the way to the edge's disk when that was killed, or dropped and counted. Those who publish
keep what the broker has not acknowledged. A broker that is killed forgets what it had in memory, and this one
(Mosquitto 2.0.11, ADR 52) its shared subscriptions: it is asked for no more than it can promise. What our consumer has
acknowledged must be stored, and everything else that was not published around a death of the broker.
"""

import asyncio
import json
import shutil
import sqlite3
import sys
import time
from collections import Counter as Counted
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg
import yaml

from engine.devices import service as devices
from engine.store.pool import Store
from engine.tenancy import system
from infra.bench.clients import Identity
from infra.bench.counter import Counter
from infra.bench.generator import Order
from infra.bench.judge import Sent, judge, wait_for_drain
from infra.bench.judged_rules import SIGNAL
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found
from infra.bench.tended import Tended
from infra.bench.unruly import Unruly
from infra.local.errors import SetupProblem
from infra.local.ports import free_port, is_listening
from infra.local.postgres import Postgres

KINDS = ("edge", "broker")
READ_EVERY_MS = 50
TO_DISK_S = 3.0
"""What a broker took in the last seconds before it was killed need not have been on its disk."""
SPOOLED_S = 10.0
"""Nor need the last readings that an edge had have reached its disk: they wait for a tenth of a second, and then for a
write, which took more than three seconds on a disk that had much else to do."""
UNDER_WAY_S = 0.3
"""What an edge had asked of the machine when it was killed may be answered so much later, to nobody: no edge is there
again so soon.
"""
PUBLISHERS = 20
A_SECOND = 100
"""Messages a second that go by the broker."""
ENDS_WITHIN_S = 120.0
STARTS_WITHIN_S = 30.0
MAX_SHOWN = 5
CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 100000
user root
"""

_STORED = """
SELECT CAST(values ->> 'count' AS bigint) FROM telemetry
WHERE tenant_id = %s AND device_id = %s AND values ? 'count'
"""
_REJECTED = "SELECT reason, message, count(*) FROM rejected WHERE tenant_id = %s GROUP BY reason, message"
_NEWEST = """
SELECT max(CAST(values ->> 'count' AS bigint)) FROM telemetry
WHERE tenant_id = %s AND device_id = %s AND time > now() - interval '2 minutes'
"""
_ORDER = """
SELECT device_id::text, count(*) FROM (
    SELECT device_id, CAST(values ->> 'count' AS bigint) AS n,
           lag(CAST(values ->> 'count' AS bigint)) OVER (PARTITION BY device_id ORDER BY time, seq) AS before
    FROM telemetry WHERE tenant_id = %s
) told WHERE n <= before GROUP BY device_id
"""
_LATEST = """
SELECT l.device_id::text, CAST(l.values #>> '{count,0}' AS bigint), max(CAST(t.values ->> 'count' AS bigint))
FROM latest l JOIN telemetry t ON t.tenant_id = l.tenant_id AND t.device_id = l.device_id
WHERE l.tenant_id = %s GROUP BY l.device_id, l.values
HAVING CAST(l.values #>> '{count,0}' AS bigint) <> max(CAST(t.values ->> 'count' AS bigint))
"""


@dataclass(slots=True)
class Judged:
    """What became of what was `offered`; `gone` with a death: what nobody had promised to keep."""

    kind: str
    offered: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0
    gone: int = 0
    said: str = ""
    wrong: list[str] = field(default_factory=list)

    def blame(self, what: str, count: int, example: object) -> None:
        """Note something that is not as promised."""
        if count:
            self.wrong.append(f"{self.kind}: {count} {what}, for example {example}")


class Beside(Protocol):
    """One of them; a context manager. Killed by `strike`, and at its work again when `is_back`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def strike(self) -> float:
        """Kill -9 it; when that was (monotonic)."""
        ...

    def is_back(self) -> bool:
        """Whether something that came after the last death has come through."""
        ...

    def finish(self) -> Judged:
        """End it when all has come through, and judge."""
        ...


class EdgeBeside:
    """`tidegate edge` at a machine; a context manager."""

    def __init__(self, rig: Rig) -> None:
        self._postgres = rig.postgres
        self._folder = rig.folder / "edge"
        self._port = rig.ports["mqtt_port"]
        self._stack = ExitStack()
        self._deaths: list[float] = []
        self._spooled_at_death: set[int] = set()
        self._before = 0
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            tenant = asyncio.run(_gateway_with_child(self._postgres))
            self._tenant_id, self._child = tenant.id, tenant.device_ids[1]
            self._counter = stack.enter_context(Counter())
            stack.callback(self._hang_up)
            self._file = self._written(tenant.identities)
            command = [sys.executable, "-m", "infra.cli", "edge", str(self._file)]
            self._edge = stack.enter_context(Tended(command, self._folder / "edge.log"))
            _await(lambda: self._newest() > 0, STARTS_WITHIN_S * 2, "The edge sends nothing", self._edge)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def strike(self) -> float:
        self._deaths.append(self._edge.kill())
        self._spooled_at_death |= self._on_disk()
        self._before = len(self._counter.served)
        return self._deaths[-1]

    def is_back(self) -> bool:
        return self._newest() > self._before

    def finish(self) -> Judged:
        self._counter.is_frozen = True
        offered = len(self._counter.served)
        what = "Not all that the edge has read came"
        _await(lambda: self._newest() >= offered and not self._waiting(), ENDS_WITHIN_S, what, self._edge)
        self._edge.stop()
        with psycopg.connect(self._postgres.url("superuser")) as connection:
            rows = connection.execute(_STORED, [self._tenant_id, self._child]).fetchall()
            kept = connection.execute(_REJECTED, [self._tenant_id]).fetchall()
        judged = judged_edge(self._counter.served, self._deaths, [row[0] for row in rows], self._dropped())
        forgotten = sorted(self._spooled_at_death - {row[0] for row in rows})
        judged.blame(
            "readings were in its spool when it was killed, and are not stored", len(forgotten), forgotten[:MAX_SHOWN]
        )
        judged.said = f"{judged.offered} readings of the machine, {judged.stored} stored; {judged.gone} not on disk yet"
        judged.blame("kinds of messages lie in the inbox", len(kept), kept[:MAX_SHOWN])
        return judged

    def _newest(self) -> int:
        """The newest number that is stored; 0 while the database is away."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._postgres.url("superuser"), autocommit=True, connect_timeout=2)
            row = self._connection.execute(_NEWEST, [self._tenant_id, self._child]).fetchone()
        except psycopg.OperationalError:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0
        return int(row[0] or 0) if row else 0

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _dropped(self) -> int:
        return sum(row[0] for row in self._spool("SELECT value FROM counts WHERE name = 'dropped'"))

    def _waiting(self) -> int:
        """How much lies on its disk, and is not confirmed."""
        return sum(row[0] for row in self._spool("SELECT count(*) FROM entries"))

    def _on_disk(self) -> set[int]:
        """The readings that lie on its disk, and are not confirmed."""
        told = [json.loads(row[0]) for row in self._spool("SELECT payload FROM entries")]
        readings = [each for one in told for each in (one if isinstance(one, list) else [one])]
        return {each["values"]["count"] for each in readings if each.get("values", {}).get("count") is not None}

    def _spool(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._folder / "data" / "spool.db")) as base:
            return base.execute(query).fetchall()

    def _written(self, identities: Sequence[Identity]) -> Path:
        gateway, child = identities
        self._folder.mkdir()
        (self._folder / "token").write_text(gateway.token)
        where = {"host": "127.0.0.1", "port": self._port, "tls": False, "tenant": gateway.tenant, "device": gateway.key}
        machine = {"protocol": "modbus-tcp", "host": "127.0.0.1", "port": self._counter.port, "timeout": "10 s"}
        point = {"metric": "count", "address": {"input": 0}, "type": "uint32"}
        document = {
            "platform": {**where, "token_file": "token"},
            "spool": {"folder": "data", "max_mb": 64},
            "connections": {"machine": machine},
            "devices": {child.key: {"connection": "machine", "every": f"{READ_EVERY_MS} ms", "points": [point]}},
        }
        file = self._folder / "edge.yaml"
        file.write_text(yaml.safe_dump(document))
        return file


class BrokerBeside:
    """Mosquitto, its publishers, and the unruly road on which ingest hears of them; a context manager.

    Made before the platform, which is told `url`; `begin` when there is a platform.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._stack = ExitStack()
        self._deaths: list[tuple[float, float]] = []
        """Each death, and the moment from which something was consumed again."""

    def __enter__(self) -> Self:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise SetupProblem("The kind 'broker' wants mosquitto (Debian package): leave it out, or have it.")
        config = self._folder / "mosquitto.conf"
        config.write_text(CONFIG.format(port=self._port, folder=self._folder))
        with ExitStack() as stack:
            self._broker = stack.enter_context(Tended([program, "-c", str(config)], self._folder / "mosquitto.log"))
            _await(lambda: is_listening(self._port), STARTS_WITHIN_S, "mosquitto does not listen", self._broker)
            self._road = stack.enter_context(Unruly(self._port, _named))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where ingest finds the broker."""
        return f"mqtt://127.0.0.1:{self._road.port}"

    def begin(self, rig: Rig, seed: int) -> None:
        """Have devices of a new tenant publish, once ingest listens."""
        self._postgres = rig.postgres
        self._tenant = asyncio.run(found(rig.postgres, SIGNAL, PUBLISHERS, []))
        _await(lambda: bool(self._road.subscribed_at), STARTS_WITHIN_S, "ingest does not subscribe", self._broker)
        progress = str(self._folder / "progress")
        order = Order(self._port, self._tenant.identities, SIGNAL, 1, PUBLISHERS, progress, seed)
        self._players = self._stack.enter_context(Players(order))
        self._players.ask(do="connect")
        self._players.tell(do="run", rate=A_SECOND, seconds=86_400.0, patience_s=ENDS_WITHIN_S)

    def strike(self) -> float:
        at = self._broker.kill()
        self._deaths.append((at, float("inf")))
        return at

    def is_back(self) -> bool:
        at = self._deaths[-1][0]
        back = [moment for moment in self._road.flows_at if moment > at]
        if back:
            self._deaths[-1] = at, back[0]
        return bool(back)

    def finish(self) -> Judged:
        self._players.tell(do="stop")
        load = self._players.answer(timeout_s=ENDS_WITHIN_S + 30)
        sent, due = self._players.finish()
        judged = Judged("broker", offered=sum(sent.made))
        judged.blame("messages without the broker's acknowledgement", int(not load["is_quiet"]), "at the end")
        excused = _excused(sent, due, self._deaths, self._road.acknowledged)
        wanted = {(device, n) for device in range(PUBLISHERS) for n in sent.acked(device)} - excused
        until = time.monotonic() + ENDS_WITHIN_S
        while not wanted <= self._road.acknowledged and time.monotonic() < until:
            time.sleep(0.2)
        if wait_for_drain(self._postgres, self._tenant.id, ENDS_WITHIN_S) is None:
            judged.blame("journals are not drained in time", 1, "the broker's tenant")
        self._judge(judged, sent, excused)
        return judged

    def _judge(self, judged: Judged, sent: Sent, excused: set[tuple[int, int]]) -> None:
        waived = [sorted({*sent.unacked[n], *(m for device, m in excused if device == n)}) for n in range(PUBLISHERS)]
        told = Sent(sent.made, waived, sent.refused, sent.resent)
        verdict = judge(self._postgres, self._tenant, told, may_repeat=True)
        judged.stored, judged.lost, judged.twice = verdict.stored, verdict.lost, verdict.twice
        judged.wrong += [f"broker: {each}" for each in verdict.wrong]
        with psycopg.connect(self._postgres.url("superuser")) as connection:
            late = connection.execute(_ORDER, [self._tenant.id]).fetchall()
            wrong = connection.execute(_LATEST, [self._tenant.id]).fetchall()
        judged.blame("devices have readings in another order than measured", len(late), late[:MAX_SHOWN])
        judged.blame("devices have a latest value that is not their newest", len(wrong), wrong[:MAX_SHOWN])
        judged.gone = judged.offered - judged.stored - judged.lost
        judged.said = (
            f"{judged.offered} messages published, {judged.stored} stored; {self._road.repeated} came again and "
            f"{self._road.swapped} out of order; {judged.gone} were forgotten by the broker in its deaths"
        )
        if not self._road.repeated or not self._road.swapped:
            judged.blame("roads were no trouble at all", 1, "nothing was repeated, or nothing swapped")


def judged_edge(served: Sequence[float], deaths: Sequence[float], stored: Sequence[int], dropped: int) -> Judged:
    """Each number that was served is stored once, but for the last around a death, and as many as were dropped."""
    held = set(stored)
    judged = Judged("edge", len(served), len(stored), twice=len(stored) - len(held))
    missing = [n for n in range(1, len(served) + 1) if n not in held]
    excused: set[int] = set()
    for death in deaths:
        n = sum(moment <= death for moment in served)
        after = n + 1
        while n and n not in held and death - served[n - 1] <= SPOOLED_S:
            excused.add(n)
            n -= 1
        while after <= len(served) and after not in held and served[after - 1] - death <= UNDER_WAY_S:
            excused.add(after)
            after += 1
    lost = [n for n in missing if n not in excused]
    judged.gone, judged.lost = len(missing) - len(lost), max(0, len(lost) - dropped)
    never = [n for n in held if not 0 < n <= len(served)]
    judged.blame("readings that lay on its disk are not stored", judged.lost, lost[:MAX_SHOWN])
    again = [n for n, times in Counted(stored).items() if times > 1]
    judged.blame("readings are stored twice", judged.twice, again[:MAX_SHOWN])
    judged.blame("stored readings were never the machine's", len(never), never[:MAX_SHOWN])
    return judged


def _excused(
    sent: Sent, due: dict[int, list[float]], deaths: Sequence[tuple[float, float]], acknowledged: set[Any]
) -> set[tuple[int, int]]:
    """What the broker may have forgotten: published around one of its deaths, not acknowledged by its consumer."""
    return {
        (device, n)
        for device, moments in due.items()
        for n, moment in enumerate(moments)
        if (device, n) not in acknowledged and any(at - TO_DISK_S <= moment <= back for at, back in deaths)
    }


def _named(topic: str, payload: bytes) -> tuple[int, int]:
    """Which device's which message."""
    return int(topic.split("/")[3].removeprefix("device-")), int(json.loads(payload)["values"]["count"])


async def _gateway_with_child(postgres: Postgres) -> BenchTenant:
    """A tenant with a gateway, and a device for which that may speak."""
    tenant = await found(postgres, Signal(values=1), 2, [])
    app = Store(postgres.url("app"), size=1)
    try:
        async with app.as_tenant(system(tenant.id)) as tx:
            await devices.change(tx, tenant.device_ids[1], labels={"gateway": tenant.identities[0].key})
    finally:
        await app.close()
    return tenant


def _await(holds: Any, within_s: float, what: str, process: Tended) -> None:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise SetupProblem(f"{what} within {within_s:.0f} s. The last words:\n{process.log_tail()}")
        time.sleep(0.05)
