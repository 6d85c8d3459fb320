"""The paths under which devices reach the platform over HTTP: a topic's tail, in the words of a path.

What comes by a path goes through the same pipeline as what is published to the topic, and is answered after COMMIT.
"""

import re
from collections.abc import Mapping

from schema.wire.topics import PARAMETERS, UP, pattern

HOME = "/ingest/v1/"
"""A path begins with this and the device's key; whose device it is, the credential says."""

UP_PATHS: Mapping[str, str] = {
    "telemetry": "telemetry",
    "telemetry_stream": "telemetry/{stream}",
    "event": "events/{type}",
    "command_ack": "commands/{id}/ack",
    "command_result": "commands/{id}/result",
}
"""What a device may POST: name in `topics.UP` → path below its own."""

COMMANDS_PATH = "commands"
"""What a device may GET: the commands that wait for it."""

MAX_WAIT_S = 60
WAIT_S = 30
"""How long such a GET may wait for a command, and how long it does unless it says so."""

MAX_KEY_CHARS = 64
KEPT_H = 24
"""An Idempotency-Key is so long at most, and is known for so long."""

_HOME = re.compile(rf"{HOME}({PARAMETERS['device']})/(.+)")
_UP = [(pattern(path), UP[name]) for name, path in UP_PATHS.items()]


def parse(path: str) -> tuple[str, str] | None:
    """The device's key and the rest of a path; None when it is none of a device's."""
    match = _HOME.fullmatch(path)
    return (match[1], match[2]) if match else None


def up_tail(rest: str) -> str | None:
    """The tail of the topic that the rest of a path stands for, `up/event/door` for `events/door`."""
    for each, tail in _UP:
        if match := each.fullmatch(rest):
            return tail.format(**match.groupdict())
    return None
