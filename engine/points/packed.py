"""A point table's text as it travels when it is long: compressed, and in letters that JSON leaves as they are."""

import zlib
from base64 import b64decode, b64encode
from binascii import Error

from engine.points.model import MAX_TEXT_BYTES


def pack(text: str) -> str:
    """The text, packed; five thousand points become some tens of KiB."""
    return b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(packed: str) -> str:
    """The text again. Raises ValueError when it is none, or longer than a table may be."""
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(b64decode(packed, validate=True), MAX_TEXT_BYTES + 1)
    except (zlib.error, Error):
        raise ValueError("A packed table is compressed by zlib and written as base64.") from None
    if len(found) > MAX_TEXT_BYTES or not unpacking.eof:
        raise ValueError(f"A table has at most {MAX_TEXT_BYTES} bytes, and is packed as a whole.")
    text = found.decode()
    if "\0" in text:
        raise ValueError("A table has no character U+0000.")
    return text
