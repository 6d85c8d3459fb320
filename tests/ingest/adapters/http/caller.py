"""A device that speaks HTTP: its own client on a real socket, its credential, and the verbs a test needs."""

import re
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml
from jsonschema_rs import Draft202012Validator

from engine.devices.model import Device
from schema.wire import http, openapi
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant

COMMITTED = yaml.safe_load(openapi.FILE.read_text())


@dataclass
class Caller:
    """Sends as the device until told otherwise."""

    process: IngestProcess
    tenant: Tenant
    device: Device
    token: str
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = client(self.process)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(self, path: str, said: object = None, **more: Any) -> httpx.Response:
        """POST below the device's own path."""
        headers = self.bearer | more.pop("headers", {})
        if said is not None:
            more["json"] = said
        return promised(await self.client.post(f"/ingest/v1/{self.device.key}/{path}", headers=headers, **more))

    async def commands(self, **asked: Any) -> httpx.Response:
        """GET what waits."""
        path = f"/ingest/v1/{self.device.key}/commands"
        return promised(await self.client.get(path, headers=self.bearer, params=asked))


def promised(answer: httpx.Response) -> httpx.Response:
    """The answer, which is one that the document for devices promises; where nothing is served, 404 and 405."""
    rest = (http.parse(answer.request.url.path) or ("", ""))[1]
    paths = COMMITTED["paths"].items()
    asked = [item for path, item in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), f"{http.HOME}a/{rest}")]
    if not asked or answer.status_code in (404, 405):
        assert answer.json()["status"] == answer.status_code
        return answer
    [operation] = asked[0].values()
    content = operation["responses"][str(answer.status_code)].get("content")
    if content is None:
        assert answer.content == b""
        return answer
    [(media, said)] = content.items()
    assert answer.headers["content-type"] == media
    Draft202012Validator({**said["schema"], "components": COMMITTED["components"]}).validate(answer.json())
    return answer


def client(process: IngestProcess, context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client of a process' HTTP port, of its TLS port when there is a context."""
    base = f"http://127.0.0.1:{process.http_port}" if context is None else f"https://127.0.0.1:{process.https_port}"
    return httpx.AsyncClient(base_url=base, timeout=PATIENCE_S, verify=context or False)


async def caller(process: IngestProcess, tenant: Tenant, key: str | None = None) -> Caller:
    """A fresh device with a token."""
    device = await tenant.device(key)
    return Caller(process, tenant, device, await tenant.device_token(device))
