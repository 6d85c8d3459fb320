"""What a device posts over CoAP: put together, turned into JSON, handed to the pipeline, answered when committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any

from ingest.adapters.base import Decision, Message, Uplink
from ingest.adapters.coap import formats
from ingest.adapters.coap.answers import BUSY, NOT_A_FORMAT, NOT_ACCEPTED, Answer, of_http
from ingest.adapters.coap.blocks import TOO_LARGE, Assemblies
from ingest.adapters.http.messages import ANSWERED_WITHIN_S, UNAVAILABLE, Receipt, Still, answered
from ingest.adapters.http.room import Full, Room
from ingest.errors import Rejection
from schema.wire.coap import CBOR, FORMATS, JSON
from schema.wire.payloads import MAX_PAYLOAD_BYTES


class Messages:
    """The uplink of all requests of a process."""

    def __init__(self, uplink: Uplink, refused: Callable[[Decision, str], None], room: Room | None = None) -> None:
        """`refused` counts a message that never reaches the uplink (D3)."""
        self._uplink = uplink
        self._refused = refused
        self._room = room or Room()
        self._assemblies = Assemblies(self._room)

    async def take(self, request: Any, peer: Hashable, device: Decision, topic: str, still: Still) -> Answer:
        """Take what a device posts, or a block of it, from a peer; `still` asks again who it is (raises Refused)."""
        options = request.opt
        media = JSON if options.content_format is None else int(options.content_format)
        is_telemetry = topic.startswith("up/telemetry")
        if media not in FORMATS or (formats.is_senml(media) and not is_telemetry):
            return self._no(device, NOT_A_FORMAT)
        if options.accept not in (None, JSON, CBOR):
            return self._no(device, NOT_ACCEPTED)
        if (options.size1 or 0) > MAX_PAYLOAD_BYTES:
            return self._no(device, TOO_LARGE)
        block = options.block1
        if self._uplink.is_full:
            return BUSY
        if block is None:
            return await self._submit(request.payload, media, device, topic, options.accept)
        try:
            whole = self._assemblies.add((peer, topic), device, block, request.payload, media)
        except Full:
            return BUSY
        if isinstance(whole, Answer):
            return whole if whole.block1 is not None else self._no(device, whole)
        answer = await self._submit(whole, media, await still(), topic, options.accept)
        return answer._replace(block1=(block.block_number, False, block.size_exponent))

    async def _submit(self, payload: bytes, media: int, device: Decision, topic: str, accept: int | None) -> Answer:
        receipt, now = Receipt(), time.time()
        message = Message(device, topic, payload, 1, now, transport="coap", encoding=formats.encoding(media))
        try:
            message.payload = formats.as_json(payload, media, device.device, int(now * 1000))
        except Rejection as rejection:
            self._uplink.reject(message, rejection.reason, rejection.words, receipt)
        else:
            self._uplink.submit(message, receipt)
        try:
            verdict = await asyncio.wait_for(receipt.verdict, ANSWERED_WITHIN_S)
        except TimeoutError:
            return of_http(UNAVAILABLE, accept)
        return of_http(answered(verdict, receipt, message.payload), accept)

    def _no(self, device: Decision, answer: Answer) -> Answer:
        self._refused(device, "request")
        return answer
