"""What BACnet devices say, as the edge says it, and back: values, status flags, reliability."""

import math
import struct

from bacpypes3.basetypes import BinaryPV
from bacpypes3.primitivedata import (
    Boolean,
    CharacterString,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectType,
    Real,
    Unsigned,
)

from ingest.edge.bacnet.words import Refused
from ingest.edge.driver import Quality, Sample
from ingest.edge.points import Point, Raw
from ingest.edge.single import shortest
from ingest.edge.usable import Unusable, check_type, text_of
from schema.wire.payloads import MAX_STRING_CHARS

_FAULT, _OVERRIDDEN, _OUT_OF_SERVICE = 1, 2, 3
"""Of the four status flags (ASHRAE 135, 21: in-alarm is the first)."""

TYPES = {
    **dict.fromkeys(("analog-input", "analog-output", "analog-value"), "float32"),
    **dict.fromkeys(("binary-input", "binary-output", "binary-value"), "bool"),
    **dict.fromkeys(("multi-state-input", "multi-state-output", "multi-state-value"), "uint32"),
    **{"large-analog-value": "float64", "integer-value": "int32", "positive-integer-value": "uint32"},
    **{"accumulator": "uint32", "characterstring-value": "string"},
}
"""The point table's word for the present value of the objects that have a plain one."""
_WRITABLE = ("-output", "-value")


def sample(point: Point, value: object, flags: object = None, reliability: object = None) -> Sample:
    """What a device said of a point, with the status flags beside it."""
    if _is_set(flags, _FAULT):
        why = f" ({reliability})" if reliability is not None and str(reliability) != "no-fault-detected" else ""
        return Sample(point, error=f"The device says that the value is faulty{why}.", quality="bad")
    try:
        raw = raw_of(value)
        check_type(point, raw, "property")
    except Unusable as error:
        return Sample(point, error=str(error), quality="bad")
    quality: Quality = "uncertain" if _is_set(flags, _OVERRIDDEN) or _is_set(flags, _OUT_OF_SERVICE) else "good"
    return Sample(point, raw=raw, quality=quality)


def raw_of(value: object) -> Raw:
    """A property's value as a raw value. Raises Unusable."""
    if isinstance(value, Exception):
        raise Unusable("The device sent a value of another type than the object has; look at the device.")
    if value is None or isinstance(value, Null):
        raise Unusable("The property has no value.")
    if isinstance(value, Boolean | BinaryPV):
        return bool(int(value))
    if isinstance(value, Real | Double | float):
        if not math.isfinite(value):
            raise Unusable(f"The value is {float(value)}, which is no number.")
        return float(value) if isinstance(value, Double) else shortest(float(value))
    if isinstance(value, Enumerated):
        return str(value)[:MAX_STRING_CHARS]
    if isinstance(value, Unsigned | Integer):
        return int(value)
    if isinstance(value, CharacterString):
        return text_of(str(value))
    raise Unusable(f"The property is a {type(value).__name__}, which no reading can hold.")


def property_value(value: object, property_type: type) -> object:
    """A value as the property's own type. Raises Refused when it does not fit; None gives back what was commanded."""
    if value is None:
        return Null(())
    if issubclass(property_type, Real | Double):
        return property_type(_number(value, is_single=not issubclass(property_type, Double)))
    if issubclass(property_type, Boolean | BinaryPV):
        if not isinstance(value, bool):
            raise Refused(f"The object takes true or false, not {value!r}.")
        return property_type(int(value)) if issubclass(property_type, BinaryPV) else property_type(value)
    if issubclass(property_type, CharacterString):
        if not isinstance(value, str):
            raise Refused(f"The object takes a text, not {value!r}.")
        return property_type(value)
    if issubclass(property_type, Unsigned | Integer | Enumerated):
        return _whole(value, property_type)
    raise Refused(f"The property is a {property_type.__name__}, which the edge cannot write.")


def type_of(object_type: ObjectType) -> str | None:
    """The type of an object's present value in a point table, None for objects without a plain one."""
    return TYPES.get(str(object_type))


def access_of(object_type: ObjectType) -> str:
    """What an object of this type mostly lets be done."""
    return "read-write" if str(object_type).endswith(_WRITABLE) else "read"


def _number(value: object, *, is_single: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"The object takes a number, not {value!r}.")
    try:
        if is_single:
            struct.pack("<f", value)
        return float(value)
    except OverflowError:
        raise Refused(f"{value!r} is too large for the object.") from None


def _whole(value: object, property_type: type) -> object:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int):
        raise Refused(f"The object takes a whole number, not {value!r}.")
    low, high = (-(2**31), 2**31 - 1) if issubclass(property_type, Integer) else (0, 2**32 - 1)
    if not low <= whole <= high:
        raise Refused(f"The object takes {low} to {high}, not {value!r}.")
    return property_type(whole)


def _is_set(flags: object, which: int) -> bool:
    try:
        return bool(flags[which])  # type: ignore[index]
    except (TypeError, IndexError):
        return False
