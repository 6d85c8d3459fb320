"""The Celery application: one task that drains a tenant, and one tick a second that finds what nobody was woken for.

Workers run ``--pool solo``, one per core: the threads and prefork pools die when the broker restarts under load. Each
has one asyncio loop in one thread with one connection pool; a task is one line that hands over to it.
"""

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar
from uuid import UUID

from celery.signals import setup_logging, worker_process_shutdown

from engine import logs, metrics
from engine.alerts import telling
from engine.audit import service as audit
from engine.audit.seal import Sealer
from engine.certificates.vault import LocalVault
from engine.commands import service as commands
from engine.devices import service as devices
from engine.drain import Drain
from engine.errors import Unavailable
from engine.fleet import chores
from engine.journal import readers
from engine.journal.bus import ValkeyBus
from engine.notifications import leases
from engine.notifications.mail import Mail
from engine.notifications.postman import Postman, Ways
from engine.outbound.fetch import Outbound
from engine.queue import DRAIN, STALE_S, TICK, celery_app
from engine.quotas import usage
from engine.quotas.model import Quotas
from engine.rules import firings, non_firings
from engine.rules import service as rules
from engine.settings import Settings
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import retention, rollups
from engine.tenancy import Principal, system
from engine.tenants import repeats
from engine.turns import Turned, Turns
from engine.wake import EVERY_S

log = logging.getLogger(__name__)
T = TypeVar("T")

TURN_S = 0.5
"""How long one tenant's backlog may keep the others waiting."""
HANGS_S = 300.0
"""No task takes so long: one that has taken so much does not end, and its process begins anew."""
MAINTAIN_EVERY_S = 60.0
UPKEEP_EVERY_S = 600.0
CHORES_EVERY_S = 5.0
ROLLUPS_EVERY_S = 5.0
ERRANDS: Mapping[str, Callable[[Tx], Awaitable[object]]] = {
    "alerts": functools.partial(telling.run, says=rules.sentences),
    "commands": commands.elapse,
}
"""What the door ``due`` names beside the journal and deliveries, and who sees to it, a transaction a tenant."""


settings = Settings.from_env()
app = celery_app(settings.valkey_url)


