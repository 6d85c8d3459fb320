"""What a request over CoAP is answered with: HTTP's answers in CoAP's words, and those that only CoAP has."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson
from aiocoap import Message
from aiocoap.numbers.codes import Code

from ingest.adapters.base import RefusalReason
from ingest.adapters.coap.formats import cbor_of
from ingest.adapters.http.exchange import Answer as HttpAnswer
from ingest.adapters.mqtt.login import REFUSALS
from schema.wire import coap as wire
from schema.wire.http import HOME

Block = tuple[int, bool, int]
"""A block's number, whether more follow, and its size exponent: 2^(4 + exponent) bytes."""


class Answer(NamedTuple):
    """A response without its envelope. `again_in_s` becomes Max-Age; without a `media` the payload is words."""

    code: Code
    payload: bytes = b""
    media: int | None = None
    again_in_s: int | None = None
    block1: Block | None = None
    block2: Block | None = None
    etag: bytes | None = None
    observe: int | None = None
    size1: int | None = None
    echo: bytes | None = None

    def message(self) -> Message:
        """As a message, whose envelope is still open."""
        message = Message(code=self.code, payload=self.payload)
        given = {
            "content_format": self.media,
            "max_age": self.again_in_s,
            "block1": self.block1,
            "block2": self.block2,
            "etag": self.etag,
            "observe": self.observe,
            "size1": self.size1,
        }
        for name, value in given.items():
            if value is not None:
                setattr(message.opt, name, value)
        return message


def refusal(code: Code, words: str, again_in_s: int | None = None) -> Answer:
    """No, and why, in words (RFC 7252, section 5.5.2)."""
    return Answer(code, words.encode(), again_in_s=again_in_s)


TOO_MANY_REQUESTS: Final = Code.TOO_MANY_REQUESTS
_CODES: Final = {
    403: Code.FORBIDDEN,
    422: Code.UNPROCESSABLE_ENTITY,
    429: TOO_MANY_REQUESTS,
    503: Code.SERVICE_UNAVAILABLE,
}
_STATUS: Final[dict[RefusalReason, tuple[Code, int | None]]] = {
    "revoked": (Code.UNAUTHORIZED, None),
    "jwt_unfit": (Code.UNAUTHORIZED, None),
    "jwt_early": (Code.UNAUTHORIZED, None),
    "jwt_expired": (Code.UNAUTHORIZED, None),
    "suspended": (Code.FORBIDDEN, None),
    "pending": (Code.FORBIDDEN, 60),
    "turned_away": (Code.FORBIDDEN, None),
    "throttled": (TOO_MANY_REQUESTS, 60),
    "unavailable": (Code.SERVICE_UNAVAILABLE, 5),
}
STRANGER: Final = refusal(Code.UNAUTHORIZED, f"Show a good device token as the query {wire.TOKEN}=.")
IN_THE_CLEAR: Final = refusal(Code.UNAUTHORIZED, "No token is taken in the clear here; protect the request (OSCORE).")
REFUSED: Final[dict[RefusalReason, Answer]] = {
    "bad_credentials": STRANGER,
    **{reason: refusal(code, REFUSALS[reason].words, again) for reason, (code, again) in _STATUS.items()},
}
NOT_FOUND: Final = refusal(Code.NOT_FOUND, f"Devices use {HOME}{{device}}/telemetry and what is beside it.")
ANOTHERS: Final = refusal(Code.FORBIDDEN, "These credentials are good, and those of another device.")
STOPPING: Final = refusal(Code.SERVICE_UNAVAILABLE, "This process ends; ask again.", 1)
CROWDED: Final = refusal(Code.SERVICE_UNAVAILABLE, "Too many devices wait here at the moment; ask again soon.", 5)
BUSY: Final = refusal(Code.SERVICE_UNAVAILABLE, "Too much is on its way: nothing was kept. Send it again soon.", 1)
NOT_READ: Final = refusal(Code.SERVICE_UNAVAILABLE, "What waits cannot be read now; ask again soon.", 5)
NEWER: Final = refusal(Code.CONFLICT, "The device has asked again; one question of a device waits at a time.")
FAILED: Final = refusal(Code.INTERNAL_SERVER_ERROR, "This went wrong on our side.")
NO_PROXY: Final = refusal(Code.PROXYING_NOT_SUPPORTED, "This is no proxy.")
NOT_A_FORMAT: Final = refusal(
    Code.UNSUPPORTED_CONTENT_FORMAT,
    f"Send {', '.join(f'{name} ({number})' for number, name in wire.FORMATS.items())}; SenML for telemetry alone.",
)
NOT_ACCEPTED: Final = refusal(
    Code.NOT_ACCEPTABLE, f"Answers come in {wire.FORMATS[wire.JSON]} (50) or {wire.FORMATS[wire.CBOR]} (60)."
)
_WORDS_BYTES: Final = 512
"""Of a refusal: reasons in words, well within a datagram."""


def of_http(answer: HttpAnswer, accept: int | None) -> Answer:
    """What a message was answered with, as over HTTP: stored, or why not."""
    if answer.status == 200:
        said = orjson.loads(answer.body)
        if said["status"] == "stored" and not (said["rejected"] or said["duplicates"] or "left_out" in said):
            return Answer(Code.CHANGED)
        body = (
            answer.body
            if len(answer.body) <= wire.MAX_BLOCK_BYTES
            else orjson.dumps(said | {name: said[name][:2] for name in ("reasons", "left_out") if name in said})
        )
        return Answer(Code.CHANGED, *in_format(body, accept))
    said = orjson.loads(answer.body)
    words = " ".join([said["detail"], *(f"{each['reason']}: {each['detail']}" for each in said.get("reasons", ()))])
    return refusal(_CODES[answer.status], words[:_WORDS_BYTES], answer.again_in_s)


def in_format(body: bytes, accept: int | None) -> tuple[bytes, int]:
    """A JSON document as it was asked for, and its Content-Format."""
    return (cbor_of(body), wire.CBOR) if accept == wire.CBOR else (body, wire.JSON)


def shorter(answer: Answer, room: int) -> Answer:
    """With fewer words, so that who proved nothing is not sent more than they are worth (RFC 7252, section 11.3)."""
    return answer._replace(payload=answer.payload[: max(0, room)].decode(errors="ignore").encode())
