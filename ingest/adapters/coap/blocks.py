"""Long messages in blocks (RFC 7959): put together on the way in, handed out piece by piece on the way out; bounded."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from aiocoap.numbers.codes import Code

from ingest.adapters.base import Decision
from ingest.adapters.coap.answers import Answer, Block, refusal
from ingest.adapters.http.room import Held, Room
from schema.wire.coap import EXCHANGE_LIFETIME_S, MAX_BLOCK_BYTES
from schema.wire.payloads import MAX_PAYLOAD_BYTES

PATIENCE_S: Final = 60.0
"""So long the next block may take."""
MOST: Final = 2_000
"""Messages that are being put together in one process."""
EXPONENT: Final = (MAX_BLOCK_BYTES // 16).bit_length() - 1
_MOST_BODIES: Final = 1_000

TOO_LARGE: Final = refusal(
    Code.REQUEST_ENTITY_TOO_LARGE, f"A message has at most {MAX_PAYLOAD_BYTES} bytes; split the list of readings."
)._replace(size1=MAX_PAYLOAD_BYTES)
_INCOMPLETE: Final = refusal(
    Code.REQUEST_ENTITY_INCOMPLETE, "A block before this one is missing; begin again with block 0."
)
_NO_BLOCK: Final = refusal(Code.BAD_REQUEST, "A block that others follow is 16 to 1024 bytes long, as its size says.")
_GONE: Final = refusal(Code.BAD_REQUEST, "There is no such block; begin again with block 0.")


@dataclass(slots=True)
class _Assembly:
    """A message on its way in; what it takes of the process' room is counted until it is whole or given up."""

    tenant_id: UUID
    keeping: AbstractContextManager[Held]
    held: Held
    until: float = 0.0
    media: int | None = None
    data: bytearray = field(default_factory=bytearray)


class Assemblies:
    """What comes in blocks: one message at a time for each key; raises Full when there is no room."""

    def __init__(self, room: Room, most: int = MOST) -> None:
        self._room = room
        self._most = most
        self._of: OrderedDict[Hashable, _Assembly] = OrderedDict()
        self._of_tenant: Counter[UUID] = Counter()

    def add(self, key: Hashable, device: Decision, block: Any, part: bytes, media: int | None) -> bytes | Answer:
        """The whole message when this was its last block, else what to answer. Raises Full."""
        number, more, exponent = block.block_number, block.more, block.size_exponent
        size = 16 << exponent
        if exponent > 6 or (more and len(part) != size) or len(part) > size:
            return self._drop(key, _NO_BLOCK)
        self._forget_old()
        if number == 0:
            self._drop(key)
            self._begin(key, device, media)
        assembly = self._of.get(key)
        if assembly is None or len(assembly.data) != number * size or assembly.media != media:
            return self._drop(key, _INCOMPLETE)
        if len(assembly.data) + len(part) > MAX_PAYLOAD_BYTES:
            return self._drop(key, TOO_LARGE)
        try:
            assembly.held.take(len(part))
        except BaseException:
            self._drop(key)
            raise
        assembly.data += part
        if more:
            assembly.until = time.monotonic() + PATIENCE_S
            self._of.move_to_end(key)
            return Answer(Code.CONTINUE, block1=(number, True, exponent))
        whole = bytes(assembly.data)
        self._drop(key)
        return whole

    def _begin(self, key: Hashable, device: Decision, media: int | None) -> None:
        while len(self._of) >= self._most:  # of the tenant that has most, the one that was silent longest
            ((fullest, _),) = self._of_tenant.most_common(1)
            self._drop(next(each for each, assembly in self._of.items() if assembly.tenant_id == fullest))
        keeping = self._room.held(device)
        held = keeping.__enter__()
        self._of[key] = _Assembly(device.tenant_id, keeping, held, time.monotonic() + PATIENCE_S, media)
        self._of_tenant[device.tenant_id] += 1

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._of and next(iter(self._of.values())).until < now:
            self._drop(next(iter(self._of)))

    def _drop(self, key: Hashable, answer: Answer = _INCOMPLETE) -> Answer:
        assembly = self._of.pop(key, None)
        if assembly is not None:
            self._of_tenant -= Counter([assembly.tenant_id])  # without those that have none left
            assembly.keeping.__exit__(None, None, None)
        return answer


@dataclass(slots=True)
class _Body:
    """A long answer, kept while its device fetches it; `fetched` hears once whether it has."""

    data: bytes
    media: int
    etag: bytes
    until: float
    fetched: Callable[[bool], None]


class Bodies:
    """Long answers: the newest of each device."""

    def __init__(self, most: int = _MOST_BODIES) -> None:
        self._most = most
        self._of: OrderedDict[UUID, _Body] = OrderedDict()

    def first(
        self, device_id: UUID, data: bytes, media: int, fetched: Callable[[bool], None], block: Block | None = None
    ) -> Answer:
        """The first block of this, or all of it if it is short."""
        exponent = min(EXPONENT, block[2] if block else EXPONENT)
        if len(data) <= 16 << exponent:
            fetched(True)
            return Answer(Code.CONTENT, data, media)
        self.drop(device_id)
        while len(self._of) >= self._most:
            self.drop(next(iter(self._of)))
        etag = blake2b(data, digest_size=4).digest()
        self._of[device_id] = _Body(data, media, etag, time.monotonic() + EXCHANGE_LIFETIME_S, fetched)
        return self.part(device_id, (0, False, exponent))

    def part(self, device_id: UUID, block: Block) -> Answer:
        """One block of what was begun."""
        number, _, exponent = block
        exponent = min(exponent, EXPONENT)
        body, size = self._of.get(device_id), 16 << exponent
        if body is None or body.until < time.monotonic() or number * size >= len(body.data):
            return _GONE
        end = (number + 1) * size
        if end >= len(body.data):
            body.fetched(True)
        part = body.data[number * size : end]
        return Answer(Code.CONTENT, part, body.media, block2=(number, end < len(body.data), exponent), etag=body.etag)

    def drop(self, device_id: UUID) -> None:
        """It is not fetched any more."""
        body = self._of.pop(device_id, None)
        if body is not None:
            body.fetched(False)
