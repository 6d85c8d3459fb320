"""A device's way in by certificate, as somebody with openssl and mosquitto_pub walks it: each line and its answer."""

import asyncio
import shlex
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

KEY = "openssl ecparam -name prime256v1 -genkey -noout -out device.key"
REQUEST = "openssl req -new -key device.key -subj /CN=anything -out device.csr"
LOOK = "openssl x509 -in device.pem -noout -subject -issuer -dates"
PUBLISHER = "mosquitto_pub"
PUBLISH = (
    f"{PUBLISHER} -d -h 127.0.0.1 -p {{port}} --cafile server.pem --cert device.pem --key device.key -V mqttv5 -q 1 "
    "-t {topic} -m '{message}'"
)
MESSAGE = '{"temperature": 4.5}'
DEVICE = "walker"
SAID_WITHIN_S = 30.0
POLL_S = 0.2
Say = Callable[[str], None]


class Tenant(Protocol):
    """What is needed of a platform: asking it as a tenant, and where it is."""

    tenant_key: str
    data_dir: Path
    mqtts_port: int

    async def ask(self, method: str, path: str, **body: object) -> Any:
        """One request to the REST mirror."""


async def walk(tenant: Tenant, say: Say) -> bool:
    """From a key that never leaves its folder to the first PUBACK over mTLS; whether the message came to be read."""
    folder = tenant.data_dir / DEVICE
    folder.mkdir()
    shutil.copy(tenant.data_dir / "tls" / "server.pem", folder)
    profile = (await tenant.ask("GET", "/profiles"))["items"][0]["id"]
    made = await tenant.ask("POST", "/devices", key=DEVICE, name="Walker", profileId=profile)
    device_id = made["device"]["id"]
    for line in (KEY, REQUEST):
        await _paste(line, folder, say)
    request = (folder / "device.csr").read_text()
    say(f"POST /api/v1/devices/{device_id}/certificates  (device.csr)")
    signed = await tenant.ask("POST", f"/devices/{device_id}/certificates", csr=request)
    (folder / "device.pem").write_text(signed["certificate"])
    await _paste(LOOK, folder, say)
    topic = f"t/{tenant.tenant_key}/d/{DEVICE}/up/telemetry"
    if shutil.which(PUBLISHER):
        await _paste(PUBLISH.format(port=tenant.mqtts_port, topic=topic, message=MESSAGE), folder, say)
    else:
        await asyncio.to_thread(_by_paho, tenant.mqtts_port, topic, folder, say)
    return await _is_read(tenant, device_id, say)


async def _is_read(tenant: Tenant, device_id: str, say: Say) -> bool:
    latest: list[Any] = []
    for _ in range(int(SAID_WITHIN_S / POLL_S)):
        latest = await tenant.ask("GET", f"/devices/{device_id}/latest")
        if latest:
            break
        await asyncio.sleep(POLL_S)
    found = [(each["metric"], each["value"]) for each in latest]
    say(f"GET /api/v1/devices/{device_id}/latest")
    say(f"    {found}")
    return found == [("temperature", 4.5)]


async def _paste(line: str, folder: Path, say: Say) -> None:
    """Run a line as somebody would paste it."""
    say(f"$ {line}")
    running = await asyncio.create_subprocess_exec(
        *shlex.split(line), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), SAID_WITHIN_S)
    finally:
        if running.returncode is None:
            running.kill()
    for each in said.decode().splitlines():
        say(f"    {each}")
    if running.returncode:
        say(f"    exit code {running.returncode}")


def _by_paho(port: int, topic: str, folder: Path, say: Say) -> None:
    """What mosquitto_pub would do, by the library whose name its packets have here too."""
    import paho.mqtt.client as paho  # only where mosquitto_pub is missing
    from paho.mqtt.enums import CallbackAPIVersion

    say("paho-mqtt, for want of mosquitto_pub")
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_log = lambda client, userdata, level, words: say(f"    {words}")
    context = ssl.create_default_context(cafile=str(folder / "server.pem"))
    context.load_cert_chain(folder / "device.pem", folder / "device.key")
    client.tls_set_context(context)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        client.publish(topic, MESSAGE, qos=1).wait_for_publish(SAID_WITHIN_S)
    finally:
        client.disconnect()
        client.loop_stop()
