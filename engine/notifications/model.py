"""What is told to people outside, by which channel, when, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

SEVERITIES = ("info", "minor", "major", "critical")
"""How bad something may be, as rules say it; critical passes quiet hours."""
TEST = "test"
"""The kind of message a channel is tested with: it is tried once."""


class ChannelKind(StrEnum):
    """What a channel leads to."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"
    TEAMS = "teams"
    TELEGRAM = "telegram"
    SMS = "sms"


class DeliveryState(StrEnum):
    """How far a delivery has come. RETRYING: it was tried in vain and will be again."""

    WAITING = "waiting"
    SENDING = "sending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is told, in plain words; every channel shows it in its own way.

    ``kind``: what happened, like ``alert.raised``; webhooks carry it as ``type``. ``title``: one line. ``text``:
    sentences, paragraphs apart by an empty line. ``facts``: names and values under it. ``link``: a path below the
    console's address. ``severity``: one of SEVERITIES, or empty. ``data``: what webhooks carry besides; never a secret.
    """

    kind: str
    title: str
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    link_label: str = "Open in Tidegate"
    severity: str = ""
    data: Mapping[str, object] = field(default_factory=dict)

    def written(self) -> dict[str, object]:
        """As it lies in the database: bounded, and without control characters that could become a header."""
        return {
            "kind": one_line(self.kind, 60),
            "title": one_line(self.title, 200),
            "text": printable(self.text, 4_000),
            "facts": [[one_line(name, 80), one_line(value, 600)] for name, value in self.facts[:20]],
            "link": one_line(self.link, 500),
            "link_label": one_line(self.link_label, 60),
            "severity": self.severity if self.severity in SEVERITIES else "",
            "data": dict(self.data),
        }

    @classmethod
    def read(cls, node: Mapping[str, object], link: str | None = None) -> "Message":
        """The message that ``written`` wrote; ``link`` is the one that was kept apart because it holds a secret."""
        facts = node.get("facts")
        data = node.get("data")
        return cls(
            kind=str(node["kind"]),
            title=str(node["title"]),
            text=str(node.get("text", "")),
            facts=tuple((str(name), str(value)) for name, value in facts) if isinstance(facts, list) else (),
            link=str(node.get("link", "")) if link is None else link,
            link_label=str(node.get("link_label", "")),
            severity=str(node.get("severity", "")),
            data=data if isinstance(data, dict) else {},
        )


@dataclass(frozen=True, slots=True)
class Step:
    """Who is told when: ``after_min`` minutes after the first, by these channels. Step 0 comes at once."""

    after_min: int
    channels: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when to when, by the clock of ``time_zone``, only what is critical comes through; the rest comes after."""

    start: time
    end: time
    time_zone: str

    def over_at(self, now: datetime) -> datetime | None:
        """When the quiet hours are over that ``now`` (with a time zone) lies in; None outside them."""
        here = now.astimezone(ZoneInfo(self.time_zone))
        clock = here.timetz().replace(tzinfo=None)
        within = self.start <= clock < self.end
        if self.start > self.end:
            within = clock >= self.start or clock < self.end
        if not within:
            return None
        day = here.date() + timedelta(days=1) if clock >= self.end else here.date()
        return datetime.combine(day, self.end, ZoneInfo(self.time_zone)).astimezone(now.tzinfo)


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to tell of what. ``key`` is how rules name it; ``severities``: of which alerts it tells.

    ``repeat_min``: the last step comes again and again, so many minutes apart; None: it comes once.
    """

    id: UUID
    key: str
    name: str
    severities: tuple[str, ...]
    steps: tuple[Step, ...]
    quiet_hours: QuietHours | None
    version: int
    created_at: datetime
    updated_at: datetime
    repeat_min: int | None = None

    def tells_of(self, severity: str) -> bool:
        """Whether it is for something this bad; what has no severity always goes."""
        return not severity or severity in self.severities

    def held_until(self, severity: str, now: datetime) -> datetime | None:
        """Until when it waits because of quiet hours; None: it goes at once."""
        if self.quiet_hours is None or severity == "critical":
            return None
        return self.quiet_hours.over_at(now)

    def step_due(self, since: datetime, step: int) -> datetime | None:
        """When step ``step`` comes for something that began at ``since``; None: there is no such step."""
        return since + timedelta(minutes=self.steps[step].after_min) if step < len(self.steps) else None


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach somebody. ``target``: where it leads, as people may see it; the secrets are sealed."""

    id: UUID
    kind: ChannelKind
    name: str
    target: str
    settings: Mapping[str, object]
    is_enabled: bool
    disabled_reason: str | None
    failures: int
    failing_since: datetime | None
    last_error: str | None
    last_success_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    secret: bytes = field(repr=False, compare=False)
    """Sealed by the vault."""

    def shown(self) -> dict[str, object]:
        """What the audit log may know: everything but the secrets."""
        sent_by = {name: self.settings[name] for name in ("provider", "account", "sender") if name in self.settings}
        return {"name": self.name, "kind": self.kind, "target": self.target, **sent_by, "is_enabled": self.is_enabled}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one place. Its id is the key by which a receiver knows a repetition."""

    id: UUID
    kind: ChannelKind
    channel_id: UUID | None
    channel_name: str | None
    policy: str | None
    target: str
    what: str
    title: str
    about: UUID | None
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None
    can_retry: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish to tell somebody: how many deliveries were made, or in words why none or why later."""

    deliveries: int
    why: str = ""


def one_line(text: str, most: int) -> str:
    """``text`` on one line without control characters, at most ``most`` characters."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def printable(text: str, most: int) -> str:
    """``text`` without control characters but line breaks, at most ``most`` characters."""
    clean = "".join(c for c in text.replace("\r\n", "\n") if c == "\n" or c.isprintable()).strip()
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def reachable(steps: Sequence[Step]) -> frozenset[UUID]:
    """Every channel that a policy's steps name."""
    return frozenset(channel for step in steps for channel in step.channels)
