"""`tidegate bench cut`: how soon a revocation ends what is connected; and a device's way from openssl to a PUBACK.

Everything goes as for a tenant: by REST, with an API token, on a platform of its own. A time counts from the moment the
request is sent to the moment at which the other side of the live connection sees its end. A certificate authority that
is retired ends many at once; of those the last ones count.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import httpx
import websockets

from engine.tenancy import Role
from infra.bench import mtls, signed
from infra.bench.readings import Signal
from infra.bench.report import table
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found
from infra.local.device_client import DeviceClient
from infra.local.errors import SetupProblem

PROMISED_S = 2.0
WITHIN_S = 30.0
BY_CERTIFICATE = 100
"""So many devices are connected by certificates of an authority that is retired."""
SETTLE_S = 0.5
"""No protocol says when a subscription has begun: it is given so long, and must still be there then."""
SUBSCRIPTION = "subscription { deviceStatus { cursor } }"

Ended = Awaitable[object]
"""Comes when the connection has ended."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One kind of end: what was done, what it ended, and after how many seconds, each time."""

    deed: str
    ended: str
    seconds: list[float]

    @property
    def is_kept(self) -> bool:
        """Whether each time was as promised."""
        return max(self.seconds) <= PROMISED_S


@dataclass(frozen=True, slots=True)
class Measured:
    """All of it; ``log`` is the device's way by certificate, line by line; ``has_arrived``: it ended well."""

    cuts: list[Cut]
    log: list[str]
    has_arrived: bool

    @property
    def is_within(self) -> bool:
        """Whether all is as promised."""
        return self.has_arrived and all(cut.is_kept for cut in self.cuts)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def measure(times: int, tell: Callable[[str], None] = print, by_certificate: int = BY_CERTIFICATE) -> Measured:
    """Cut each kind of connection so many times on a platform of its own; `tell` hears each line of the log."""
    with Rig(with_web=True) as rig:
        devices = max(times, by_certificate)
        tenant = asyncio.run(found(rig.postgres, Signal(), devices, [], role=Role.ADMIN))
        return asyncio.run(_measure(rig, tenant, times, devices, tell))


def shown(measured: Measured) -> str:
    """The figures for people."""
    rows = [
        [f"{cut.deed}: {cut.ended}", *(f"{seconds:.3f}" for seconds in cut.seconds), f"{PROMISED_S:g}", _said(cut)]
        for cut in measured.cuts
    ]
    head = ["seconds to the end of", *(str(n + 1) for n in range(len(measured.cuts[0].seconds))), "promised", ""]
    return table(head, rows)


def _said(cut: Cut) -> str:
    return "kept" if cut.is_kept else "BROKEN"


async def _measure(
    rig: Rig, tenant: BenchTenant, times: int, by_certificate: int, tell: Callable[[str], None]
) -> Measured:
    platform = Platform(rig, tenant, times)
    async with platform.http:
        cuts = [
            await platform.cut("credential revoked", "MQTT connection", platform.credential, platform.device),
            await platform.retirement(by_certificate),
            await platform.cut("device suspended", "MQTT connection", platform.suspension, platform.device),
            await platform.cut("API token revoked", "GraphQL WebSocket", platform.token, platform.socket),
            await platform.cut("API token revoked", "SSE stream", platform.token, platform.stream),
        ]
        log: list[str] = []

        def say(line: str) -> None:
            log.append(line)
            tell(line)

        return Measured(cuts, log, await mtls.walk(platform, say))


@dataclass(frozen=True, slots=True)
class Case:
    """What is cut: the ``secret`` that connects, as ``username`` if it is a device's, and the request that ends it."""

    secret: str
    method: str
    path: str
    username: str = ""


