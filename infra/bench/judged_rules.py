"""The rules of a campaign of kills: one of each kind whose outcome follows from what devices sent.

A device's messages are a minute of its own clock apart, and each wait is over a second after one of them. So the
message that might call a wait off is due 59 s before its end, or comes after it: whether the next message or a timer
ends it, it ends at the same moment in the same way, unless a device is kept waiting for more than a minute. A slow
device's messages are far enough apart for the timer to be always first, at the others it is so while something is dead.
What depends on the server's clock alone (silence, presence, the most an hour) is not judged, and so not here.
"""

from collections.abc import Sequence
from typing import Any

from infra.bench.readings import COLD, DERIVED, Signal
from infra.bench.tenant import BETWEEN, rule

SIGNAL = Signal(values=3, period=41, has_seq=True, step_ms=60_000)
"""Four warm messages, 37 cold ones; the period has no divisor in common with the humidity's twenty."""
SLOW_GAP_S = 4.0
"""Between two messages of a slow device: a timer's patience, the tick, and some time to spare."""
MOST_ACTIONS_A_MIN = 200
"""Of one rule: the storm breaker counts by the minute on the wall, and mutes above 300."""
ACTIONS_A_PERIOD = 3
CHANNEL = "Bench"

_WARM = {"metric": "temperature", "op": ">", "value": BETWEEN}
_COLD = {"metric": "temperature", "op": "<", "value": COLD / 10 + 1}
_HUMID = {"metric": "humidity", "op": ">=", "value": 55}
_ANY_AGE = {"max_lateness": "30d"}
_ALERT = {"do": "alert"}


def judged_rules() -> list[dict[str, Any]]:
    """Rules that raise alerts for every device: thresholds, waits, hysteresis, a window, a cooldown."""
    average = {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": BETWEEN}
    return [
        _rule("Warm", _WARM),
        _rule("Warm until cold", _WARM, clear={"when": _COLD}),
        _rule("Warm and humid", {"all": [_WARM, _HUMID]}, severity="critical"),
        _rule("Every twentieth", {"metric": "humidity", "op": "==", "value": 59}, severity="info"),
        _rule("Warm for a while", _WARM, **{"for": "121s"}),
        _rule("Humid for a while, unless cold", {"all": [_HUMID, {"not": _COLD}]}, **{"for": "181s"}),
        _rule("Warm until cold for a while", _WARM, clear={"when": _COLD, "for": "121s"}),
        _rule("Warm on average", average),
        _rule("Warm, then quiet", _WARM, limits=_ANY_AGE | {"cooldown": "2281s"}),  # over within the next warm messages
        _rule("Excess", {"metric": DERIVED, "op": ">", "value": 9}),
    ]


def acting_rules(devices: Sequence[str]) -> list[dict[str, Any]]:
    """Rules that do more for these devices: call a webhook when they fire and clear, label the device, derive.

    What is derived moves another rule, "Excess".
    """
    derive = {"do": "derive", "metric": DERIVED}
    excess = {"metric": "temperature", "plus": -BETWEEN}
    call = {"do": "webhook", "channel": CHANNEL}
    label = [{"do": "tag", "add": "warm"}, {"do": "set", "attribute": "warmest", "value": "{value}"}]
    unlabel = [{"do": "tag", "remove": "warm"}]
    scoped = [
        _rule("Calls", _WARM, then=[_ALERT, call], on_clear=[call], **{"for": "61s"}),
        _rule("Labels", _WARM, then=[_ALERT, *label], on_clear=unlabel),
        _rule("Derives", _WARM, then=[_ALERT, derive | {"value": excess}], on_clear=[derive | {"value": 0}]),
    ]
    for document in scoped:
        document["scope"] |= {"devices": list(devices)}
    return scoped


def acting(device_ids: Sequence[str], rate: float, slow: int) -> list[str]:
    """The devices that rules may act for at this rate: of the slow ones, and of the others, as many as may be."""
    first_slow = len(device_ids) - slow
    a_min_slow, a_min = (
        ACTIONS_A_PERIOD * 60 / SIGNAL.period * per_s for per_s in (1 / SLOW_GAP_S, rate / len(device_ids))
    )
    slow = min(slow, int(MOST_ACTIONS_A_MIN / 2 / a_min_slow))
    fast = max(1, int((MOST_ACTIONS_A_MIN - slow * a_min_slow) / a_min))
    return [*device_ids[: min(fast, first_slow)], *device_ids[first_slow : first_slow + slow]]


def _rule(name: str, when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return rule(name, when, **({"limits": _ANY_AGE} | more))
