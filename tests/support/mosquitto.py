"""Debian's Mosquitto on a port and in a folder of its own, ended by its own number; and a device that speaks to it."""

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from infra.local.ports import is_listening
from tests.support.broker_certificates import write_certificates
from tests.support.patience import PATIENCE_S
from tests.support.process import free_port

CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/rights
persistence true
persistence_location {folder}/
max_queued_messages 100000
log_dest stderr
log_type subscribe
log_type information
user root
"""
RIGHTS = """\
user ingest
topic readwrite t/#

user device
topic readwrite t/#

pattern write t/%u/up/#
pattern read t/%u/down/#
"""
"""Everything for ingest, and for the one account by which most tests speak; else a device's own topics alone."""
TLS = """\
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate true
use_identity_as_username true
"""
PASSWORD = "a-test's-own"


class Mosquitto:
    """A broker; it may be started again after its end, with what it has kept.

    With ``has_tls`` it listens on `tls_port` as well, for whoever shows a certificate; the files are in its folder.
    """

    def __init__(self, folder: Path, *, has_tls: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert found, "apt-get install mosquitto"
        self._program = found
        folder.mkdir(parents=True, exist_ok=True)
        said = CONFIG.format(port=self.port, folder=folder)
        if has_tls:
            write_certificates(folder, "ingest")
            said += TLS.format(port=self.tls_port, folder=folder)
        (folder / "mosquitto.conf").write_text(said)
        (folder / "rights").write_text(RIGHTS)
        self._passwords = folder / "passwords"
        self._passwords.touch(0o600)
        for name in ("ingest", "device"):
            self._write("-b", name, PASSWORD)

    @property
    def url(self) -> str:
        """As ingest is told it."""
        return f"mqtt://ingest:{PASSWORD}@127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start, and wait until it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            command = [self._program, "-c", str(self.folder / "mosquitto.conf")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(is_listening, self.port):
            assert self.process.poll() is None, (self.folder / "mosquitto.log").read_text()
            assert time.monotonic() < until
            await asyncio.sleep(0.02)

    def shares(self) -> int:
        """How often somebody has asked for a share of what devices publish."""
        return self._said("$share/")

    async def admit(self, name: str, password: str) -> None:
        """Let somebody log in from now on, who may publish and hear on the topics of that name."""
        self._write("-b", name, password)
        await self._reload()

    async def expel(self, name: str) -> None:
        """Let somebody in no more; a connection that stands is cut."""
        self._write("-D", name)
        await self._reload()

    def _write(self, how: str, *said: str) -> None:
        subprocess.run(["mosquitto_passwd", how, str(self._passwords), *said], check=True)

    def _said(self, words: str) -> int:
        return (self.folder / "mosquitto.log").read_text().count(words)

    async def _reload(self) -> None:
        assert self.process is not None
        known = self._said("Reloading config")
        self.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            while self._said("Reloading config") == known:
                await asyncio.sleep(0.01)

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        await asyncio.to_thread(self.process.wait, PATIENCE_S)


@asynccontextmanager
async def mosquitto(folder: Path, *, has_tls: bool = False) -> AsyncIterator[Mosquitto]:
    """A started broker, ended when the block does."""
    broker = Mosquitto(folder, has_tls=has_tls)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop(signal.SIGKILL)


class BrokerDevice:
    """Whoever publishes at the broker; it keeps what it has until the broker has taken it."""

    def __init__(self, broker: Mosquitto, client_id: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.username_pw_set("device", PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.max_queued_messages_set(0)
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> paho.MQTTMessageInfo:
        """Publish, and again until it is taken."""
        return self._client.publish(topic, payload, qos)

    def subscribe(self, topic: str) -> Any:
        """Ask for a topic."""
        return self._client.subscribe(topic, 1)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def broker_device(broker: Mosquitto, client_id: str) -> AsyncIterator[BrokerDevice]:
    """A device at a broker."""
    device = await asyncio.to_thread(BrokerDevice, broker, client_id)
    try:
        yield device
    finally:
        await asyncio.to_thread(device.close)
