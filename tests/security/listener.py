"""The TLS endpoint for devices with nobody behind it, for `.ci/security` to look at; ends with the process."""

import asyncio
import sys

from engine.settings import Settings
from ingest import tls
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer, MemoryPresence, MemoryUplink


async def main() -> None:
    """Listen on a free port and say which."""
    endpoint = MqttEndpoint(MemoryAuthorizer(), MemoryUplink(), MemoryPresence())
    port = await endpoint.start("127.0.0.1", 0, tls.server_context(Settings.from_env()))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
