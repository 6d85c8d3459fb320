"""Devices nobody has seen before, from openssl to the first PUBACK: by claim certificate, and by authority.

Everything as in production: an ingest process, a gateway beside it, openssl for keys and certificates, mosquitto_pub.
"""

import asyncio
import base64
import shlex
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from engine import ids
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from tests.support import tokens
from tests.support.api import Api
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

DEVICE_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out {name}.key"
DEVICE_CSR = "openssl req -new -key {name}.key -subj /CN={cn} -out {name}.csr"
AUTHORITY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -keyout {name}.key -out {name}.pem "
    "-days 30 -subj '/O=Pumps of {name}/CN=Root' -addext basicConstraints=critical,CA:TRUE "
    "-addext keyUsage=critical,keyCertSign -addext subjectKeyIdentifier=hash"
)
SIGN = (
    "openssl x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 7 -sha256 -extfile device.ext "
    "-out {name}.pem"
)
EXTENSIONS = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\nauthorityKeyIdentifier=keyid\n"
PUBLISH = (
    "mosquitto_pub -h 127.0.0.1 -p {port} --cafile tls/server.pem --cert {name}.pem --key {name}.key -V mqttv5 -q 1"
    " -t t/{tenant}/d/{device}/up/telemetry -m '{{\"temperature\": {value}}}'"
)


async def paste(line: str, folder: Path) -> tuple[int, str]:
    """Run a line as somebody would paste it; exit code and what it said."""
    running = await asyncio.create_subprocess_exec(
        *shlex.split(line), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), PATIENCE_S)
    except TimeoutError:
        running.kill()
        raise
    return running.returncode or 0, said.decode()


class Works:
    """A factory's side: it makes keys, requests, authorities and certificates with openssl, in the process's folder."""

    def __init__(self, process: IngestProcess, tenant: Tenant, api: Api, postgres: Postgres) -> None:
        self.process, self.tenant, self.api = process, tenant, api
        self.folder = process.data_dir
        self.line = Line(postgres)
        (self.folder / "device.ext").write_text(EXTENSIONS)

    async def run(self, line: str, **names: str) -> None:
        """A line that must work."""
        code, said = await paste(line.format(**names), self.folder)
        assert code == 0, said

    async def request(self, name: str, cn: str = "anything") -> str:
        """A fresh key and its signing request."""
        await self.run(DEVICE_KEY, name=name)
        await self.run(DEVICE_CSR, name=name, cn=cn.replace("/", r"\\/"))
        return self.text(f"{name}.csr")

    def text(self, file: str) -> str:
        """What a file holds."""
        return (self.folder / file).read_text()

    def private(self, name: str) -> ec.EllipticCurvePrivateKey:
        """A key."""
        key = load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    async def publish(self, name: str, device: str, value: float) -> tuple[int, str]:
        """mosquitto_pub with the certificate of this name."""
        line = PUBLISH.format(
            port=self.process.mqtts_port, name=name, tenant=self.tenant.key, device=device, value=value
        )
        return await paste(line, self.folder)

    async def published(self, name: str, device: str, value: float) -> None:
        """The same until it works: a new authority is heard of within seconds."""
        said = ""
        for _ in range(200):
            code, said = await self.publish(name, device, value)
            if code == 0:
                return
            await asyncio.sleep(0.2)
        raise AssertionError(said)

    async def post(self, path: str, **asked: Any) -> dict[str, Any]:
        """What the tenant does by REST."""
        answer = await self.api.rest(await self.tenant.api_token(), "POST", path, json=asked)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def register(self, name: str, **more: Any) -> dict[str, Any]:
        """Make an authority and register it, with the proof that its key is ours."""
        await self.run(AUTHORITY, name=name)
        await self.request(f"{name}-proof", f"tidegate-{self.tenant.id}")
        await self.run(SIGN, name=f"{name}-proof", by=name)
        asked = {"certificate": self.text(f"{name}.pem"), "verification": self.text(f"{name}-proof.pem")}
        profile = (await self.tenant.profile()).id
        return await self.post(
            "/provisioners/authorities", name=name, mode="CREATE", profileId=str(profile), **asked, **more
        )

    async def device(self, name: str, cn: str, by: str) -> None:
        """A device with a key and a certificate of its own, made at the factory."""
        await self.request(name, cn)
        await self.run(SIGN, name=name, by=by)

    def temperatures(self) -> list[float]:
        """What has arrived."""
        return [values["temperature"] for *_, values in self.line.stored(self.tenant)]


@pytest.fixture(scope="module")
async def process(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestProcess]:
    log = tmp_path_factory.mktemp("first") / "ingest.log"
    async with ingest_process(postgres.url("ingest"), log) as process:
        yield process


@pytest.fixture
def works(process: IngestProcess, tenant: Tenant, api: Api, gateway: Gateway, postgres: Postgres) -> Works:
    return Works(process, tenant, api, postgres)


