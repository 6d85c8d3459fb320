"""The TLS endpoints for devices with nobody behind them, for `.ci/security` to look at; they end with the process."""

import asyncio
import socket
import sys

from engine.provisioning.model import Visitor
from engine.settings import Settings
from ingest import tls
from ingest.adapters.base import Reply
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.serving import serving
from tests.ingest.adapters.http.memory import endpoint as web_endpoint
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer, MemoryPresence, MemoryUplink


class Closed:
    """A doorway through which nobody comes."""

    async def pass_on(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        """No."""
        return Reply(404, b"{}")


async def main() -> None:
    """Listen for MQTT, bare and in WebSockets, and for HTTP on free ports, as ingest does, and say which."""
    context = tls.server_context(Settings.from_env())
    endpoint = MqttEndpoint(MemoryAuthorizer(), MemoryUplink(), MemoryPresence())
    mqtt_port = await endpoint.start("127.0.0.1", 0, context)
    wss_port = await endpoint.start("127.0.0.1", 0, context, in_websockets=True)
    web = socket.create_server(("127.0.0.1", 0))
    async with serving(web_endpoint(Closed()), web, context):
        sys.stdout.write(f"127.0.0.1:{mqtt_port} 127.0.0.1:{wss_port} 127.0.0.1:{web.getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
