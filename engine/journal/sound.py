"""Whether a journal entry says what its kind must say: one that does not is passed over, and stops nobody."""

from collections.abc import Callable, Mapping
from uuid import UUID

from engine.journal.model import Entry

_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_LARGEST = 2**63 - 1


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _is_whole(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _is_time(value: object) -> bool:
    return _is_whole(value, _LAST_MS)


def _is_count(value: object) -> bool:
    return _is_whole(value, _LARGEST)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_text_or_nothing(value: object) -> bool:
    return value is None or _is_text(value)


def _is_ids_or_nothing(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_id, value)))


def _is_time_or_nothing(value: object) -> bool:
    return value is None or _is_time(value)


def _is_id_or_nothing(value: object) -> bool:
    return value is None or _is_id(value)


_REACHED: Mapping[str, Callable[[object], bool]] = {
    **{"rule": _is_id, "after": _is_id_or_nothing, "by": _is_ids_or_nothing},
    **{"since": _is_time_or_nothing, "zone": _is_text_or_nothing},
}


def _has(needed: Mapping[str, Callable[[object], bool]], body: object) -> bool:
    return isinstance(body, dict) and all(is_right(body.get(name)) for name, is_right in needed.items())


def _are_reached(value: object) -> bool:
    return isinstance(value, list) and all(_has(_REACHED, each) for each in value)


def _are_moves(value: object) -> bool:
    return isinstance(value, list) and all(_has(_MOVED, each) for each in value)


def _are_counts(value: object) -> bool:
    """Six numbers that keep what they are added to true: received = stored + duplicates + rejected + refused."""
    if not (isinstance(value, list) and len(value) == 6 and all(type(each) is int for each in value)):
        return False
    return value[0] == sum(value[1:5]) and all(abs(each) <= _LARGEST for each in value)


_DEVICE = {"device": _is_id}
_MOVED: Mapping[str, Callable[[object], bool]] = {**_DEVICE, "at": _is_time, "counts": _are_counts}
_SESSION = {**_DEVICE, "at": _is_time, "epoch": _is_count, "reason": _is_text_or_nothing}
_NEEDED: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("device.provisioned", "device.arrived", "device.decommissioned"), _DEVICE),
    "device.changed": {**_DEVICE, "by": _is_ids_or_nothing},
    **dict.fromkeys(("device.suspended", "device.resumed", "device.quarantined", "device.released"), _DEVICE),
    **dict.fromkeys(("device.connected", "device.disconnected"), _SESSION),
    "device.event": {**_DEVICE, "type": _is_text},
    "device.refused": {
        **{"device": _is_id_or_nothing, "why": _is_text, "count": _is_count, "first": _is_time, "last": _is_time}
    },
    "rule.changed": {"rule": _is_id},
    "rules.reached": {"rest": _are_reached},
    "tenant.time_zone_set": {"time_zone": _is_text},
    "group.changed": {"group": _is_id},
    "inbox.settled": {"moved": _are_moves},
    "rule.noticed": {"subject": _is_text, "notice": _is_text, "message": _is_text},
    "points.said": {**_DEVICE, "at": _is_time},
    "command.sent": {"command": _is_id, "at": _is_time},
    "command.answered": {"command": _is_id, "at": _is_time, **_DEVICE, "status": _is_text},
}


def is_sound(entry: Entry) -> bool:
    """Whether whoever reacts to the entry finds in it what its kind promises; of other kinds nobody expects anything.

    Telemetry is not looked at: ingest writes it, as one document for many readings.
    """
    needed = _NEEDED.get(entry.kind)
    return needed is None or _has(needed, entry.body)
