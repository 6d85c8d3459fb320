"""What the pipeline refuses: a reading that cannot be stored, with the reason a person can act upon."""

from schema.wire.payloads import REMEDIES, Reason


class Rejection(Exception):
    """A reading cannot be stored; it belongs in the tenant's inbox.

    `reason` is a code of the wire's contract, `words` say what was found; `message` adds what to do about it. `about`
    is what the fault lies in (a metric's key), whatever value showed it: with the reason it tells faults apart.
    """

    def __init__(self, reason: Reason, words: str, about: str = "") -> None:
        super().__init__(reason, words)
        self.reason = reason
        self.words = words
        self.about = about

    @property
    def message(self) -> str:
        """What was found and what to do about it, in one line without control characters."""
        return f"{self.words} {REMEDIES[self.reason]}"


def shown(value: object, limit: int = 60) -> str:
    """A foreign value as it may stand in a message: short and printable, containers only by name.

    Containers are not spelled out because a hostile one is deep enough to break `repr`, or large.
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value[:limit] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
