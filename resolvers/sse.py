"""Server-sent events: one subscription as a stream of text, with comments that keep it alive."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse

from resolvers.errors import problem, refused
from resolvers.execution import Stream
from resolvers.watch import Watch

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
_BEAT_S = 15.0
_BEAT = b":\n\n"

Encode = Callable[[Any, bytes], bytes]
"""Makes the bytes of one event from the source event and its answer."""


def streamed(stream: Stream, encode: Encode, end: bytes, watch: Watch) -> StreamingResponse:
    """A response that lasts as long as the subscription, the caller's right to it, and the reader."""
    return StreamingResponse(_events(stream, encode, end, watch), media_type="text/event-stream", headers=HEADERS)


async def _events(stream: Stream, encode: Encode, end: bytes, watch: Watch) -> AsyncGenerator[bytes, None]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)  # one ahead: a slow reader slows the subscription itself

    async def feed() -> None:
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    await queue.put(encode(event, await stream.answer(event)))
            await queue.put(end)
        except Exception as error:
            await queue.put(b"event: error\ndata: " + orjson.dumps(problem(refused(error))) + b"\n\n")
        await queue.put(None)

    feeding = asyncio.create_task(feed())
    watching = asyncio.create_task(watch.ended())
    getting = asyncio.create_task(queue.get())
    try:
        yield _BEAT
        while not watching.done():
            await asyncio.wait({getting, watching}, timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                chunk = getting.result()
                if chunk is None:
                    return
                getting = asyncio.create_task(queue.get())
                yield chunk
            elif not watching.done():
                yield _BEAT
    finally:
        tasks = (feeding, watching, getting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
