"""The ingest process: endpoint, pipeline and writer put together, watched, and drained when told to stop."""

import asyncio
import contextlib
import importlib
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import uvloop

from engine.journal.bus import MemoryBus, ValkeyBus
from engine.provisioning import contexts, relay
from engine.queue import LateCelery
from engine.quotas.model import Quotas
from engine.quotas.shares import Shares
from engine.settings import SettingError, Settings, variable
from engine.wake import Waker
from ingest import tls
from ingest.adapters.broker.adapter import BrokerAdapter
from ingest.adapters.coap.endpoint import CoapEndpoint
from ingest.adapters.http.endpoint import HttpEndpoint
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.allowances import Allowances
from ingest.authorize import DoorAuthorizer
from ingest.changes import Changes, Conflated
from ingest.children import Children, ThroughGateways, WithChildren
from ingest.database import Database
from ingest.directory import Directory
from ingest.downlink import Downlink
from ingest.handshakes import Handshakes
from ingest.idempotency import FirstReceipts
from ingest.introductions import Introductions
from ingest.metrics import SESSIONS, WAITING
from ingest.newcomers import Newcomers
from ingest.oscore import OscoreContexts
from ingest.presence import JournalPresence
from ingest.quota import Quota
from ingest.refusals import Refusals
from ingest.replay import Replay
from ingest.senders import Senders, Way
from ingest.uplink import Pipeline
from ingest.writer import Writer

log = logging.getLogger(__name__)

_ALL = "*"
_DRAIN_S = 10.0
"""What the writer may take at the end, after the endpoint has waited 6 s for verdicts; `up` kills after 20 in all."""


