"""What a device posts: read within bounds, unpacked, handed to the pipeline, and answered when it is committed."""

from __future__ import annotations

import asyncio
import itertools
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Protocol

import orjson

from ingest.adapters.base import Account, Decision, Message, Unkeyed, Uplink, Verdict
from ingest.adapters.http.exchange import Answer, Exchange, problem
from ingest.adapters.http.room import Full, Held, Room
from ingest.encode import written
from schema.wire.http import KEPT_H, MAX_KEY_CHARS
from schema.wire.payloads import MAX_PAYLOAD_BYTES

ANSWERED_WITHIN_S: Final = 20.0
"""The pipeline gives up sooner (`Writer`, `Directory`); should it ever not, nobody waits longer."""
REASONS_TOLD: Final = 20

_PACKED: Final = (b"gzip", b"x-gzip")
_GZIP: Final = 31  # zlib's word for a gzip header and trailer, and nothing else

UNAVAILABLE: Final = problem(503, "UNAVAILABLE", "The store is away: nothing was kept. Send it again soon.", 5)
BUSY: Final = problem(503, "BUSY", "Too much is on its way at the moment: nothing was kept. Send it again soon.", 1)

_NO: Final[dict[Verdict, Answer]] = {
    Verdict.NOT_AUTHORISED: problem(403, "NOT_AUTHORISED", "This device has lost its right to send."),
    Verdict.QUOTA: problem(429, "QUOTA_EXCEEDED", "The quota is used up; this message was not kept.", 1),
    Verdict.UNAVAILABLE: UNAVAILABLE,
}
_TOO_LARGE: Final = problem(
    413, "BODY_TOO_LARGE", f"A message has at most {MAX_PAYLOAD_BYTES} bytes, unpacked too; split the list of readings."
)._replace(more=((b"connection", b"close"),))  # or what is not read yet would be, to reach the next request
_NOT_JSON: Final = problem(415, "NOT_JSON", "Send JSON as application/json, plain or with Content-Encoding: gzip.")
_NOT_GZIP: Final = problem(400, "NOT_GZIP", "The body is called gzip and is not one whole gzip stream.")
_KEY: Final = problem(
    400, "IDEMPOTENCY_KEY_UNFIT", f"An Idempotency-Key has 1 to {MAX_KEY_CHARS} visible ASCII characters."
)
_UNKEYED: Final[dict[str, Answer]] = {
    "reused": problem(
        422,
        "IDEMPOTENCY_KEY_REUSED",
        f"This Idempotency-Key stood for another message within {KEPT_H} hours; choose a new key.",
    ),
    "too_many": problem(
        429, "TOO_MANY_KEYS", "This device used too many Idempotency-Keys this hour; send times or lists instead.", 600
    ),
    "unavailable": UNAVAILABLE,
}


Still = Callable[[], Awaitable[Decision]]


class Keys(Protocol):
    """Knows when a device used an Idempotency-Key first."""

    async def first_ms(self, device: Decision, key: str, said: bytes) -> int:
        """Epoch ms of the first message under this key; raises Unkeyed."""
        ...


class Receipt(Account):
    """One message's verdict, and which of its readings were not stored."""

    __slots__ = ("duplicates", "lacking", "rejections", "verdict")

    def __init__(self) -> None:
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.duplicates = 0
        self.rejections: list[tuple[object, str, str]] = []
        self.lacking: list[tuple[object, Mapping[str, tuple[str, str]]]] = []

    def __call__(self, verdict: Verdict) -> None:
        if not self.verdict.done():  # its client may have gone
            self.verdict.set_result(verdict)

    def duplicate(self) -> None:
        """One reading was stored before."""
        self.duplicates += 1

    def rejected(self, sent: object, reason: str, words: str) -> None:
        """One reading lies in the inbox."""
        self.rejections.append((sent, reason, words))

    def left_out(self, sent: object, metrics: Mapping[str, tuple[str, str]]) -> None:
        """One reading is stored without these."""
        self.lacking.append((sent, metrics))


