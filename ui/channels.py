"""Channels, policies and deliveries of the contract as the page of notifications shows them, and its forms as input."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# kind: its name, its icon, what it is for
KINDS: dict[str, tuple[str, str, str]] = {
    "EMAIL": ("E-mail", "mail", "to one address or several"),
    "WEBHOOK": ("Webhook", "webhook", "to a program of yours"),
    "SLACK": ("Slack", "hash", "to a channel"),
    "TEAMS": ("Teams", "users", "to a channel"),
    "TELEGRAM": ("Telegram", "send", "to a chat"),
    "SMS": ("Text message", "message-square", "to up to five phones"),
}
STATES: dict[str, tuple[str, str]] = {
    "WAITING": ("waiting", "badge"),
    "SENDING": ("being sent", "badge badge-accent"),
    "RETRYING": ("will be tried again", "badge badge-warn"),
    "DELIVERED": ("arrived", "badge badge-ok"),
    "GIVEN_UP": ("given up", "badge badge-bad"),
}
SEVERITIES = (("CRITICAL", "Critical"), ("MAJOR", "Major"), ("MINOR", "Minor"), ("INFO", "Info"))
CARRIERS = (("TWILIO", "Twilio"), ("CLICKSEND", "ClickSend"), ("MESSAGEBIRD", "MessageBird"))
WAITS = (("5", "5 minutes"), ("15", "15 minutes"), ("30", "half an hour"), ("60", "an hour"), ("240", "4 hours"))
REPEATS = (
    ("0", "it is not said again"),
    ("15", "again every 15 minutes"),
    ("60", "again every hour"),
    ("240", "again every 4 hours"),
    ("1440", "again every day"),
)
MAX_STEPS = 5


@dataclass(frozen=True)
class LaterStep:
    """A step of a policy's form after the first."""

    number: str
    wait: str  # minutes since the alert
    odd: str  # the wait in words, where it is none of those to choose
    chosen: list[str]


@dataclass(frozen=True)
class ChannelLine:
    """A channel."""

    id: str
    name: str
    of: str  # the contract's name of its kind
    kind: str
    icon: str
    target: str
    begins: dict[str, str]  # the fields of its form that say where it leads, as they begin; what is secret is empty
    is_enabled: bool
    trouble: str
    last_success_at: str
    version: int


@dataclass(frozen=True)
class PolicyLine:
    """A notification policy in words, and what its form begins with."""

    id: str
    key: str
    name: str
    steps: list[str]
    severities: str
    quiet: str
    repeats: str  # in words; empty where it does not
    chosen: list[str]
    first: list[str]
    later: list[LaterStep]
    repeat: str  # minutes
    odd_repeat: str  # the choice in words, where it is none of those to choose
    quiet_start: str
    quiet_end: str
    zone: str
    version: int


@dataclass(frozen=True)
class DeliveryLine:
    """An entry of the delivery log."""

    id: str
    title: str
    where: str
    icon: str
    state: str
    badge: str
    trouble: str
    tries: str
    next_at: str
    created_at: str
    can_retry: bool


def channel_line(channel: dict[str, Any]) -> ChannelLine:
    """A channel of the contract as the page shows it."""
    name, icon, _ = KINDS.get(channel["kind"], (channel["kind"].title(), "bell", ""))
    trouble = ""
    if not channel["isEnabled"]:
        trouble = channel["disabledReason"] or "Switched off."
    elif channel["failures"]:
        tries = "The last try was" if channel["failures"] == 1 else f"The last {channel['failures']} tries were"
        trouble = f"{tries} in vain. {channel['lastError'] or ''}".strip()
    return ChannelLine(
        channel["id"],
        channel["name"],
        channel["kind"],
        name,
        icon,
        channel["target"],
        _begins(channel),
        channel["isEnabled"],
        trouble,
        channel["lastSuccessAt"] or "",
        channel["version"],
    )


def _begins(channel: dict[str, Any]) -> dict[str, str]:
    places = ", ".join(channel["places"])
    match channel["kind"]:
        case "EMAIL":
            return {"addresses": places}
        case "TELEGRAM":
            return {"token": "", **channel["telegram"]}
        case "SMS":
            return {"token": "", "numbers": places, **channel["sms"]}
        case _:
            return {"url": ""}


def policy_line(policy: dict[str, Any], channels: dict[str, str]) -> PolicyLine:
    """A policy of the contract in words; `channels` are names by id."""
    steps, quiet = policy["steps"], policy["quietHours"] or {}
    said = [f"{_after(each['afterMin'])} {_and([channels.get(i, '…') for i in each['channelIds']])}" for each in steps]
    every = len(policy["severities"]) == len(SEVERITIES)
    names = [name.lower() for key, name in SEVERITIES if key in policy["severities"]]
    repeat = policy["repeatMin"] or 0
    return PolicyLine(
        policy["id"],
        policy["key"],
        policy["name"],
        said,
        "Every alert" if every else f"{_and(names)} alerts".capitalize(),
        f"Quiet from {quiet['start']} to {quiet['end']}, {quiet['timeZone']}" if quiet else "",
        f"The last comes again every {_span(repeat)} until somebody acknowledges" if repeat else "",
        list(policy["severities"]),
        list(steps[0]["channelIds"]),
        [later_step(n, each["afterMin"], each["channelIds"]) for n, each in enumerate(steps[1:], start=2)],
        str(repeat),
        "" if str(repeat) in dict(REPEATS) else f"again every {_span(repeat)}",
        quiet.get("start", ""),
        quiet.get("end", ""),
        quiet.get("timeZone", ""),
        policy["version"],
    )