class Ingest:
    """One ingest process without its signals: `start`, then `failed` tells of a part that died, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        url = settings.database_url
        self._settings = settings
        self._bus = ValkeyBus(settings.valkey_url) if settings.valkey_url else MemoryBus()
        self._waker = Waker(self._bus, LateCelery(settings.valkey_url)) if settings.valkey_url else None
        self._writer_database = Database(url)
        self.writer = Writer(self._writer_database, self._waker or _nobody)
        self.directory = Directory(Database(url), storage_days=settings.quota_storage_days)
        shares = Shares(settings.valkey_url) if settings.valkey_url else None
        self.allowances = Allowances(Quotas.of(settings), Database(url), shares)
        quota = Quota(settings.quota_device_messages_per_s, allowance_of=self.allowances.of)
        presence = JournalPresence(self.writer)
        self.children = Children(
            Database(url),
            presence,
            lambda child: self._downlink.tell(child.device_id),
            lambda gateway: self.endpoint.session(gateway.device_id) == gateway,  # and no later one
        )
        self.pipeline = Pipeline(self.directory, self.writer, quota, children=self.children)
        self._newcomers = Newcomers(Database(url))
        self._refusals = Refusals(self.writer.record)
        self.authorizer = DoorAuthorizer(
            Database(url),
            Database(url),
            audience=settings.jwt_audience,
            newcomers=self._newcomers,
            noted=self._refusals.note,
        )
        self.introductions = Introductions(settings.gateway, relay.secret_of(settings))
        self.endpoint = MqttEndpoint(
            self.authorizer,
            self.pipeline,
            WithChildren(presence, self.children),
            on_refused=self.pipeline.refused,
            on_subscribed=lambda device: self._downlink.tell(device.device_id),
            doorway=self.introductions,
        )
        self.replay = Replay(Database(url), self.directory.tenants, self._waker or _nobody, settings.quota_storage_days)
        self._keys = FirstReceipts(Database(url))
        self.http = HttpEndpoint(
            self.authorizer,
            self.pipeline,
            self._keys,
            self.introductions,
            refused=self.pipeline.refused,
            ask=lambda device_id: self._downlink.tell(device_id),
        )
        self._contexts = OscoreContexts(Database(url), partial(contexts.vault_of, settings))
        self.coap = CoapEndpoint(
            self.authorizer,
            self.pipeline,
            self.http.polls,
            refused=self.pipeline.refused,
            ask=lambda device_id: self._downlink.tell(device_id),
            contexts=self._contexts,
            takes_tokens=settings.coap_plain or _is_here(settings.host),
        )
        through = ThroughGateways(self.children, self.endpoint)
        self.broker: BrokerAdapter | None = None
        ways: list[Way] = [self.endpoint, self.coap.observers, through]
        if settings.broker_url:
            self.broker = self._behind_broker(settings)
            ways.append(self.broker)
        senders = Senders(*ways, self.http.polls, looked=self.http.polls.looked)
        self._downlink = Downlink(Database(url), senders, self.writer.record)
        self.tls = tls.server_context(settings)
        self._handshakes = Handshakes()
        self._handshakes.watch(self.tls)
        self._trust = tls.Trust(self.tls, Database(url), self._newcomers)
        self._recheck = Conflated(self._cut_the_dead)
        self._believe = Conflated(self._trust.refresh)
        self._changes = Changes(url, self._changed, self._missed)
        self._tasks: list[asyncio.Task[Any]] = []
        self._writing: asyncio.Task[None] | None = None
        self.is_accepting = False

    async def start(self) -> None:
        """Open everything; devices may come in when it returns."""
        await self._bus.open()
        if self._waker is not None:
            await self._waker.open()
        self._writing = asyncio.create_task(self.writer.run(), name="writer")
        self._tasks = [
            asyncio.create_task(self._changes.run(), name="changes"),
            asyncio.create_task(self._recheck.run(), name="recheck"),
            asyncio.create_task(self._believe.run(), name="believe"),
            asyncio.create_task(self._downlink.run(), name="downlink"),
            asyncio.create_task(self.allowances.run(), name="allowances"),
            asyncio.create_task(self.replay.run(), name="replay"),
        ]
        SESSIONS.set_function(lambda: self.endpoint.live)
        WAITING.set_function(lambda: self.writer.waiting)
        host, shared = self._settings.host, self._settings.ingest_processes > 1
        with _bindable("mqtt_port", self._settings.mqtt_port):
            port = await self.endpoint.start(host, self._settings.mqtt_port, reuse_port=shared)
        with _bindable("mqtts_port", self._settings.mqtts_port):
            tls_port = await self.endpoint.start(host, self._settings.mqtts_port, self.tls, reuse_port=shared)
        self.is_accepting = True
        log.info("ingest.accepting", extra={"mqtt_port": port, "mqtts_port": tls_port})
        with _bindable("coap_port", self._settings.coap_port):
            await self.coap.start(host, self._settings.coap_port, reuse_port=shared)
        if self.broker is not None:
            self.broker.start()
            self._tasks.append(asyncio.create_task(self.broker.run(), name="broker"))
        with _bindable("mqtt_ws_port", self._settings.mqtt_ws_port):
            await self.endpoint.start(host, self._settings.mqtt_ws_port, in_websockets=True, reuse_port=shared)
        with _bindable("mqtt_wss_port", self._settings.mqtt_wss_port):
            await self.endpoint.start(
                host, self._settings.mqtt_wss_port, self.tls, in_websockets=True, reuse_port=shared
            )

    def _behind_broker(self, settings: Settings) -> BrokerAdapter:
        """What takes messages from a broker; its client is imported here, for most have none."""
        from ingest.adapters.broker.address import of_settings
        from ingest.adapters.broker.client import PahoClient

        return BrokerAdapter(
            PahoClient(of_settings(settings)),
            self.authorizer,
            self.pipeline,
            group=settings.broker_group,
            tenant=settings.broker_tenant,
            refused=self.pipeline.refused,
            ask=lambda device_id: self._downlink.tell(device_id),
        )

    async def failed(self, *beside: asyncio.Task[None]) -> None:
        """Return when a part that should run for ever has ended, or one beside us: the process is to be restarted."""
        assert self._writing is not None
        done, _ = await asyncio.wait([self._writing, *self._tasks, *beside], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            log.error("ingest.part_ended", extra={"part": task.get_name()}, exc_info=task.exception())

    async def stop(self) -> None:
        """Stop reading, commit and acknowledge what was taken, record who left, close."""
        self.is_accepting = False
        self.http.stop()
        leaving = [self.endpoint.stop(), self.coap.stop(), *([self.broker.stop()] if self.broker else [])]
        await asyncio.gather(*leaving)
        self._refusals.close()
        self._handshakes.tell()
        self.writer.close()
        if self._writing is not None:
            _, late = await asyncio.wait([self._writing], timeout=_DRAIN_S)
            if late:
                log.warning("ingest.undrained", extra={"readings": self.writer.waiting})
        for task in [*self._tasks, *([self._writing] if self._writing else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.introductions.close()
        await self.authorizer.close()
        await self._trust.close()
        await self._newcomers.close()
        await self._keys.close()
        await self._contexts.close()
        await self._downlink.close()
        await self.replay.close()
        await self.children.close()
        await self.directory.close()
        await self.allowances.close()
        await self._writer_database.drop()
        if self._waker is not None:
            await self._waker.close()
        await self._bus.close()

    def _changed(self, what: str) -> None:
        self.directory.changed(what)
        kind, _, rest = what.partition(":")
        if kind == "device":
            self._recheck.tell(rest)
            self.children.changed(UUID(rest))
            self.http.changed(UUID(rest))
            self.coap.changed(UUID(rest))
            if self.broker is not None:
                self.broker.changed(UUID(rest))
        elif kind == "command":
            self._downlink.tell(UUID(rest))
        elif kind in ("tenant", "sessions"):  # "sessions": what some devices signed in by was taken back, all at once
            self._recheck.tell(f"tenant:{rest}")
            self.http.changed_tenant(UUID(rest))
            self.coap.changed_tenant(UUID(rest))
            if self.broker is not None:
                self.broker.changed_tenant(UUID(rest))
        elif kind == "replay":
            self.replay.tell(UUID(rest))
        elif kind == "quota":
            self.allowances.changed(UUID(rest))
        elif kind == "ca":
            self._believe.tell(_ALL)
        elif kind == "login":
            device, _, epoch = rest.partition(":")
            self.children.changed(UUID(device))
            self.endpoint.cut(UUID(device), "take_over", below_epoch=int(epoch))

    def _missed(self) -> None:
        self.directory.forget_all()
        self.children.forget_all()
        self.allowances.forget_all()
        self.http.missed()
        self.coap.missed()
        if self.broker is not None:
            self.broker.missed()
        self._recheck.tell(_ALL)
        self._believe.tell(_ALL)
        self._downlink.tell_all()

    async def _cut_the_dead(self, devices: set[str]) -> None:
        sessions = [
            s
            for s in self.endpoint.sessions()
            if _ALL in devices or str(s.device_id) in devices or f"tenant:{s.tenant_id}" in devices
        ]
        for session, why in await self.authorizer.dead(sessions) if sessions else []:
            # a login that was let in meanwhile is a younger session, and not the one that was judged
            if self.endpoint.cut(session.device_id, why, below_epoch=session.session_epoch + 1):
                log.info("ingest.session_cut", extra={"device": str(session.device_id), "why": why})


@contextlib.asynccontextmanager
async def _web_servers(ingest: Ingest, settings: Settings, http: str) -> AsyncIterator[tuple[asyncio.Task[None], ...]]:
    """The internal port and the devices' HTTP: what answers there.

    What serves them is imported here, beside the devices: it would take a third of the time until they may come in.
    """
    inside = _listening(settings, "metrics_port", settings.internal_host)
    plain = _listening(settings, "ingest_http_port", settings.host)
    secure = _listening(settings, "ingest_https_port", settings.host)
    await asyncio.to_thread(importlib.import_module, "ingest.internal")
    from ingest.adapters.authorize.service import routes
    from ingest.internal import internal_app
    from ingest.serving import serving

    brokers = routes(ingest.authorizer, settings.authorize_secret, settings.aws_iot_arn)
    internal = internal_app(lambda: ingest.is_accepting and not ingest.pipeline.is_full, brokers)
    async with (
        serving(ingest.http, plain, None, http) as plain_server,
        serving(ingest.http, secure, ingest.tls, http) as secure_server,
        serving(internal, inside) as internal_server,
    ):
        yield plain_server, secure_server, internal_server


def _listening(settings: Settings, name: str, host: str) -> socket.socket:
    port: int = getattr(settings, name)
    with _bindable(name, port):
        return socket.create_server((host, port), reuse_port=settings.ingest_processes > 1)


async def run(settings: Settings, stopping: asyncio.Event, http: str = "auto") -> bool:
    """Run until `stopping` is set (True) or a part has died (False)."""
    ingest = Ingest(settings)
    await ingest.start()
    async with _web_servers(ingest, settings, http) as servers:
        failure = asyncio.create_task(ingest.failed(*servers))
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait([failure, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        is_told = stopping.is_set()
        failure.cancel()
        await ingest.stop()
    return is_told


def main(settings: Settings, http: str = "auto") -> int:
    """Run the process until SIGTERM or SIGINT; 0 when it was told to end, 1 when a part died.

    ``http`` names the class by which uvicorn speaks HTTP to devices, one that tells which certificate they have shown.
    Raises SettingError when the database is not named or a port cannot be had.
    """
    if not settings.database_url:
        raise SettingError(f"{variable('database_url')} is not set: name the database, with the role ingest.")

    async def until_told() -> bool:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await run(settings, stopping, http)

    return 0 if uvloop.run(until_told()) else 1


@contextlib.contextmanager
def _bindable(setting: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingError(f"{variable(setting)} is {port}, and nobody can listen there: {error.strerror}.") from None


def _is_here(host: str) -> bool:
    """Whether nobody outside this machine can reach, or overhear, who listens on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _nobody(_: Iterable[UUID]) -> None:
    """Without Valkey the tick finds what was written."""
