"""The process that watches some devices as an integrator would: one GraphQL subscription over graphql-transport-ws.

Its first line on stdin is the order as JSON: {"url", "token", "devices": [ids]}. It says "ready" once subscribed, and
when stdin ends, one line: [[number of the device, message, monotonic time of arrival], …] and how many were skipped.
"""

import asyncio
import json
import sys
import time
from typing import Any

import websockets

QUERY = """
subscription ($ids: [ID!]!) { telemetry(deviceIds: $ids, metrics: ["count"]) { deviceId values skipped } }
"""

QUIET_S = 1.0
"""A live stream is hardly ever so far behind: what has not come within this is not waited for."""


class Watch:
    """What has arrived so far."""

    def __init__(self, devices: list[str]) -> None:
        self._number = {device: number for number, device in enumerate(devices)}
        self.arrived: list[tuple[int, int, float]] = []
        self.skipped = 0
        self.errors: list[Any] = []

    def hear(self, text: str) -> None:
        """One message of the socket."""
        at = time.monotonic()
        said = json.loads(text)
        if said["type"] == "next" and not said["payload"].get("errors"):
            event = said["payload"]["data"]["telemetry"]
            self.arrived.append((self._number[event["deviceId"]], int(event["values"]["count"]), at))
            self.skipped += event["skipped"]
        elif said["type"] in ("error", "next"):
            self.errors.append(said["payload"])


async def _follow(order: dict[str, Any], watch: Watch) -> None:
    async with websockets.connect(
        order["url"], subprotocols=[websockets.Subprotocol("graphql-transport-ws")], compression=None, max_queue=None
    ) as socket:
        hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {order['token']}"}}
        await socket.send(json.dumps(hello))
        await socket.recv()
        payload = {"query": QUERY, "variables": {"ids": order["devices"]}}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        await asyncio.sleep(QUIET_S)  # the protocol does not say when a subscription has begun
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async for text in socket:
            watch.hear(str(text))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    watch = Watch(order["devices"])
    following = asyncio.create_task(_follow(order, watch))
    ended = asyncio.create_task(lines.read())
    await asyncio.wait([following, ended], return_when=asyncio.FIRST_COMPLETED)
    if following.done() and (error := following.exception()):
        watch.errors.append(repr(error))
    before = -1
    while not following.done() and len(watch.arrived) > before:  # what is still under way counts
        before = len(watch.arrived)
        await asyncio.sleep(QUIET_S)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    told = {"arrived": watch.arrived, "skipped": watch.skipped, "errors": watch.errors[:3]}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
