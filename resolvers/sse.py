"""Server-sent events: one subscription as a stream of text, with comments that keep it alive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from resolvers.at_once import at_once
from resolvers.errors import problem, refused
from resolvers.execution import Stream
from resolvers.watch import Ended

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
_BEAT_S = 15.0
_BEAT = b":\n\n"

Encode = Callable[[Any, bytes], bytes]
"""Makes the bytes of one event from the source event and its answer."""
Watched = Callable[[Ended], Callable[[], None]]
"""Tells when the caller's right to listen has ended, until the function that it gives back is called."""


class Streamed(StreamingResponse):
    """A response that lasts as long as the subscription, the caller's right to it, and the reader."""

    def __init__(self, stream: Stream, encode: Encode, end: bytes, watch: Watched) -> None:
        super().__init__(_nothing(), media_type="text/event-stream", headers=HEADERS)
        self._stream = stream
        self._encode = encode
        self._end = end
        self._watch = watch

    async def stream_response(self, send: Send) -> None:
        """Say everything: what can be said at once straight, the rest in its order. A slow reader slows the rest."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send(_part(_BEAT))
        ended = asyncio.Event()
        leave = self._watch(ended.set)
        self._stream.hand_to(lambda event, answer: at_once(send(_part(self._encode(event, answer)))))
        tasks = [asyncio.create_task(each) for each in (self._say_all(send), ended.wait())]
        try:
            while not (await asyncio.wait(tasks, timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED))[0]:
                at_once(send(_part(_BEAT)))  # whoever has no room for it need not be kept alive
        finally:
            leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _say_all(self, send: Send) -> None:
        try:
            async with aclosing(self._stream.events()) as events:
                async for event in events:
                    await send(_part(self._encode(event, await self._stream.answer(event))))
            said = self._end
        except Exception as error:
            said = b"event: error\ndata: " + orjson.dumps(problem(refused(error))) + b"\n\n"
        if said:
            await send(_part(said))


def _part(said: bytes) -> Message:
    return {"type": "http.response.body", "body": said, "more_body": True}


async def _nothing() -> AsyncIterator[bytes]:
    """What Starlette would stream by itself."""
    return
    yield b""