async def test_from_a_claim_certificate_and_a_csr_to_the_first_puback(works: Works) -> None:
    batch = await works.request("claim")
    profile = str((await works.tenant.profile()).id)
    made = await works.post("/provisioners/claims", name="batch 9", mode="CREATE", profileId=profile, csr=batch)
    claim = x509.load_pem_x509_certificate(made["provisioner"]["certificate"].encode())

    request = await works.request("pump-1")
    now = time.time()
    said = {
        "aud": "tidegate/provision",
        "iat": now,
        "exp": now + 300,
        "csr_sha256": ids.fingerprint(request).hex(),
    }
    header = {"alg": "ES256", "x5c": [base64.b64encode(claim.public_bytes(Encoding.DER)).decode()]}
    jws = tokens.jws(works.private("claim"), said, header)
    owned = await works.api.client.post("/ingest/v1/provision/claim", json={"claim": jws, "csr": request})
    assert owned.status_code == 201, owned.text
    told = await works.api.client.post(
        "/ingest/v1/provision", json={"ownershipToken": owned.json()["ownershipToken"], "device": "pump-1"}
    )
    assert told.status_code == 201, told.text
    (works.folder / "pump-1.pem").write_text(told.json()["certificate"])

    await works.published("pump-1", "pump-1", 4.5)
    assert works.temperatures() == [4.5]
    (works.folder / "claim.pem").write_text(made["provisioner"]["certificate"])
    code, answer = await works.publish("claim", "pump-1", 66)
    assert code != 0, "the claim itself is nobody's login"
    assert "Bad User Name" in answer


async def test_a_device_of_a_registered_authority_comes_in_at_its_first_connection(works: Works) -> None:
    way = await works.register("plant")
    await works.device("pump-7", "pump-7", "plant")
    await works.published("pump-7", "pump-7", 7.5)
    await works.published("pump-7", "pump-7", 8.5)
    assert works.temperatures() == [7.5, 8.5]
    found = await works.api.data(
        await works.tenant.api_token(),
        "{ devices { items { key credentials { kind } } } enrolments { items { status proof deviceKey } } }",
    )
    assert found["devices"]["items"] == [{"key": "pump-7", "credentials": [{"kind": "x509"}]}]
    assert found["enrolments"]["items"] == [{"status": "DONE", "proof": "CERTIFICATE", "deviceKey": "pump-7"}]

    await works.device("twin", "pump-7", "plant")
    code, said = await works.publish("twin", "pump-7", 66)
    assert code != 0, "a second certificate for a device that exists takes nothing over"
    assert "ot authori" in said
    await works.device("odd", "not/a/key", "plant")
    assert (await works.publish("odd", "pump-7", 66))[0] != 0
    refused = await works.api.data(
        await works.tenant.api_token(), "{ enrolments(status: REFUSED) { items { reason } } }"
    )
    reasons = [each["reason"] for each in refused["enrolments"]["items"]]
    assert any("CN must be" in reason for reason in reasons)
    assert any("device with this key exists" in reason for reason in reasons)

    token = await works.tenant.api_token()
    await works.api.rest(token, "DELETE", f"/provisioners/{way['id']}")
    await works.device("late", "pump-8", "plant")
    await asyncio.sleep(0.5)
    assert (await works.publish("late", "pump-8", 66))[0] != 0, "the way in is closed"
    await works.published("pump-7", "pump-7", 9.5)
    assert 66 not in works.temperatures()


async def test_a_device_of_a_registered_authority_may_have_to_wait(works: Works) -> None:
    await works.register("guarded", needsApproval=True)
    await works.device("pump-9", f"{works.tenant.key}/d/pump-9", "guarded")
    said = ""
    for _ in range(200):  # until the process has heard of the authority
        code, said = await works.publish("pump-9", "pump-9", 1)
        assert code != 0
        if "ot authori" in said:
            break
        await asyncio.sleep(0.2)
    assert "ot authori" in said
    token = await works.tenant.api_token()
    asked = await works.api.data(token, "{ enrolments(status: PENDING) { items { id deviceKey } } }")
    [waiting] = asked["enrolments"]["items"]
    assert waiting["deviceKey"] == "pump-9"
    await works.post(f"/enrolments/{waiting['id']}/approve")
    await works.published("pump-9", "pump-9", 9.5)
    assert works.temperatures() == [9.5]


async def test_nobody_registers_an_authority_whose_key_is_not_theirs(works: Works, neighbour: Tenant) -> None:
    await works.run(AUTHORITY, name="victim")
    await works.request("stranger", f"tidegate-{works.tenant.id}")
    await works.run(AUTHORITY, name="thief")
    await works.run(SIGN, name="stranger", by="thief")
    await works.request("elsewhere", f"tidegate-{neighbour.id}")
    await works.run(SIGN, name="elsewhere", by="victim")
    profile = str((await works.tenant.profile()).id)
    asked = {"name": "x", "mode": "CREATE", "profileId": profile, "certificate": works.text("victim.pem")}
    token = await works.tenant.api_token()
    for proof in ("stranger", "elsewhere"):
        answer = await works.api.rest(
            token, "POST", "/provisioners/authorities", json={**asked, "verification": works.text(f"{proof}.pem")}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "AUTHORITY_UNPROVEN")
    for unfit in (works.text("stranger.pem"), "nonsense"):
        answer = await works.api.rest(
            token,
            "POST",
            "/provisioners/authorities",
            json={**asked, "certificate": unfit, "verification": works.text("stranger.pem")},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "AUTHORITY_UNFIT")
