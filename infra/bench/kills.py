"""`tidegate bench kills`: kills every process again and again under load, lets the supervisor mend it, then judges.

Clients keep each message until its PUBACK and send it again after they reconnect. Nobody helps: what died is started
again by the same supervisor as under `tidegate up`. Afterwards nothing may be lost, stored twice or counted wrongly,
and what rules did must be what a single process would have done (DESIGN D1, D2, D3, D5, D9): see `judged_rules` for
which rules, and `judge` for what that means.
"""

import asyncio
import contextlib
import math
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import redis

from engine.settings import Settings
from infra.bench import beside, judged_rules, processes
from infra.bench.beside import Beside, BrokerBeside, EdgeBeside, Judged
from infra.bench.generator import Order
from infra.bench.judge import Verdict, judge, wait_for_deliveries, wait_for_drain
from infra.bench.judged_rules import SIGNAL
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.rig import UNBOUNDED, Rig
from infra.bench.sink import Sink
from infra.bench.tenant import BenchTenant, enact, found, hook, hundred_rules
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres
from infra.local.up import answers

KINDS = ("ingest", "failpoint", "postgres", "backend", "worker", "valkey", "flushall")
HARDSHIPS = ("web", "loader", "hole", "latency", "full", "fsync")
"""More kinds, which want more of the machine: the web process killed, or its parent, which has loaded what it needs and
takes it along; the road to Postgres closed for a while, or 200 ms long; its disk full for a while (only root can make
that disk); its writes to the log failing (with strace)."""
WEB = frozenset({"web", "loader"})
BESIDE = beside.KINDS
"""And these stand beside the platform, with tenants of their own: an edge that reads a machine, and a broker."""
PROMISED_S = {"postgres": 10.0, "backend": 10.0, "hole": 10.0, "full": 10.0, "fsync": 10.0}
"""Accepting again within so many seconds (DESIGN D9), and the others as below. Of what lasts, after its end."""
PROMISED_OTHERWISE_S = 5.0
UNCERTAIN = frozenset({"hole", "full", "fsync"})
"""After these ingest may have to try again what had been committed."""
CLOCK = "clock"
"""A kind of its own, which comes with no other: the time of day put forward, back, and right again, for everything but
the devices. Rules that wait by the server's clock do then what that says, so its campaign has rules without."""
JUMP_S = 300
NOW = Signal(values=3, period=41, has_seq=True)
"""Those devices measure when they send."""
LASTS_S = 8.0
ROUND_TRIP_S = 0.2

RECOVER_WITHIN_S = 300.0
"""Then it is given up. How soon it did is reported; with ten times as much to do it takes minutes to catch up."""
DRAIN_WITHIN_S = 120.0
DELIVER_WITHIN_S = 300.0
"""What a worker died with is sent again after 90 s, three at a time."""
POLL_S = 0.01
PAUSE_S = 0.5
"""Without an acknowledgement for so long, the platform counts as not accepting; at this load one comes every few ms."""
CALM_S = 0.6
SETTLED_EACH = 3
"""After so many kills, and before one of the worker, it is waited until that has caught up: each kind hits a platform
at rest now and then, and mostly one that is still at work on what the last kills have left to do."""
MOSTLY_QUIET = 10
"""One device in so many is slow."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """How many kills of each kind, at what load, and how long a pause there is between two, at most.

    `rate` is messages a second of the devices that are not slow. Of the kinds in `fewer` there are no more than it
    says. Trouble that lasts does so for `lasts_s`. It goes on until
    at least so many `events` are acknowledged.
    """

    kills: int = 20
    fewer: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    kinds: Sequence[str] = KINDS
    devices: int = 200
    rate: float = 2_000
    pause_s: float = 2.0
    seed: int = 0
    lasts_s: float = LASTS_S

    @property
    def slow(self) -> int:
        """How many devices are."""
        return self.devices // MOSTLY_QUIET

    @property
    def scheduled(self) -> float:
        """Messages a second if the slow ones spoke as often as the others."""
        return self.rate * self.devices / (self.devices - self.slow)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: seconds until a message sent after it was acknowledged, and until the worker had caught up, if that
    was waited for.
    """

    kind: str
    accepting_s: float
    reacting_s: float | None

    def __str__(self) -> str:
        caught_up = "" if self.reacting_s is None else f", reacting after {self.reacting_s:.2f} s"
        return f"{self.kind}: accepting after {self.accepting_s:.2f} s{caught_up}"


