"""What a device may say of a command, and what that means.

``up/cmd/{id}/ack``: nothing, or ``{"status": "accepted" | "rejected", "reason"?: text}``.
``up/cmd/{id}/result``: nothing, or ``{"status": "succeeded" | "failed", "reason"?: text, "result"?: anything}``.
Nothing means that all is well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.commands.model import CommandStatus

MAX_REASON_CHARS = 500

MEANT: Mapping[str, Mapping[str, CommandStatus]] = {
    "ack": {"accepted": CommandStatus.ACKNOWLEDGED, "rejected": CommandStatus.REJECTED},
    "result": {"succeeded": CommandStatus.SUCCEEDED, "failed": CommandStatus.FAILED},
}
"""Which words an answer may hold, by its topic's last part, and where they lead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A device's answer: where its command stands by it, why (in the device's words), and what it gives back."""

    status: CommandStatus
    reason: str | None = None
    result: object = None


def read(what: str, said: object) -> Answer:
    """The answer ``said`` (parsed JSON, None for an empty payload) on a topic ending in ``what``.

    Raises ValueError with a sentence for the device's author.
    """
    words = MEANT[what]
    if said is None:
        return Answer(next(iter(words.values())))
    if not isinstance(said, Mapping):
        raise ValueError(f'Send {{"status": "{next(iter(words))}"}}, or nothing at all.')
    status = said.get("status")
    if not isinstance(status, str) or status not in words:
        raise ValueError(f'"status" must be one of: {", ".join(words)}.')
    known = {"status", "reason"} | ({"result"} if what == "result" else set())
    if unknown := sorted(set(map(str, said)) - known):
        raise ValueError(f'"{unknown[0][:40]}" is not known here; there are: {", ".join(sorted(known))}.')
    reason = said.get("reason")
    if reason is not None and not (isinstance(reason, str) and 0 < len(reason) <= MAX_REASON_CHARS):
        raise ValueError(f'"reason" must be a text of at most {MAX_REASON_CHARS} characters.')
    return Answer(words[status], reason, said.get("result"))
