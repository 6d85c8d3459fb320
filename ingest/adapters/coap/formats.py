"""What a device posts over CoAP becomes the JSON that MQTT would have carried: one pipeline reads one language."""

import io
import math
from datetime import datetime
from typing import Any, Final

import cbor2
import orjson

from ingest import decode
from ingest.adapters.coap import senml
from ingest.errors import Rejection, shown
from schema.wire.coap import CBOR, JSON, SENML_CBOR, SENML_JSON
from schema.wire.payloads import MAX_DEPTH, Reason

_TAGS: Final = (2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000)
"""Those that the library would act upon: a big number grows without bound, a shared value can hold itself."""
_IT_IS_CBOR: Final = b"\xd9\xd9\xf7"
"""The tag 55799, which says nothing about what follows but that it is CBOR (RFC 8949, section 3.4.6)."""
_DEPTH: Final = MAX_DEPTH + 4
"""What a reading and a list of readings lie in, above the depth of a value."""
_WORDS_CHARS: Final = 200


def as_json(payload: bytes, media: int, device: str, received_ms: int) -> bytes:
    """The payload in JSON. Rejection when it is not what it is called; of JSON itself the pipeline says so."""
    if media == JSON or not payload:
        return payload
    if media == CBOR:
        return _written(_from_cbor(payload), Reason.NOT_CBOR)
    is_cbor = media == SENML_CBOR
    found = senml.readings(
        _from_cbor(payload) if is_cbor else decode.load(payload), device, received_ms, is_cbor=is_cbor
    )
    return _written(found[0] if len(found) == 1 else found, Reason.NOT_SENML)


def is_senml(media: int) -> bool:
    """Whether a format is for measurements alone."""
    return media in (SENML_JSON, SENML_CBOR)


def encoding(media: int) -> str:
    """What a format is called where it is told how a reading came."""
    return "senml" if is_senml(media) else "cbor" if media == CBOR else "json"


def cbor_of(said: bytes) -> bytes:
    """A JSON answer of ours in CBOR."""
    return cbor2.dumps(orjson.loads(said))


def _from_cbor(payload: bytes) -> Any:
    stream = io.BytesIO(payload.removeprefix(_IT_IS_CBOR))
    try:
        said = cbor2.CBORDecoder(
            stream, max_depth=_DEPTH, allow_duplicate_keys=False, semantic_decoders=dict.fromkeys(_TAGS, _refused)
        ).decode()
    except (cbor2.CBORError, ValueError, OverflowError, TypeError, RecursionError, MemoryError) as error:
        words = str(error)[:_WORDS_CHARS]  # a name that is there twice stands in them, however long it is
        raise Rejection(Reason.NOT_CBOR, f"This is not CBOR as it is taken here: {words}.") from None
    if stream.read(1):
        raise Rejection(Reason.NOT_CBOR, "Something follows the CBOR.")
    return _plain(said)


def _refused(*_: object) -> Any:
    raise cbor2.CBORDecodeError("this tag is not taken")


def _plain(value: Any) -> Any:
    """A decoded value in the types that JSON has; a time (tag 0 or 1) is its RFC 3339."""
    kind = type(value)
    if kind in (int, str, bool) or value is None:
        return value
    if kind is float:
        if math.isfinite(value):
            return value
    elif kind is dict:
        return {_key(key): _plain(each) for key, each in value.items()}
    elif kind is list:
        return [_plain(each) for each in value]
    elif value is cbor2.undefined:
        return None
    elif isinstance(value, datetime):
        return value.isoformat()
    what = "a byte string" if kind is bytes else shown(value)
    raise Rejection(Reason.NOT_CBOR, f"It holds {what}, for which JSON has nothing.")


def _key(key: Any) -> Any:
    """A name: text, or a number where SenML has labels."""
    if type(key) in (str, int):
        return key
    raise Rejection(Reason.NOT_CBOR, f"A name in it is {shown(key)}; names are text.")


def _written(said: Any, reason: Reason) -> bytes:
    try:
        return orjson.dumps(said)
    except TypeError as error:  # a name that is a number, or a number beyond 64 bits
        raise Rejection(reason, f"It cannot be read: {error}.") from None