@dataclass(slots=True)
class Outcome:
    """All kills and what the judge found."""

    campaign: Campaign
    kills: list[Kill]
    acked: int
    resent: int
    reconnects: int
    seconds: float
    verdict: Verdict = field(default_factory=Verdict)
    beside: list[Judged] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Whatever is not as promised."""
        return [*self.verdict.wrong, *(each for judged in self.beside for each in judged.wrong)]

    @property
    def late(self) -> list[Kill]:
        """The kills after which it took longer than is promised."""
        return [kill for kill in self.kills if kill.accepting_s > promised_s(kill.kind)]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def promised_s(kind: str) -> float:
    """Within how many seconds it accepts again."""
    return PROMISED_S.get(kind, PROMISED_OTHERWISE_S)


def wage(campaign: Campaign, say: Callable[[str], None]) -> Outcome:
    """Run the campaign on a platform of its own; `say` hears of each kill. Raises SetupProblem if one is not mended."""
    kinds = set(campaign.kinds)
    if CLOCK in kinds and len(kinds) > 1:
        raise SetupProblem(f"The kind '{CLOCK}' comes with no other: its rules are others. Ask for it alone.")
    if "fsync" in kinds and (os.geteuid() != 0 or shutil.which("strace") is None):
        raise SetupProblem(
            "The kind 'fsync' wants root and strace (Debian package strace): leave it out, or have both."
        )
    began = time.monotonic()
    with ExitStack() as stack:
        settings: dict[str, object] = {**UNBOUNDED, "outbound_loopback": 1, "web_spare": 1}
        others: dict[str, Beside] = {}
        if "broker" in kinds:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-broker-")))
            broker = others["broker"] = stack.enter_context(BrokerBeside(folder))
            settings["broker_url"] = broker.url
        rig = stack.enter_context(
            Rig(
                with_web=bool(kinds & WEB),
                settings=settings,
                has_road=bool(kinds & {"hole", "latency"}),
                has_small_disk="full" in kinds,
                has_clock=CLOCK in kinds,
            )
        )
        if "broker" in kinds:
            broker.begin(rig, campaign.seed)
        if "edge" in kinds:
            others["edge"] = stack.enter_context(EdgeBeside(rig))
        sink = stack.enter_context(Sink())
        tenant = asyncio.run(_founded(campaign, rig, sink))
        slow, slower = campaign.slow, math.ceil(judged_rules.SLOW_GAP_S * campaign.scheduled / campaign.devices)
        progress = str(rig.folder / "progress")
        signal = NOW if CLOCK in kinds else SIGNAL
        order = Order(
            rig.ports["mqtt_port"], tenant.identities, signal, 1, 0, progress, campaign.seed, slow=slow, slower=slower
        )
        players = stack.enter_context(Players(order))
        players.ask(do="connect")
        say(f"set up in {time.monotonic() - began:.0f} s")
        return _wage(campaign, _Field(campaign, rig, tenant, players, others), sink, say)


async def _founded(campaign: Campaign, rig: Rig, sink: Sink) -> BenchTenant:
    if CLOCK in campaign.kinds:
        return await found(rig.postgres, NOW, campaign.devices, hundred_rules())
    tenant = await found(rig.postgres, SIGNAL, campaign.devices, [])
    await hook(rig.postgres, tenant.id, Settings(data_dir=rig.folder), judged_rules.CHANNEL, sink.url)
    device_ids = [str(device) for device in tenant.device_ids]
    devices = judged_rules.acting(device_ids, campaign.scheduled, campaign.slow)
    await enact(rig.postgres, tenant.id, judged_rules.judged_rules() + judged_rules.acting_rules(devices))
    return tenant


def _wage(campaign: Campaign, place: "_Field", sink: Sink, say: Callable[[str], None]) -> Outcome:
    rig, tenant, players = place.rig, place.tenant, place.players
    began = time.monotonic()
    longest_s = 60 + len(campaign.kinds) * campaign.kills * (RECOVER_WITHIN_S + campaign.pause_s)
    longest_s += 2 * campaign.events / campaign.rate
    players.tell(do="run", rate=campaign.scheduled, seconds=longest_s, patience_s=DRAIN_WITHIN_S)
    kills: list[Kill] = []
    order = _order(campaign)
    for kind, following in zip(order, [*order[1:], None], strict=True):
        time.sleep(place.random.uniform(0.05, campaign.pause_s))
        settles = following in (None, "worker") or len(kills) % SETTLED_EACH == SETTLED_EACH - 1
        kills.append(place.kill(kind, settles=settles))
        say(str(kills[-1]))
    while players.progress().acked < campaign.events and time.monotonic() - began < longest_s:
        time.sleep(PAUSE_S)
    players.tell(do="stop")
    load = players.answer(timeout_s=DRAIN_WITHIN_S + 30)
    ended = time.monotonic()
    judged = [other.finish() for other in place.others.values()]
    is_drained = wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S) is not None
    is_delivered = wait_for_deliveries(rig.postgres, tenant.id, sink.arrived, DELIVER_WITHIN_S)
    came = time.monotonic()
    progress = players.progress()
    sent, _ = players.finish()
    may_repeat = not UNCERTAIN.isdisjoint(campaign.kinds)
    verdict = judge(rig.postgres, tenant, sent, dict(sink.arrived), may_repeat=may_repeat)
    verdict.blame("webhooks are not called in time", int(not is_delivered), "the bench's tenant")
    verdict.blame("journals are not drained in time", int(not is_drained), "the bench's tenant")
    verdict.blame("clients still have messages without PUBACK", int(not load["is_quiet"]), "at the end")
    judging_s = time.monotonic() - came
    say(f"{ended - began:.0f} s under load; all was through {came - ended:.0f} s later; judged in {judging_s:.0f} s")
    return Outcome(campaign, kills, load["acked"], sent.resent, progress.reconnects, ended - began, verdict, judged)


def _order(campaign: Campaign) -> list[str]:
    """Rounds in which each kind comes once, in random order; those of which there are fewer are in the first."""
    chosen, order = random.Random(campaign.seed), []  # noqa: S311  # a reproducible order, nothing secret
    for turn in range(campaign.kills):
        kinds = [kind for kind in campaign.kinds if turn < campaign.fewer.get(kind, campaign.kills)]
        order += chosen.sample(kinds, len(kinds))
    return order


class _Field:
    """Where the kills happen."""

    def __init__(
        self, campaign: Campaign, rig: Rig, tenant: BenchTenant, players: Players, others: Mapping[str, Beside]
    ) -> None:
        self.random = random.Random(campaign.seed + 1)  # noqa: S311  # as above
        self._lasts_s = campaign.lasts_s
        self.rig = rig
        self.tenant = tenant
        self.players = players
        self.others = others
        self._position = _Position(rig.postgres, tenant.id)

    def kill(self, kind: str, *, settles: bool) -> Kill:
        """Kill once and wait until it is accepting again, or, if it `settles`, until everything works again."""
        at = self._strike(kind)
        if kind in self.others:
            accepting = self._until(self.others[kind].is_back, f"back after {kind}")
        else:
            accepting = self._answering(at) if kind in WEB else self._accepting(at, kind)
        return Kill(kind, accepting - at, self._settled(kind) - at if settles else None)

    def _settled(self, kind: str) -> float:
        """The moment from which the worker has done all there was to do when this was asked."""
        head = self._known(lambda: self._position.head(), kind)
        return self._until(lambda: self._position.drained() >= head, f"reacting after {kind}")

    def _accepting(self, at: float, kind: str) -> float:
        """The moment from which acknowledgements come without a pause, of a message sent after the kill at the latest.

        The first one alone says little: what a killed postmaster leaves behind may commit once more and then go.
        """
        resumed, acked, changed = 0.0, self.players.progress().acked, at

        def is_calm() -> bool:
            nonlocal resumed, acked, changed
            now, progress = time.monotonic(), self.players.progress()
            if progress.acked != acked:
                if now - changed > PAUSE_S or (not resumed and progress.acked_sent >= at):
                    resumed = now
                acked, changed = progress.acked, now
            return bool(resumed) and now - resumed > CALM_S and now - changed < PAUSE_S

        self._until(is_calm, f"accepting after {kind}")
        return resumed

    def _answering(self, at: float) -> float:
        """The moment from which another web process answers than the one that was killed."""
        url = f"http://127.0.0.1:{self.rig.ports['http_port']}/health/ready"
        return self._until(lambda: answers(url), "answering after web")

    def _strike(self, kind: str) -> float:
        """Do it; the moment at which it happened, or at which it was over (monotonic)."""
        match kind:
            case "hole" | "latency":
                return self._lead_astray(kind)
            case "full":
                return self._fill_disk()
            case "fsync":
                return self._fail_to_write()
            case "clock":
                return self._set_clock()
            case "failpoint":
                return self._fail()
            case "flushall":
                return self._flush()
            case "web":
                return _kill(self._serving())
            case "loader":
                return self._kill_loader()
            case _ if kind in self.others:
                return self.others[kind].strike()
            case "backend":
                return _kill(self.random.choice(self.rig.backends()))
            case _:
                return _kill(self._pid(kind))

    def _lead_astray(self, kind: str) -> float:
        """Close the road to Postgres for a while, or make it so long that each answer takes ROUND_TRIP_S more."""
        road = self.rig.road
        assert road is not None
        before = self.players.progress().acked
        if kind == "hole":
            road.close_road()
        else:
            road.delay_s = ROUND_TRIP_S / 2
        time.sleep(self._lasts_s)
        if kind == "latency" and self.players.progress().acked == before:
            raise SetupProblem(f"Nothing was accepted while Postgres answered {ROUND_TRIP_S} s later than usual.")
        road.open_road()
        road.delay_s = 0.0
        return time.monotonic()

    def _set_clock(self) -> float:
        """The time of day jumps forward, back by twice as much, and to what it was."""
        clock = self.rig.clock
        assert clock is not None
        for seconds in (JUMP_S, -JUMP_S, 0):
            at = time.monotonic()
            clock.put(seconds)
            self._until(lambda at=at: self.players.progress().acked_sent > at + PAUSE_S, "accepting after the jump")  # type: ignore[misc]
            time.sleep(self._lasts_s / 3)
        return time.monotonic()

    def _fill_disk(self) -> float:
        disk = self.rig.disk
        assert disk is not None
        disk.fill()
        time.sleep(self._lasts_s)
        disk.empty()
        return time.monotonic()

    def _fail_to_write(self) -> float:
        """Have the next attempts to bring Postgres' log to the disk fail, as a dying disk would (EIO)."""
        pids = [argument for pid in self.rig.backends() for argument in ("-p", str(pid))]
        inject = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
        with subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", *inject, *pids],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as strace:
            before = set(self.rig.backends())
            try:
                return self._until(lambda: not before & set(self.rig.backends()), "failing to write")
            finally:
                strace.terminate()

    def _fail(self) -> float:
        """Have the next ingest process die between a COMMIT and its acknowledgements."""
        self.rig.arm(f"after_commit_before_ack:{self.random.randint(1, 60)}")
        before = self._pid("ingest")
        _kill(before)
        armed = self._pid("ingest", but=before)
        return self._until(lambda: not processes.is_alive(armed), "dying at the fail-point")

    def _flush(self) -> float:
        with redis.Redis.from_url(self.rig.valkey.url()) as client:
            self._until(lambda: _is_there(client), "answering, as Valkey")
            at = time.monotonic()
            client.flushall()
            return at

    def _serving(self) -> int:
        """The process that answers for the web: the child of the one that has loaded what it needs."""
        found: list[int] = []

        def is_there() -> bool:
            below = processes.children(self.rig.pids().get("web", 0))
            found[:] = [pid for pid in below if _is_called(pid, "web")]
            return bool(found)

        self._until(is_there, "starting web")
        return found[0]

    def _kill_loader(self) -> float:
        """Kill the parent of who serves once a spare stands by: one process dies at a time, which loading counts to."""
        self._until(lambda: _is_called(self.rig.pids().get("web2", 0), "web spare"), "loading a spare of web")
        serving = self._serving()
        at = _kill(self._pid("web"))
        self._until(lambda: not processes.is_alive(serving), "ending with its parent")
        return at

    def _pid(self, process: str, but: int = 0) -> int:
        """The process of this name, and not this one. One that is just replacing itself has no name for a moment."""
        found: list[int] = []

        def is_there() -> bool:
            pid = self.rig.pids().get(process, but)
            found[:] = [pid] if pid != but else []
            return bool(found)

        self._until(is_there, f"starting {process}")
        return found[0]

    def _known(self, head: Callable[[], int], kind: str) -> int:
        self._until(lambda: head() >= 0, f"the database after {kind}")
        return head()

    def _until(self, holds: Callable[[], bool], what: str) -> float:
        """Wait until something holds; the moment at which it was seen. Raises SetupProblem when it does not in time."""
        deadline = time.monotonic() + RECOVER_WITHIN_S
        while not holds():
            if time.monotonic() > deadline:
                raise SetupProblem(
                    f"Not {what} within {RECOVER_WITHIN_S:.0f} s. The processes' last words:\n{self.rig.log_tail()}"
                )
            time.sleep(POLL_S)
        return time.monotonic()


class _Position:
    """How far the journal and its drain are; -1 while the database is away."""

    def __init__(self, postgres: Postgres, tenant_id: UUID) -> None:
        self._url = postgres.url("superuser")
        self._tenant_id = tenant_id
        self._connection: psycopg.Connection[Any] | None = None

    def head(self) -> int:
        """The newest position of the journal."""
        return self._ask("SELECT pos FROM journal_head WHERE tenant_id = %s")

    def drained(self) -> int:
        """The position that the worker has reached."""
        return self._ask("SELECT pos FROM readers WHERE tenant_id = %s AND reader = 'drain'")

    def _ask(self, query: str) -> int:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2)
            row = self._connection.execute(query, [self._tenant_id]).fetchone()
            return int(row[0]) if row else -1
        except psycopg.OperationalError:
            with contextlib.suppress(psycopg.Error, AttributeError):
                self._connection.close()  # type: ignore[union-attr]
            self._connection = None
            return -1


def _is_called(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    except OSError:
        return False


def _is_there(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _kill(pid: int) -> float:
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return at
