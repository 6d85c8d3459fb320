"""Where somebody is signed in, in words."""

import re
from dataclasses import dataclass
from typing import Any

# The first that fits: each of them also names those below it.
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class SessionLine:
    """A place where one is signed in."""

    id: str
    agent: str
    address: str
    created_at: str
    last_seen_at: str
    is_current: bool


def agent_words(agent: str) -> str:
    """A User-Agent as people know it: Firefox on Windows."""
    browser = next((name for sign, name in BROWSERS if sign in agent), "")
    system = next((name for sign, name in SYSTEMS if sign in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    return re.split(r"[/ ]", agent, maxsplit=1)[0][:40] or "An unknown program"


def session_line(session: dict[str, Any]) -> SessionLine:
    """A session of the contract as the page shows it."""
    return SessionLine(
        session["id"],
        agent_words(session["agent"]),
        session["address"],
        session["createdAt"],
        session["lastSeenAt"],
        session["isCurrent"],
    )
