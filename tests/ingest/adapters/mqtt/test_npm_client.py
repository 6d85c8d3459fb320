"""The endpoint seen by npm's mqtt, the client of browsers and Node: published, acknowledged, heard, in both versions.

It runs under bun, which the console is built with anyway, so no Node is needed.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.adapters.mqtt.memory import House, device_id, until

BUN = Path(sys.executable).with_name("bun")
MQTT_JS = "5.16.0"
PUMP = device_id("acme/d/pump-7")

SCRIPT = """
import mqtt from "mqtt";
const [url, protocolVersion, password] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const home = "t/acme/d/pump-7/";
const say = (what) => console.log(JSON.stringify(what));
const options = { username: "acme/d/pump-7", password, protocolVersion, reconnectPeriod: 0, connectTimeout: 10000 };
const client = mqtt.connect(url, options);
client.on("error", (error) => { say({ error: error.message, code: error.code }); client.end(true); });
client.on("message", (topic, payload) => say({ heard: topic, payload: payload.toString() }));
client.on("packetsend", (packet) => {
  if (packet.cmd === "puback") setTimeout(() => client.end(false, () => say({ ended: true })), 0);
});
client.on("connect", async () => {
  const properties = protocolVersion === 5 ? { userProperties: { site: "north" } } : undefined;
  for (let n = 0; n < 20; n += 1) {
    await client.publishAsync(home + "up/telemetry", `{"n":${n}}`, { qos: 1, properties });
  }
  const granted = await client.subscribeAsync(home + "down/#", { qos: 1 });
  say({ granted: granted.map((g) => g.qos) });
});
"""


@pytest.fixture(scope="module")
def npm_mqtt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where npm's mqtt is installed and the script lies."""
    folder = tmp_path_factory.mktemp("npm-mqtt")
    (folder / "package.json").write_text(json.dumps({"type": "module", "dependencies": {"mqtt": MQTT_JS}}))
    (folder / "client.js").write_text(SCRIPT)
    code = os.spawnve(
        os.P_WAIT, str(BUN), ["bun", "install", "--cwd", str(folder), "--silent", "--no-progress"], dict(os.environ)
    )
    assert code == 0, "bun could not install mqtt"
    return folder


async def _play(folder: Path, house: House, url: str, version: int, password: str) -> list[dict[str, Any]]:
    """Run the script beside the endpoint; send it one command when it has subscribed. What it said, line by line."""
    process = await asyncio.create_subprocess_exec(
        str(BUN), "client.js", url, str(version), password, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                said.append(json.loads(line))
                if "granted" in said[-1]:
                    assert await house.endpoint.send(PUMP, "down/cmd/1", b"open") is True
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said


@pytest.mark.engines
@pytest.mark.parametrize(("scheme", "version"), [("mqtt", 4), ("mqtt", 5), ("ws", 5)])
async def test_npm_mqtt_publishes_subscribes_and_hears(npm_mqtt: Path, house: House, scheme: str, version: int) -> None:
    port = await house.endpoint.start("127.0.0.1", 0, in_websockets=scheme == "ws")
    said = await _play(npm_mqtt, house, f"{scheme}://127.0.0.1:{port}/mqtt", version, "token")
    assert said == [{"granted": [1]}, {"heard": "t/acme/d/pump-7/down/cmd/1", "payload": "open"}, {"ended": True}]
    assert house.uplink.payloads() == [f'{{"n":{n}}}'.encode() for n in range(20)]
    await until(lambda: house.presence.reasons("pump-7") == ["connected", "client"])


@pytest.mark.engines
@pytest.mark.parametrize(("version", "code"), [(4, 5), (5, 0x86)])
async def test_npm_mqtt_is_told_that_its_password_is_wrong(
    npm_mqtt: Path, house: House, version: int, code: int
) -> None:
    said = await _play(npm_mqtt, house, f"mqtt://127.0.0.1:{house.port}", version, "guess")
    assert [line.get("code") for line in said] == [code]
