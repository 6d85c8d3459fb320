"""A newcomer at the doors of an ingest process: by HTTP and MQTT, by key and claim certificate, to its first PUBACK.

Everything as in production: an ingest process that passes on, a gateway behind a socket, curl, mosquitto and paho.
"""

import asyncio
import json
import shlex
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema_rs import Draft202012Validator
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from engine.certificates.vault import Vault
from engine.provisioning import provisioners
from engine.provisioning.model import Mode, Terms
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from schema.wire import provisioning
from tests.support import csr
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant
from ui import ways
from ui.first_message import SERVER, openssl_request

SEND = "mosquitto_pub -h 127.0.0.1 -p {port} -q 1 -u {username} -P {token} -t {topic} -m '{{\"temperature\": 4.5}}'"
RR = "mosquitto_rr -h 127.0.0.1 -p {port} -V {version} -q {qos} -u {tenant}/provision -P {key} -W 10 "
RR += "-e t/{tenant}/provision/down/response -t t/{tenant}/provision/up/request -m '{said}'"
RESPONSE = Draft202012Validator(provisioning.RESPONSE)


async def paste(line: str, folder: Path) -> tuple[int, str]:
    """What pasting a line into a terminal does: its exit code and what it said."""
    running = await asyncio.create_subprocess_exec(
        *shlex.split(line), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(running.communicate(), PATIENCE_S)
    return running.returncode or 0, said.decode()


class Site:
    """A tenant with its ways in, before the doors of a process."""

    def __init__(self, process: IngestProcess, tenant: Tenant, vault: Vault, postgres: Postgres) -> None:
        self.process, self.tenant, self.vault = process, tenant, vault
        self.folder = process.data_dir
        self.line = Line(postgres)

    async def key(self, **terms: Any) -> str:
        """A provisioning key."""
        profile = await self.tenant.profile()
        async with self.tenant.store.as_tenant(self.tenant.principal()) as tx:
            return (await provisioners.create_key(tx, Terms("batch", Mode.CREATE, profile.id, **terms)))[1]

    async def claim(self, **terms: Any) -> None:
        """A claim certificate with its key, in the folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        profile = await self.tenant.profile()
        async with self.tenant.store.as_tenant(self.tenant.principal()) as tx:
            asked = Terms("batch", Mode.CREATE, profile.id, **terms)
            made, _ = await provisioners.sign_claim(tx, self.vault, asked, csr.request(of=key))
        assert made.certificate is not None
        (self.folder / "claim.pem").write_text(made.certificate)
        (self.folder / "claim.key").write_text(csr.pem(key))

    async def sends(self, told: dict[str, Any]) -> None:
        """The device that was let in sends its first message with what it was given."""
        RESPONSE.validate(told)
        line = SEND.format(port=self.process.mqtt_port, **told)
        code, said = await paste(line, self.folder)
        assert code == 0, said
        assert [values["temperature"] for *_, values in self.line.stored(self.tenant)] == [4.5]


@pytest.fixture(scope="module")
async def process(
    postgres: Postgres, served: str, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[IngestProcess]:
    log = tmp_path_factory.mktemp("doors") / "ingest.log"
    (log.parent / "relay.key").write_bytes(bytes.fromhex(gateway.arrivals._relay_secret()))
    async with ingest_process(postgres.url("ingest"), log, gateway_url=f"http://{served}") as process:
        yield process


@pytest.fixture
def site(process: IngestProcess, tenant: Tenant, gateway: Gateway, postgres: Postgres) -> Site:
    return Site(process, tenant, gateway.services.vault, postgres)


@pytest.fixture(autouse=True)
def _ports(process: IngestProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console's lines name the ports that the console was told."""
    monkeypatch.setenv("TIDEGATE_INGEST_HTTP_PORT", str(process.http_port))
    monkeypatch.setenv("TIDEGATE_MQTT_PORT", str(process.mqtt_port))
    monkeypatch.setenv("TIDEGATE_MQTTS_PORT", str(process.mqtts_port))


async def shell(line: str, folder: Path) -> tuple[int, str]:
    """The same with all that a shell does, and the host filled in as the browser does."""
    return await paste(shlex.join(["bash", "-c", line.replace("%HOST%", "127.0.0.1")]), folder)


@pytest.mark.parametrize("line", ["http", "mqtt"])
async def test_the_consoles_lines_bring_a_device_in_that_sends(site: Site, line: str) -> None:
    key = await site.key()
    asks = ways.provision_line(key) if line == "http" else ways.provision_line_mqtt(site.tenant.key, key)
    code, said = await shell(asks.replace("curl ", "curl -s ", 1), site.folder)
    assert code == 0, said
    await site.sends(json.loads(said))


@pytest.mark.parametrize(("version", "qos"), [("mqttv311", 0), ("mqttv5", 1)])
async def test_a_device_comes_in_by_mqtt_with_one_pasted_line_and_sends(site: Site, version: str, qos: int) -> None:
    said = json.dumps({"device": "pump-1", "name": "Pump 1"})
    names = {"port": site.process.mqtt_port, "tenant": site.tenant.key, "key": await site.key()}
    code, told = await paste(RR.format(**names, version=version, qos=qos, said=said), site.folder)
    assert code == 0, told
    assert json.loads(told)["username"] == f"{site.tenant.key}/d/pump-1"
    await site.sends(json.loads(told))


async def test_a_claim_certificate_lets_in_over_mqtt_and_https_for_a_csr_of_the_devices_own(site: Site) -> None:
    await site.claim()
    (site.folder / SERVER).write_bytes((site.folder / "tls" / SERVER).read_bytes())
    assert (await shell(openssl_request(ways.NEWCOMER), site.folder))[0] == 0
    line = ways.claim_line(site.tenant.key, "claim").replace("claim.crt", "claim.pem")
    for _ in range(200):  # until the process has heard of the tenant's authority
        code, said = await shell(line, site.folder)
        if code == 0 and said.startswith("{"):
            break
        await asyncio.sleep(0.2)
    told = json.loads(said)
    assert (told["credential"], told["status"]) == ("x509", "admitted")
    RESPONSE.validate(told)
    assert told["certificate"].startswith("-----BEGIN CERTIFICATE")

    context = ssl.create_default_context(cafile=str(site.folder / "tls" / "server.pem"))
    context.load_cert_chain(site.folder / "claim.pem", site.folder / "claim.key")
    url = f"https://127.0.0.1:{site.process.https_port}/ingest/v1/provision"
    async with httpx.AsyncClient(timeout=PATIENCE_S, verify=context, trust_env=False) as device:
        second = await device.post(url, json={"device": "pump-2", "csr": csr.request()})
        assert (second.status_code, second.json()["username"]) == (201, f"{site.tenant.key}/d/pump-2")
        without = await device.post(url, json={"device": "pump-3"})
        assert (without.status_code, without.json()["code"]) == (422, "INTRODUCTION_MALFORMED")
    stranger = ssl.create_default_context(cafile=str(site.folder / "tls" / "server.pem"))
    async with httpx.AsyncClient(timeout=PATIENCE_S, verify=stranger, trust_env=False) as device:
        nobody = await device.post(url, json={"device": "pump-4", "csr": csr.request()})
        assert (nobody.status_code, nobody.json()["code"]) == (422, "INTRODUCTION_MALFORMED")


class Newcomer:
    """paho-mqtt introducing itself: it subscribes, asks, and is put out after the answer."""

    def __init__(self, site: Site, key: str, version: MQTTProtocolVersion) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        self.client.username_pw_set(f"{site.tenant.key}/provision", key)
        self.tenant = site.tenant.key
        self.answers: list[Any] = []
        self.codes: list[Any] = []
        self.receipts: list[Any] = []
        self.is_over = threading.Event()
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda *a: self.answers.append(json.loads(a[2].payload))
        self.client.on_publish = lambda *a: self.receipts.append(str(a[3]))
        self.client.on_disconnect = lambda *a: self.is_over.set()

    def _on_connect(self, *given: Any) -> None:
        self.codes.append(given[3])

    async def ask(self, port: int, said: dict[str, Any]) -> None:
        """All of it, until the platform has hung up."""
        await asyncio.to_thread(self.client.connect, "127.0.0.1", port, 30)
        self.client.loop_start()
        try:
            while not self.codes:
                await asyncio.sleep(0.01)
            if not self.codes[0].is_failure:
                self.client.subscribe(f"t/{self.tenant}/provision/down/#", qos=1)
                self.client.publish(f"t/{self.tenant}/provision/up/request", json.dumps(said), qos=1)
            assert await asyncio.to_thread(self.is_over.wait, 15)
        finally:
            self.client.disconnect()
            await asyncio.to_thread(self.client.loop_stop)


async def test_paho_waits_for_approval_and_comes_again_with_its_ticket(site: Site) -> None:
    key = await site.key(needs_approval=True)
    first = Newcomer(site, key, MQTTProtocolVersion.MQTTv5)
    await first.ask(site.process.mqtt_port, {"device": "pump-1"})
    [told] = first.answers
    assert told["status"] == "pending"
    RESPONSE.validate(told)
    again = Newcomer(site, key, MQTTProtocolVersion.MQTTv311)
    await again.ask(site.process.mqtt_port, {"ticket": told["ticket"]})
    assert [each["ticket"] for each in again.answers] == [told["ticket"]]


async def test_a_refusal_over_mqtt_has_the_words_it_has_over_http(site: Site) -> None:
    key = await site.key(rule={"cases": [], "otherwise": {"refuse": "Closed for now."}})
    newcomer = Newcomer(site, key, MQTTProtocolVersion.MQTTv5)
    await newcomer.ask(site.process.mqtt_port, {"device": "pump-1"})
    [told] = newcomer.answers
    RESPONSE.validate(told)
    assert (told["status"], told["code"], told["detail"]) == (403, "PROVISIONING_REFUSED", "Closed for now.")
    assert newcomer.receipts == ["Not authorized"]
    stranger = Newcomer(site, "tgp_" + "A" * 64, MQTTProtocolVersion.MQTTv311)
    await stranger.ask(site.process.mqtt_port, {"device": "pump-1"})
    assert stranger.codes[0].is_failure
    log = site.process.log.read_text()
    assert key not in log


async def test_a_key_of_another_tenant_is_nobodys_under_this_ones_name(site: Site, neighbour: Tenant) -> None:
    newcomer = Newcomer(site, await site.key(), MQTTProtocolVersion.MQTTv5)
    newcomer.client.username_pw_set(f"{neighbour.key}/provision", await site.key())
    await newcomer.ask(site.process.mqtt_port, {"device": "pump-1"})
    assert newcomer.codes[0].is_failure
    assert newcomer.answers == []
