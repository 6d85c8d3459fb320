"""What a broker may let a device do, as a list of grants and as a yes or no for one topic."""

from dataclasses import dataclass
from typing import Literal

from ingest.adapters.base import Decision
from ingest.adapters.mqtt import topics
from schema.wire.topics import PREFIX, parse_username

Action = Literal["publish", "subscribe"]


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing a device may do, and where: `topic` is a filter."""

    action: Action
    topic: str


def acl(device: Decision) -> tuple[Grant, ...]:
    """Everything a device may do; what is not in it is denied (DESIGN §3.2)."""
    home = topics.home(device)
    return Grant("publish", f"{home}up/#"), Grant("subscribe", f"{home}down/#")


def allows(username: str, action: Action, topic: str) -> bool:
    """Whether the device of that name may publish to a topic or subscribe to a filter."""
    names = parse_username(username)
    if names is None:
        return False
    home = PREFIX.format(tenant=names[0], device=names[1])
    if action == "publish":
        return topics.up_tail(home, topic) is not None and not {"+", "#"} & set(topic)
    return topics.down_tail(home, topic) is not None and topics.is_filter(topic)