def later_step(number: int, wait: int, chosen: Sequence[str] = ()) -> LaterStep:
    """A step of the form; `wait` in minutes since the alert."""
    odd = "" if str(wait) in dict(WAITS) else _span(wait)
    return LaterStep(str(number), str(wait), odd, list(chosen))


def next_step(steps: Sequence[LaterStep]) -> LaterStep:
    """One more step behind these, some time later than the last."""
    last = int(steps[-1].wait) if steps else 0
    return later_step(len(steps) + 2, next((int(wait) for wait, _ in WAITS[1:] if int(wait) > last), last + 240))


def delivery_line(delivery: dict[str, Any]) -> DeliveryLine:
    """A delivery of the contract as the page shows it."""
    words, badge = STATES.get(delivery["state"], (delivery["state"].lower(), "badge"))
    tries = delivery["attempts"]
    return DeliveryLine(
        delivery["id"],
        delivery["title"],
        f"{delivery['channelName']} · {delivery['target']}" if delivery["channelName"] else delivery["target"],
        KINDS.get(delivery["kind"], ("", "bell", ""))[1],
        words,
        badge,
        delivery["lastError"] or "",
        f"{tries} tries" if tries > 1 else "",
        delivery["nextAt"] or "" if delivery["state"] == "RETRYING" else "",
        delivery["createdAt"],
        delivery["canRetry"],
    )


def changes_of(channel: ChannelLine, form: dict[str, Any]) -> dict[str, Any]:
    """What a channel's form changes, as the contract's input; left alone, it leads where it did and keeps its secret.

    Raises ValueError with words to show.
    """
    name = str(form.get("name", "")).strip()
    if not name:
        raise ValueError("Please give it a name, for example who reads it.")
    changed = {"name": name} if name != channel.name else {}
    if {field: str(form.get(field, "")).strip() for field in channel.begins} == channel.begins:
        return changed
    return changed | contact_of(channel.of, form, keeps=True)


def contact_of(kind: str, form: dict[str, Any], *, keeps: bool = False) -> dict[str, Any]:
    """The settings of one kind as the contract's input; ``keeps``: a token or key that is not written stays as it is.

    Raises ValueError with words to show.
    """

    def said(name: str, missing: str) -> str:
        text = str(form.get(name, "")).strip()
        if not text:
            raise ValueError(missing)
        return text

    def secret(name: str, missing: str) -> dict[str, str]:
        return {} if keeps and not form.get("token") else {name: said("token", missing)}

    def several(name: str, missing: str) -> list[str]:
        return [each for each in re.split(r"[\s,;]+", said(name, missing)) if each]

    match kind:
        case "EMAIL":
            return {"email": {"addresses": several("addresses", "Please write at least one e-mail address.")}}
        case "WEBHOOK":
            return {"webhook": {"url": said("url", "Please write the address of your program.")}}
        case "SLACK" | "TEAMS":
            return {kind.lower(): {"webhookUrl": said("url", f"Please paste the address that {KINDS[kind][0]} shows.")}}
        case "TELEGRAM":
            chat = said("chat", "Please write the chat's number or @name.")
            return {"telegram": {**secret("botToken", "Please paste the bot's token."), "chat": chat}}
        case _:
            numbers = [each.strip() for each in said("numbers", "Please write at least one number.").split(",")]
            return {
                "sms": {
                    "provider": said("provider", "Please choose the carrier."),
                    "account": str(form.get("account", "")).strip(),
                    **secret("secret", "Please paste the account's key."),
                    "sender": said("sender", "Please write whom the message comes from."),
                    "numbers": [each for each in numbers if each],
                }
            }


def policy_of(form: dict[str, Any]) -> dict[str, Any]:
    """What the form of a policy asks for as the contract's input; raises ValueError with words to show."""
    name = str(form.get("name", "")).strip()
    if not name:
        raise ValueError("Please give it a name, for example who is on call.")
    severities = _ticked(form, "severity:")
    if not severities:
        raise ValueError("Please tick at least one kind of alert.")
    first = _ticked(form, "now:")
    if not first:
        raise ValueError("Please tick who is told at once.")
    steps = [{"afterMin": 0, "channelIds": first}]
    for number in range(2, MAX_STEPS + 1):
        if later := _ticked(form, f"later{number}:"):
            steps.append({"afterMin": int(str(form[f"wait{number}"])), "channelIds": later})
    start, end, zone = (str(form.get(each, "")).strip() for each in ("quiet_start", "quiet_end", "zone"))
    if bool(start) != bool(end) or (start and not zone):
        raise ValueError("Quiet hours need a beginning, an end and a time zone; or leave all empty.")
    quiet = {"start": start[:5], "end": end[:5], "timeZone": zone} if start else None
    repeat = int(str(form.get("repeat") or "0"))
    return {"name": name, "severities": severities, "steps": steps, "repeatMin": repeat, "quietHours": quiet}


def _ticked(form: dict[str, Any], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name, value in form.items() if name.startswith(prefix) and value]


def _after(minutes: int) -> str:
    if not minutes:
        return "At once:"
    return f"After {_span(minutes)} without an answer:"


def _span(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if rest or not hours else f"{hours} h"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"
