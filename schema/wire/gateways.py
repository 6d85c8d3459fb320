"""What only gateways say and hear: whether they reach a child, which points of machines they read."""

from collections.abc import Mapping

from engine.commands.answer import MAX_REASON_CHARS
from engine.points.model import MAX_PACKED_CHARS, MAX_PLACE, MAX_PLAIN_BYTES, MAX_PROBLEMS, MAX_WORDS

STATUS: tuple[str, dict[str, object], tuple[object, ...]] = (
    "Whether the gateway reaches the child; if not, why, in words for people, and since when. A child that is heard "
    "is reached; with the gateway's session all end. One that was never reached is told of as well.",
    {
        "type": "object",
        "required": ["connected"],
        "properties": {
            "connected": {"type": "boolean"},
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
            "since": {"type": ["integer", "string"], "description": "Epoch milliseconds or RFC 3339."},
        },
    },
    (
        {"connected": True},
        {"connected": False, "reason": "192.168.10.20:502 does not answer", "since": 1_769_860_800_000},
    ),
)
"""Summary, JSON Schema (2020-12) and examples, as the notes in payloads.py have them."""

_VERSION: Mapping[str, object] = {"type": "integer", "minimum": 0}
_PROBLEM: Mapping[str, object] = {
    "type": "object",
    "required": ["words"],
    "properties": {
        "line": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "place": {"type": "string", "maxLength": MAX_PLACE},
        "words": {"type": "string", "maxLength": MAX_WORDS},
    },
}

POINTS: tuple[str, dict[str, object], tuple[object, ...]] = (
    "The point table that the gateway's edge shall run: YAML or JSON as it was written. It is sent when the edge "
    "listens and runs another one, the newest only, at least once; the version tells a repeat.",
    {
        "type": "object",
        "required": ["version"],
        "oneOf": [{"required": ["text"]}, {"required": ["packed"]}],
        "properties": {
            "version": _VERSION,
            "text": {"type": "string", "maxLength": MAX_PLAIN_BYTES},
            "packed": {
                "type": "string",
                "maxLength": MAX_PACKED_CHARS,
                "description": f"A text of more than {MAX_PLAIN_BYTES} bytes: compressed (zlib), as base64.",
            },
        },
    },
    ({"version": 4, "text": "connections: {}\ndevices: {}\n"},),
)
"""As `STATUS`: what goes down."""

POINTS_SAID: tuple[str, dict[str, object], tuple[object, ...]] = (
    "Which point table the edge runs, 0 for that of its own file, and how many points it has; which one it refused, "
    "and why. Said when it connects, and of each table it gets. `local`: it takes none. `file`: while it runs that of "
    "its own file, that one without secrets, compressed (zlib) and as base64; left out where it is "
    "longer than one that goes down may be.",
    {
        "type": "object",
        "required": ["running", "points"],
        "properties": {
            "running": _VERSION,
            "points": _VERSION,
            "local": {"type": "boolean"},
            "file": {"type": "string", "maxLength": MAX_PACKED_CHARS},
            "refused": {
                "type": "object",
                "required": ["version"],
                "properties": {
                    "version": _VERSION,
                    "problems": {"type": "array", "maxItems": MAX_PROBLEMS, "items": _PROBLEM},
                },
            },
        },
    },
    (
        {"running": 4, "points": 120},
        {
            "running": 3,
            "points": 118,
            "refused": {"version": 4, "problems": [{"line": 7, "place": "", "words": "`host` is missing; add it."}]},
        },
    ),
)
"""As `STATUS`: what goes up."""