class Platform:
    """A running platform as a tenant has it."""

    def __init__(self, rig: Rig, tenant: BenchTenant, times: int) -> None:
        self._times = times
        self.tenant_key = tenant.identities[0].tenant
        self.data_dir = rig.folder
        self.mqtts_port = rig.ports["mqtts_port"]
        self._mqtt_port = rig.ports["mqtt_port"]
        self._tenant = tenant
        self._address = f"127.0.0.1:{rig.ports['http_port']}"
        headers = {"Authorization": f"Bearer {tenant.api_token}"}
        self.http = httpx.AsyncClient(
            base_url=f"http://{self._address}", headers=headers, timeout=WITHIN_S, trust_env=False
        )

    async def ask(self, method: str, path: str, **body: object) -> Any:
        """One request to the REST mirror; raises SetupProblem."""
        answer = await self.http.request(method, f"/api/v1{path}", json=body or None)
        if not answer.is_success:
            raise SetupProblem(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    async def cut(
        self,
        deed: str,
        ended: str,
        made: Callable[[int], Awaitable[Case]],
        connected: Callable[[Case], AbstractAsyncContextManager[Ended]],
    ) -> Cut:
        """Connect and cut, each time with another of the tenant's devices."""
        seconds = []
        for number in range(self._times):
            case = await made(number)
            async with connected(case) as end:
                ending = asyncio.ensure_future(end)
                await asyncio.sleep(SETTLE_S)
                if ending.done():
                    raise SetupProblem(f"The {ended} ended before anything was done to it.")
                began = time.monotonic()
                await self.ask(case.method, case.path)
                async with asyncio.timeout(WITHIN_S):
                    await ending
                seconds.append(time.monotonic() - began)
        return Cut(deed, ended, seconds)

    async def retirement(self, devices: int) -> Cut:
        """Connect so many devices by certificate and retire their authority; how long the last ones' ends took."""
        ended = f"{devices} MQTT connections by certificate, the last of them"
        trust = self.data_dir / "tls" / "server.pem"
        async with contextlib.AsyncExitStack() as stack:
            ends = []
            for number in range(devices):
                made = await signed.made(self, self._tenant.device_ids[number])
                client = DeviceClient(
                    "127.0.0.1", self.mqtts_port, self._username(number), "", tls=signed.context(made, trust)
                )
                await _connected(client)
                stack.push_async_callback(client.close)
                ends.append(asyncio.ensure_future(client.ended()))
            authority = await self.ask("GET", "/authority")
            await self.ask("POST", "/authority/renew")
            await asyncio.sleep(SETTLE_S)
            if any(end.done() for end in ends):
                raise SetupProblem("A connection by certificate ended before its authority was retired.")
            took: list[float] = []
            began = time.monotonic()
            for end in ends:
                end.add_done_callback(lambda _: took.append(time.monotonic() - began))
            await self.ask("POST", f"/authorities/{authority['id']}/retire", inUse=devices)
            async with asyncio.timeout(WITHIN_S):
                await asyncio.gather(*ends)
        return Cut("authority retired", ended, sorted(took)[-self._times :])

    # ── what is cut, and how ─────────────────────────────────────────────────────────────────────────────────────────

    async def credential(self, number: int) -> Case:
        """A further token of a device, and its revocation."""
        device_id = self._tenant.device_ids[number]
        issued = await self.ask("POST", f"/devices/{device_id}/credentials")
        path = f"/credentials/{issued['credential']['id']}"
        return Case(issued["token"], "DELETE", path, self._username(number))

    async def suspension(self, number: int) -> Case:
        """A device's own token, and its suspension."""
        path = f"/devices/{self._tenant.device_ids[number]}/suspend"
        return Case(self._tenant.identities[number].token, "POST", path, self._username(number))

    async def token(self, number: int) -> Case:
        """An API token, and its revocation."""
        issued = await self.ask("POST", "/tokens", name=f"cut {UUID(int=time.time_ns()).hex}", scopes=["devices:read"])
        return Case(issued["secret"], "DELETE", f"/tokens/{issued['token']['id']}")

    def _username(self, number: int) -> str:
        return f"{self.tenant_key}/d/{self._tenant.identities[number].key}"

    # ── what is connected ────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def device(self, case: Case) -> AsyncIterator[Ended]:
        """A device on MQTT."""
        client = DeviceClient("127.0.0.1", self._mqtt_port, case.username, case.secret)
        await client.connect()
        try:
            yield client.ended()
        finally:
            await client.close()

    @asynccontextmanager
    async def socket(self, case: Case) -> AsyncIterator[Ended]:
        """A GraphQL subscription over graphql-transport-ws."""
        async with websockets.connect(
            f"ws://{self._address}/graphql", subprotocols=[websockets.Subprotocol("graphql-transport-ws")], proxy=None
        ) as socket:
            hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {case.secret}"}}
            await socket.send(json.dumps(hello))
            if json.loads(await socket.recv())["type"] != "connection_ack":
                raise SetupProblem("The gateway did not take the API token on a WebSocket.")
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}))
            yield socket.wait_closed()

    @asynccontextmanager
    async def stream(self, case: Case) -> AsyncIterator[Ended]:
        """The same subscription as Server-Sent Events."""
        headers = {"Authorization": f"Bearer {case.secret}", "Accept": "text/event-stream"}
        async with self.http.stream("POST", "/graphql", json={"query": SUBSCRIPTION}, headers=headers) as response:
            if not response.is_success:
                raise SetupProblem(f"The gateway refused an SSE stream: {response.status_code}.")
            yield _read(response)


async def _connected(client: DeviceClient) -> None:
    """Connected, once the process has heard of the authority: it believes a new one as soon as it is told of it."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await client.connect()
            except OSError:
                await asyncio.sleep(SETTLE_S)


async def _read(response: httpx.Response) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):  # cut in the middle is an end too
        async for _ in response.aiter_bytes():
            continue
