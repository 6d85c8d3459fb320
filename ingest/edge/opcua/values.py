"""What an OPC-UA server says, as the edge says it, and back: values, quality, times."""

import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from asyncua import ua

from engine import clock
from ingest.edge.driver import Quality, Sample
from ingest.edge.opcua.errors import Refused, status_words
from ingest.edge.points import Point, Raw
from ingest.edge.single import shortest
from ingest.edge.usable import Unusable, check_type, text_of

_V = ua.VariantType
_WHOLE: Mapping[ua.VariantType, tuple[int, int]] = {
    _V.SByte: (-(2**7), 2**7 - 1),
    _V.Byte: (0, 2**8 - 1),
    _V.Int16: (-(2**15), 2**15 - 1),
    _V.UInt16: (0, 2**16 - 1),
    _V.Int32: (-(2**31), 2**31 - 1),
    _V.UInt32: (0, 2**32 - 1),
    _V.Int64: (-(2**63), 2**63 - 1),
    _V.UInt64: (0, 2**64 - 1),
}
_TYPES: Mapping[ua.VariantType, str] = {
    _V.Boolean: "bool",
    _V.SByte: "int16",
    _V.Byte: "uint16",
    _V.Int16: "int16",
    _V.UInt16: "uint16",
    _V.Int32: "int32",
    _V.UInt32: "uint32",
    _V.Int64: "int64",
    _V.UInt64: "uint64",
    _V.Float: "float32",
    _V.Double: "float64",
    _V.String: "string",
    _V.LocalizedText: "string",
    _V.DateTime: "string",
    _V.Guid: "string",
}
_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


def sample(point: Point, said: ua.DataValue) -> Sample:
    """What the server said of a point. A bad status has no value, whatever stands beside it."""
    at_ms = source_ms(said)
    status = said.StatusCode.value if said.StatusCode is not None else 0
    quality = quality_of(status)
    if quality == "bad":
        return Sample(point, error=status_words(status), quality="bad", source_ms=at_ms)
    try:
        raw = raw_of(said.Value)
        check_type(point, raw, "node")
    except Unusable as error:
        return Sample(point, error=str(error), quality="bad", source_ms=at_ms)
    return Sample(point, raw=raw, quality=quality, source_ms=at_ms)


def quality_of(status: int) -> Quality:
    """The severity of a status code (Part 4, 7.39): its two highest bits; 11 is reserved and counts as bad."""
    severity = status >> 30
    return "good" if severity == 0 else "uncertain" if severity == 1 else "bad"


def source_ms(said: ua.DataValue) -> int | None:
    """When the value was so: by the source's clock, else the server's, else nobody knows."""
    for at in (said.SourceTimestamp, said.ServerTimestamp):
        if at is not None:
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            if at > _OLDEST:
                return clock.to_ms(at)
    return None


def raw_of(variant: ua.Variant | None) -> Raw:
    """A variant as a raw value. Raises Unusable for what is none: arrays, structures, NaN, texts without end."""
    if variant is None or variant.Value is None:
        raise Unusable("The node has no value.")
    value = variant.Value
    if variant.is_array or isinstance(value, list | tuple):
        raise Unusable("The node is an array; name a node with one value.")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unusable(f"The value is {value}, which is no number.")
        return shortest(value) if variant.VariantType == _V.Float else value
    return _text(value)


def type_of(variant_type: ua.VariantType) -> str:
    """The point table's word for a node's type; "auto" for what it has none for."""
    return _TYPES.get(variant_type, "auto")


def is_usable(variant_type: ua.VariantType) -> bool:
    """Whether a node of this type has values that a reading can hold."""
    return variant_type in _TYPES


def variant_of(value: object, variant_type: ua.VariantType) -> ua.Variant:
    """A value as the node's own type. Raises Refused when it does not fit."""
    if variant_type == _V.Boolean:
        if not isinstance(value, bool):
            raise Refused(f"The node takes true or false, not {value!r}.")
        return ua.Variant(value, _V.Boolean)
    if variant_type in _WHOLE:
        return ua.Variant(_whole(value, variant_type), variant_type)
    if variant_type in (_V.Float, _V.Double):
        return ua.Variant(_number(value, variant_type), variant_type)
    if variant_type == _V.String:
        if not isinstance(value, str):
            raise Refused(f"The node takes a text, not {value!r}.")
        return ua.Variant(value, _V.String)
    return _other_variant(value, variant_type)


def _other_variant(value: object, variant_type: ua.VariantType) -> ua.Variant:
    if variant_type == _V.Variant and isinstance(value, bool | int | float | str):  # "any": the server knows no better
        return ua.Variant(value)
    if isinstance(value, str):
        try:
            if variant_type == _V.LocalizedText:
                return ua.Variant(ua.LocalizedText(value), variant_type)
            if variant_type == _V.DateTime:
                return ua.Variant(datetime.fromisoformat(value).astimezone(UTC), variant_type)
            if variant_type == _V.Guid:
                return ua.Variant(UUID(value), variant_type)
        except ValueError as error:
            raise Refused(f"The node takes a {variant_type.name}, which {value!r} is not.") from error
    raise Refused(f"The node is a {variant_type.name}, which the edge cannot write from {value!r}.")


def _whole(value: object, variant_type: ua.VariantType) -> int:
    low, high = _WHOLE[variant_type]
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or not low <= whole <= high:
        raise Refused(f"The node takes a whole number from {low} to {high} ({variant_type.name}), not {value!r}.")
    return whole


def _number(value: object, variant_type: ua.VariantType) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"The node takes a number, not {value!r}.")
    try:
        if variant_type == _V.Float:
            struct.pack("<f", value)
        return float(value)
    except OverflowError as error:
        raise Refused(f"{value!r} is too large for the node ({variant_type.name}).") from error


def _text(value: Any) -> str:
    if isinstance(value, ua.LocalizedText):
        text = value.Text or ""
    elif isinstance(value, str | UUID):
        text = str(value)
    elif isinstance(value, datetime):
        text = (value.replace(tzinfo=UTC) if value.tzinfo is None else value).isoformat()
    else:
        raise Unusable(f"The node is a {type(value).__name__}, which no reading can hold.")
    return text_of(text)
