"""How a yes/no metric is said in a sentence: "door is open", never "door open is yes".

People name such a metric by what it tells (“Running”, “Door open”), by the thing that is switched (“Lamp”) or by what
is noticed (“Leak”). Which of these a name is, its last word says.
"""

from functools import lru_cache
from typing import NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STATES = _set(
    "active alight alive asleep away awake available bad blocking burning busy calling charging clean clear closed "
    "cold connected dark dead dirty down dry empty faulty flowing free full healthy high home hot humid idle inactive "
    "late leaking loose low missing moving off offline ok okay on online open overdue overheating pending present "
    "pumping ready running safe silent sleeping spinning steady stuck tight up unavailable unlocked unsafe valid "
    "vibrating warm wet working"
)
"""Words that say how something is. Those in “-ed” do too: blocked, tripped, occupied."""
_NOTICED = _set(
    "breach collision defect detection error failure fault fire flame flood frost gas intrusion leak leakage "
    "malfunction moisture motion movement occupancy outage presence problem rain shock smoke sound tamper vibration"
)
_OPENED = _set("cover door flap gate hatch lid shutter window")
"""True is open here, as for Home Assistant's binary sensors of these classes."""
_OPPOSITES = {
    "closed": "open",
    "connected": "disconnected",
    "disabled": "enabled",
    "disconnected": "connected",
    "enabled": "disabled",
    "locked": "unlocked",
    "off": "on",
    "offline": "online",
    "on": "off",
    "online": "offline",
    "open": "closed",
    "unlocked": "locked",
}
_LEVELS = frozenset({"low", "high"})
_FILLING = frozenset({"is", "are", "was", "has", "been", "currently", "now"})
_SHORTEST_ED = 6  # a bed and a seed are things


class YesNo(NamedTuple):
    """What is asked about, "door", and how it is where the value is true and where it is false."""

    subject: str
    true: str
    false: str

    def state(self, value: bool) -> str:
        """How it is by this value: "open"."""
        return self.true if value else self.false

    def sentence(self, value: bool) -> str:
        """What this value says: "door is open"."""
        return f"{self.subject} is {self.state(value)}"


@lru_cache(maxsize=4_096)
def yes_no(key: str, label: str | None) -> YesNo:
    """How people say a yes/no metric of this key and label."""
    words = (label or key.replace("_", " ")).split() or [key]
    if len(words) > 1 and words[0].lower() in _LEVELS:
        return _said(words[1:], words[0].lower())
    last = words[-1].lower().strip(".?!")
    if _is_state(last):
        while len(words) > 1 and words[-2].lower() in _FILLING:
            del words[-2]
        return _said(words[:-1], last)
    if last in _OPENED:
        return _said(words, "open")
    return _said(words, "detected" if last in _NOTICED else "on")


def _is_state(word: str) -> bool:
    return word in _STATES or (word.endswith("ed") and not word.endswith("eed") and len(word) >= _SHORTEST_ED)


def _said(words: list[str], state: str) -> YesNo:
    subject = " ".join(words)
    if subject[1:2].islower():  # abbreviations keep their capitals
        subject = subject[0].lower() + subject[1:]
    return YesNo(subject or "it", state, _OPPOSITES.get(state, f"not {state}"))
