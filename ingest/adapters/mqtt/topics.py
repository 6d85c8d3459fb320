"""A device's rights, by topic: it publishes below `t/{tenant}/d/{device}/up/`, it subscribes below `…/down/`."""

from __future__ import annotations

from ingest.adapters.base import Decision
from schema.wire.topics import PREFIX


def home(device: Decision) -> str:
    """What every topic of this device begins with: `t/{tenant}/d/{device}/`."""
    return PREFIX.format(tenant=device.tenant, device=device.device)


def up_tail(home_topic: str, topic: str) -> str | None:
    """What follows the device's home in a topic it may publish to ("up/telemetry"), else None."""
    if not topic.startswith(home_topic):
        return None
    tail = topic[len(home_topic) :]
    return tail if tail.startswith("up/") and len(tail) > 3 else None


def down_tail(home_topic: str, topic_filter: str) -> str | None:
    """What follows the device's home in a filter it may subscribe to ("down/#"), else None."""
    if not topic_filter.startswith(home_topic):
        return None
    tail = topic_filter[len(home_topic) :]
    return tail if tail.startswith("down/") and len(tail) > 5 else None


def is_filter(topic_filter: str) -> bool:
    """Wildcards stand alone in their level and `#` only in the last (section 4.7.1)."""
    levels = topic_filter.split("/")
    if "#" in levels[:-1]:
        return False
    return all(level in ("#", "+") or not ("#" in level or "+" in level) for level in levels)


def matches(topic_filter: str, topic: str) -> bool:
    """A topic name is meant by a filter; `down/#` means `down` too (section 4.7.1.2)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
