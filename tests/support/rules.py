"""The rule that tests mean where they need just one: it says so when a cold room is too warm."""

from typing import Any


def too_warm(**over: Any) -> dict[str, Any]:
    """Its document, with what is to be otherwise."""
    return {
        "v": 1,
        "name": "Too warm",
        "severity": "major",
        "scope": {"profile": "cold-room"},
        "when": {"metric": "temperature", "op": ">", "value": 8},
        "then": [{"do": "alert"}],
        **over,
    }
