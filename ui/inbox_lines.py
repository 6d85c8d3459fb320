"""What lies in the inbox, as its page shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ui.rejected import ABOUT_A_VALUE, ABOUT_THE_PROFILE, readable, reason_words

KEPT_BYTES = 8 * 1024
NAMED = 10


@dataclass(frozen=True)
class RejectedLine:
    """A message that was not accepted."""

    id: str = ""
    device_id: str = ""
    device: str = ""
    received_at: str = ""
    reason: str = ""
    way: str = ""
    payload: str = ""
    form: str = ""
    state: str = ""
    is_whole: bool = False
    left_out: str = ""
    discard_words: str = ""


@dataclass(frozen=True)
class DeviceChoice:
    """A device by its name."""

    id: str
    name: str


@dataclass(frozen=True)
class GroupLine:
    """All messages with one fault."""

    id: str
    profile_id: str
    profile: str
    code: str
    about: str
    title: str
    reason: str
    numbers: str
    devices: list[DeviceChoice]
    others: str
    is_about_profile: bool
    last_at: str
    kept_words: str
    replay_words: str
    can_replay: bool
    partly: str
    discard_words: str
    newest: RejectedLine = field(default_factory=RejectedLine)


def rejected_line(rejected: Mapping[str, Any], device: str) -> RejectedLine:
    """A rejected message of the contract as the page shows it."""
    text, form = readable(rejected["payload"])
    size = rejected["sizeBytes"]
    cut = f", the first {KEPT_BYTES:,}" if size > KEPT_BYTES else ""
    state = "about to be replayed" if rejected["isWaiting"] else "refused again" if rejected["replayedAt"] else ""
    return RejectedLine(
        rejected["id"],
        rejected["deviceId"],
        device,
        rejected["receivedAt"],
        rejected["reason"],
        f"{rejected['transport'].upper()} to {rejected['topic']}",
        text,
        f"{size:,} bytes{cut}, shown as {form}, turned away by decoder {rejected['decoder']}",
        state,
        size <= KEPT_BYTES,
        left_out(rejected),
        "This is thrown away for good. What was stored of the reading stays."
        if rejected["isPartial"]
        else "This message is thrown away for good. It stays counted as not accepted.",
    )


def left_out(rejected: Mapping[str, Any]) -> str:
    """Which values were left out of a reading whose rest was stored; '' where nothing was stored."""
    if not rejected["isPartial"]:
        return ""
    names = rejected["leftOut"]
    told = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
    return f"Left out: {told}. The other values of the reading were stored." if told else "The rest of it was stored."


def _partly(partial: int, count: int) -> str:
    """Of how many of a group the rest was stored."""
    if not partial:
        return ""
    return "stored in part" if partial == count else f"{partial:,} stored in part"


def group_line(group: Mapping[str, Any], names: Mapping[str, str], profiles: Mapping[str, str]) -> GroupLine:
    """A group of the contract as the page shows it; `names` of its devices, `profiles` as far as they may be seen."""
    count, kept, devices = group["count"], group["kept"], group["devices"]
    numbers = f"{_many(count, 'message')}{'' if kept == count else f', {kept:,} of them kept'}, from "
    others = devices - len(group["deviceIds"])
    newest = group["newest"]
    return GroupLine(
        group["id"],
        group["profileId"],
        profiles.get(group["profileId"], ""),
        group["code"],
        group["about"] if group["code"] in ABOUT_A_VALUE else "",  # the reason names what else it is about
        reason_words(group["code"]),
        group["reason"],
        numbers,
        [DeviceChoice(each, names[each]) for each in group["deviceIds"]],
        f"and {others:,} more" if others > 0 else "",
        group["code"] in ABOUT_THE_PROFILE,
        group["lastAt"],
        f"Look at all {kept:,}" if kept > 1 else "",
        "Replay it" if kept == 1 else f"Replay all {kept:,}",
        kept > 0,
        _partly(group["partial"], count),
        _discard_words(group["partial"], count),
        RejectedLine() if newest is None else rejected_line(newest, names.get(newest["deviceId"], "")),
    )


def _discard_words(partial: int, count: int) -> str:
    """What becomes of what is thrown away, and of what was stored."""
    stays = "They stay counted as not accepted."
    if partial:
        stays = "What was stored of their readings stays."
        if partial < count:
            stays = "What was stored of some of them stays; the others stay counted as not accepted."
    return f"All of these are thrown away for good. {stays}"


def outcome(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> tuple[str, bool]:
    """What became of a replay, and whether all went well: the group as it was and as it is, None for nothing left."""
    left, failed, waiting = (now["count"], now["failed"], now["waiting"]) if now else (0, 0, 0)
    done = before["count"] - left
    if waiting:
        return f"{_many(waiting, 'message')} still wait to be replayed; look again in a moment.", False
    again = max(0, failed - before["failed"]) if done else failed
    if not done:
        return "Nothing could be stored: the reason stands below. Mend the profile, and replay again.", False
    words = f"Replayed: {_many(done, 'message')} left the inbox."
    return (words, True) if not again else (f"{words} {again:,} were refused again and stay.", False)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
