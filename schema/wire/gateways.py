"""What only a gateway says: whether it reaches a child, a device that it speaks for on `up/child/{child}/…`."""

from engine.commands.answer import MAX_REASON_CHARS

STATUS: tuple[str, dict[str, object], tuple[object, ...]] = (
    "Whether the gateway reaches the child now. A child that is heard is reached; with the gateway's session all end.",
    {
        "type": "object",
        "required": ["connected"],
        "properties": {
            "connected": {"type": "boolean"},
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
        },
    },
    ({"connected": True}, {"connected": False, "reason": "192.168.10.20:502 does not answer"}),
)
"""Summary, JSON Schema (2020-12) and examples, as the notes in payloads.py have them."""