class Loop:
    """This process's asyncio loop in a thread of its own, with the store and the drain that live on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        self._maintained = 0.0
        self._upkeep: asyncio.Task[None] | None = None
        self._upkeep_at = 0.0
        self._chores: asyncio.Task[None] | None = None
        self._errands: asyncio.Task[None] | None = None
        self._chores_at = 0.0
        self._rolling: asyncio.Task[None] | None = None
        self._rolling_at = 0.0
        self._paces: dict[UUID, rollups.Pace] = {}
        self._turns = Turns()
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and wait for its result; if it hangs, the process ends and the next goes on."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        done, _ = wait([running], HANGS_S)
        if not done:
            log.critical("worker.hangs", extra={"seconds": HANGS_S})
            os._exit(1)
        return running.result()

    async def drain(self, tenant_id: UUID, number: int | None = None) -> None:
        """Drain one tenant for its turn; if it has more, it stands in line again, behind whoever waits already.

        ``number``: one of its readers; None, when it was woken: all of them, each by whoever is free.
        """
        if number is None and (others := range(1, self._drain.readers(tenant_id))):
            await self._send_drains([[str(tenant_id), each] for each in others])
        await self._turns.asked((tenant_id, number or 0), self._turn)

    async def _turn(self, reader: Turned) -> float | None:
        """One reader's turn; says in how many seconds it comes back by itself, if it stays here."""
        with metrics.draining():
            entries, has_more = await self._drain.turn(reader[0], TURN_S, reader[1])
        metrics.ENTRIES.inc(entries)
        if self._drain.stays(*reader):
            return 0.0 if has_more else EVERY_S
        if has_more:
            await self._send_drains([[str(reader[0]), reader[1]]])
        return None

    async def _send_drains(self, wanted: Sequence[list[Any]]) -> None:
        """Put a drain for each into the queue: a tenant's id, and which of its readers, or nothing for all of them."""
        await asyncio.to_thread(lambda: [app.send_task(DRAIN, args=args, expires=STALE_S) for args in wanted])

    async def tick(self) -> None:
        """Wake for whoever has unread journal or a timer that is over; once a minute, tidy partitions."""
        if time.monotonic() - self._maintained > MAINTAIN_EVERY_S:
            self._maintained = time.monotonic()
            await self._store.door("maintain")
        if time.monotonic() >= self._upkeep_at and (self._upkeep is None or self._upkeep.done()):
            self._upkeep_at = time.monotonic() + UPKEEP_EVERY_S
            self._upkeep = asyncio.create_task(self._keep_up())
        if time.monotonic() >= self._chores_at and (self._chores is None or self._chores.done()):
            self._chores = asyncio.create_task(self._do_chores())
        if time.monotonic() >= self._rolling_at and (self._rolling is None or self._rolling.done()):
            self._rolling = asyncio.create_task(self._roll_up())
        rows = await self._store.door("due")
        due = [row["tenant_id"] for row in rows if row["what"] == "journal"]
        self._postman.wake([row["tenant_id"] for row in rows if row["what"] == "deliveries"])
        await self._send_drains([[str(tenant_id)] for tenant_id in due])
        if self._errands is None or self._errands.done():
            self._errands = asyncio.create_task(self._run_errands(rows))
        metrics.TICKS.inc()
        await self._backlog.look(due)

    async def _run_errands(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Whom to tell of an alert now, and which commands nobody fetched or answered in time. Drains go on."""
        for row in rows:
            errand = ERRANDS.get(row["what"])
            if errand is None:
                continue
            try:
                async with self._store.as_tenant(system(row["tenant_id"])) as tx:
                    await errand(tx)
            except Unavailable:
                log.warning("worker.errands_unavailable")
            except Exception:  # one tenant's trouble does not keep the others waiting
                log.exception("worker.errand_failed", extra={"tenant": str(row["tenant_id"]), "what": row["what"]})

    async def _do_chores(self) -> None:
        """One turn of what fleets have to be done: erasures, transfers, audits. Drains go on meanwhile."""
        try:
            has_more = await chores.run(self._store)
            self._chores_at = time.monotonic() + (0 if has_more else CHORES_EVERY_S)
        except Unavailable:
            log.warning("worker.chores_unavailable")

    async def _roll_up(self) -> None:
        """One turn of closing and repairing hours and days of telemetry. Drains go on meanwhile."""
        self._rolling_at = time.monotonic() + ROLLUPS_EVERY_S
        try:
            turn = await rollups.run(self._store, self._paces)
        except Unavailable:
            log.warning("worker.rollups_unavailable")
            return
        except Exception:  # a mistake of ours: it costs one turn, not the worker
            log.exception("worker.rollups_failed")
            return
        metrics.ROLLUP_LAG_SECONDS.set(turn.lag_s)
        metrics.REPAIRS.set(turn.repairs)
        metrics.MISSED_HOURS.inc(turn.missed_hours)
        if turn.has_more:
            self._rolling_at = 0.0

    async def _keep_up(self) -> None:
        """For every tenant: sign the end of its audit log, count its devices, and away with what it no longer keeps.

        Drains go on meanwhile.
        """
        try:
            base, sealer = Quotas.of(settings), Sealer.of(settings)
            for row in await self._store.door("tenants_all"):
                try:
                    await self._keep_up_one(system(row["tenant_id"]), base, sealer)
                except Unavailable:
                    raise
                except Exception:  # one tenant's trouble does not keep the others from theirs
                    log.exception("worker.upkeep_failed", extra={"tenant": str(row["tenant_id"])})
        except Unavailable:
            self._upkeep_at = min(self._upkeep_at, time.monotonic() + MAINTAIN_EVERY_S)
            log.warning("worker.upkeep_unavailable")
        except Exception:  # a mistake of ours: it costs one round, not the worker
            log.exception("worker.upkeep_failed")

    async def _keep_up_one(self, principal: Principal, base: Quotas, sealer: Sealer) -> None:
        """One tenant's turn; what is signed stays signed, whatever becomes of the rest."""
        async with self._store.as_tenant(principal) as tx:
            await audit.checkpoint(tx, sealer)
        async with self._store.as_tenant(principal) as tx:
            await devices.activate_heard(tx)
            await usage.looked(tx)
            await leases.prune(tx)
            await repeats.prune(tx)
        async with self._store.as_tenant(principal) as tx:
            await readers.hold(tx)  # they cut these, too: not while we do, or each could wait for the other
            await firings.prune(tx)
            await non_firings.prune(tx)
        if deleted := await retention.prune(self._store, principal, base):
            log.info("telemetry.pruned", extra={"tenant": str(principal.tenant_id), "rows": deleted})

    async def close(self) -> None:
        """Give the connections back."""
        self._turns.end()
        await self._bus.close()
        await self._post.close()
        await self._store.close()

    async def _open(self) -> None:
        self._bus = ValkeyBus(settings.valkey_url)
        # What a drain itself tells the journal is news to watchers only: its own next wake or the tick reads past it.
        self._store = Store(settings.database_url, size=5, wake=self._bus.publish)
        mail = Mail.of(settings)
        self._drain = Drain(self._store, has_mail=mail is not None, comes_back=True)
        self._backlog = metrics.Backlog(self._store)
        # Connections of its own: what is slow outside must not keep a drain waiting for one.
        self._post = Store(settings.database_url, size=2)
        outbound = Outbound(may_loop_back=settings.outbound_loopback)
        ways = Ways(LocalVault.of(settings), outbound, mail, settings.origin, float(settings.channel_dead_days))
        self._postman = Postman(self._post, ways)
        await self._bus.open()


@functools.cache
def loop() -> Loop:
    """The loop, made when the first task needs it."""
    return Loop()


@app.task(name=DRAIN)
def drain(tenant_id: str, number: int | None = None) -> None:
    """Drain one tenant's journal, or one of its readers' part."""
    _quietly(loop().drain(UUID(tenant_id), number))


@app.task(name=TICK)
def tick() -> None:
    """Find what nobody was woken for."""
    _quietly(loop().tick())


@setup_logging.connect
def _log_as_we_do(**_: object) -> None:
    logs.configure(settings.log_level, "worker")


@worker_process_shutdown.connect
def _close(**_: object) -> None:
    if loop.cache_info().currsize:
        loop().run(loop().close())


def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Run a task; that the database is away is no news worth a traceback, the next tick comes in a second."""
    try:
        loop().run(work)
    except Unavailable as away:
        log.warning("worker.unavailable", extra={"reason": away.code})