class Messages:
    """The uplink of all requests of a process."""

    def __init__(
        self, uplink: Uplink, keys: Keys, refused: Callable[[Decision, str], None], room: Room | None = None
    ) -> None:
        """`refused` counts a message that never reaches the uplink (D3)."""
        self._uplink = uplink
        self._keys = keys
        self._refused = refused
        self._room = room or Room()

    async def take(self, exchange: Exchange, device: Decision, topic: str, still: Still | None = None) -> Answer:
        """Take what a device posts; the answer comes after COMMIT. Raises Gone.

        `still` asks again who it is, for a body may be long on its way; raises Refused.
        """
        receipt = Receipt()
        try:
            message = await self._submitted(exchange, device, topic, still, receipt)
        except Full:
            return BUSY
        if isinstance(message, Answer):
            if message.status != 503:
                self._refused(device, "request")
            return message
        try:
            verdict = await asyncio.wait_for(receipt.verdict, ANSWERED_WITHIN_S)
        except TimeoutError:
            return UNAVAILABLE
        return answered(verdict, receipt, message.payload)

    async def _submitted(
        self, exchange: Exchange, device: Decision, topic: str, still: Still | None, receipt: Receipt
    ) -> Message | Answer:
        """Hand a message to the pipeline, which counts it from then on. Raises Full."""
        if self._uplink.is_full:
            return BUSY
        with self._room.held(device) as held:
            message = await self._message(exchange, device, topic, held)
            if isinstance(message, Answer):
                return message
            if still is not None:
                message.device = await still()
            if self._uplink.is_full:  # it was not when this began to be read, and so of many others
                return BUSY
            self._uplink.submit(message, receipt)
        return message

    async def _message(self, exchange: Exchange, device: Decision, topic: str, held: Held) -> Message | Answer:
        body = await _body(exchange, held)
        if isinstance(body, Answer):
            return body
        message = Message(device, topic, body, 1, time.time(), transport="http")
        key = exchange.header(b"idempotency-key")
        return (await self._recognise(message, key) or message) if key else message

    async def _recognise(self, message: Message, key: bytes) -> Answer | None:
        """A repeat is received when the first one was, so that it is judged, stamped and stored as that was."""
        if not (len(key) <= MAX_KEY_CHARS and all(33 <= byte <= 126 for byte in key)):
            return _KEY
        if not self._uplink.may_send(message.device):  # before a row is written of its key
            return _NO[Verdict.QUOTA]
        said = message.topic.encode() + b"\0" + message.payload
        try:
            first_ms = await self._keys.first_ms(message.device, key.decode(), said)
        except Unkeyed as unkeyed:
            return _UNKEYED[unkeyed.reason]
        message.arrived_at = message.received_at
        message.received_at = (first_ms + 0.5) / 1000  # in the midst of its millisecond, whatever is rounded
        message.dup = True  # an event has no key of its own: it is known again by this, for a while
        message.packet_id = int.from_bytes(blake2b(key, digest_size=7).digest())
        return None


async def _body(exchange: Exchange, held: Held) -> bytes | Answer:
    if exchange.header(b"content-type") and not exchange.says_json:
        return _NOT_JSON
    encoding = exchange.header(b"content-encoding").strip().lower()
    if encoding not in (b"", b"identity", *_PACKED):
        return _NOT_JSON
    if int(exchange.header(b"content-length") or b"0") > MAX_PAYLOAD_BYTES:  # it is a number: the parser has looked
        return _TOO_LARGE
    body = await exchange.read(MAX_PAYLOAD_BYTES, held.take)
    if body is None:
        return _TOO_LARGE
    if encoding not in _PACKED:
        return body
    plain = unpack(body)
    if isinstance(plain, bytes):
        held.take(max(0, len(plain) - len(body)))
    return plain


def unpack(body: bytes) -> bytes | Answer:
    """What one gzip stream holds; never more is unpacked than a message may have."""
    stream = zlib.decompressobj(_GZIP)
    try:
        plain = stream.decompress(body, MAX_PAYLOAD_BYTES + 1)
    except zlib.error:
        return _NOT_GZIP
    if len(plain) > MAX_PAYLOAD_BYTES:
        return _TOO_LARGE
    return plain if stream.eof and not stream.unused_data else _NOT_GZIP


def answered(verdict: Verdict, receipt: Receipt, payload: bytes) -> Answer:
    """What a message of this verdict is answered with."""
    if verdict in _NO:
        return _NO[verdict]
    if verdict is Verdict.STORED and not receipt.rejections and not receipt.duplicates and not receipt.lacking:
        return _STORED
    rejected = len(receipt.rejections)
    of = _Places(payload)
    reasons = _reasons(receipt, of)
    if verdict is Verdict.REJECTED:
        words = "Nothing of this was stored; it lies in the tenant's inbox. Do not send it again as it is."
        return problem(422, "REJECTED", words, rejected=rejected, reasons=reasons)
    status = "stored" if verdict is Verdict.STORED else "duplicate"
    return Answer(200, _told(status, receipt.duplicates, rejected, reasons, _left_out(receipt, of)))


def _told(
    status: str, duplicates: int = 0, rejected: int = 0, reasons: object = (), left_out: Sequence[object] = ()
) -> bytes:
    said = {"status": status, "duplicates": duplicates, "rejected": rejected, "reasons": reasons}
    return orjson.dumps({**said, "left_out": left_out} if left_out else said)


_STORED: Final = Answer(200, _told("stored"))


def _reasons(receipt: Receipt, places: _Places) -> list[dict[str, object]]:
    """Why the first few were rejected, each with its place in the list that was sent."""
    return [
        {"reading": places.of(sent), "reason": reason, "detail": words}
        for sent, reason, words in receipt.rejections[:REASONS_TOLD]
    ]


def _left_out(receipt: Receipt, places: _Places) -> list[dict[str, object]]:
    """Which metrics were left out of readings that are stored, and why; of the first few."""
    told = [
        {"reading": place, "metric": key, "reason": reason, "detail": words}
        for sent, metrics in receipt.lacking[:REASONS_TOLD]
        for place in [places.of(sent)]
        for key, (reason, words) in itertools.islice(metrics.items(), REASONS_TOLD)
    ]
    return told[:REASONS_TOLD]


class _Places:
    """Where in a list of readings each stands: the pipeline passes on what was sent, and does not count."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._places: dict[bytes, list[int]] | None = None

    def of(self, sent: object) -> int:
        """0 for what came alone; of two that are the same each has a place of its own."""
        if isinstance(sent, bytes):
            return 0
        if self._places is None:
            self._places = {}
            for place, item in enumerate(orjson.loads(self._payload)):
                self._places.setdefault(written(item), []).append(place)
        same = self._places[written(sent)]
        return same.pop(0) if same else 0
