"""What the pipeline refuses: a reading that cannot be stored, with the reason a person can act upon."""

from collections.abc import Mapping

from schema.wire.payloads import REMEDIES, Reason

WORDS_OF_METRICS = 5
"""Of so many metrics that were left out it is said what was found; the others are counted."""


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


class LeftOut(Rejection):
    """Metrics that were left out of a reading whose rest is stored; reason and `about` are the first one's (ADR 79).

    `metrics` tells of each, by its name, what is wrong with it; `time_ms` and `seq` are those of what was stored.
    `whole` and `said` are all its values and quality as they came, canonical, by which its repeat is known.
    """

    def __init__(
        self, metrics: Mapping[str, Rejection], time_ms: int, seq: int, whole: bytes = b"", said: bytes = b""
    ) -> None:
        first = next(iter(metrics.values()))
        super().__init__(first.reason, first.words, first.about)
        self.metrics = metrics
        self.time_ms = time_ms
        self.seq = seq
        self.whole = whole
        self.said = said

    @property
    def message(self) -> str:
        """What was found of each, that the rest is stored, and what to do."""
        told = list(self.metrics.values())[:WORDS_OF_METRICS]
        words = [each.words for each in told]
        if more := len(self.metrics) - len(told):
            words.append(f"{more} more metrics were left out as well.")
        words.append(f"The rest of the reading was stored without {'it' if len(self.metrics) == 1 else 'them'}.")
        return " ".join([*words, *dict.fromkeys(REMEDIES[each.reason] for each in told)])


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
