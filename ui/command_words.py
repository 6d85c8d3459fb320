"""What became of a command, and what can be told to a device, in words for people who have read no manual."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ui.words import unit, words

# Status → what is said, and how it looks.
STANDS: Mapping[str, tuple[str, str]] = {
    "QUEUED": ("Waits for the device", "badge"),
    "SENT": ("The device has it", "badge badge-accent"),
    "ACKNOWLEDGED": ("It said that it will do it", "badge badge-accent"),
    "SUCCEEDED": ("Done", "badge badge-ok"),
    "FAILED": ("It could not do it", "badge badge-bad"),
    "REJECTED": ("The device will not do it", "badge badge-bad"),
    "TIMED_OUT": ("No answer", "badge badge-warn"),
    "EXPIRED": ("The device did not come for it in time", "badge badge-warn"),
    "CANCELLED": ("Called off", "badge"),
}
# Status → which of the command's times is the one to show.
_MOMENT = {"QUEUED": "requestedAt", "SENT": "sentAt", "ACKNOWLEDGED": "acknowledgedAt"}


class Unfit(Exception):
    """What was filled in cannot be sent; the words say which field and why."""


@dataclass(frozen=True)
class Argument:
    """One thing that a command is told, as a field of a form."""

    key: str
    label: str
    type: str
    unit: str
    hint: str
    low: str
    high: str
    choices: list[str]
    is_required: bool


@dataclass(frozen=True)
class Told:
    """Something that the devices of a profile can be told to do."""

    key: str
    label: str
    description: str
    timeout: str
    arguments: list[Argument] = field(default_factory=list)


@dataclass(frozen=True)
class CommandLine:
    """A command as one line of the list."""

    id: str
    label: str
    given: str
    status: str
    stands: str
    tone: str
    at: str
    by: str
    requested_at: str
    expires_at: str
    detail: str
    late: str


def spelled(seconds: int) -> str:
    """A span of time: `30 s`, `5 min`, `2 h`."""
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def told(command: Mapping[str, Any]) -> Told:
    """A declared command as the form offers it."""
    return Told(
        key=command["key"],
        label=command["label"] or words(command["key"]),
        description=command["description"] or "",
        timeout=spelled(command["timeoutS"]),
        arguments=[_argument(each) for each in command["arguments"]],
    )


def _argument(each: Mapping[str, Any]) -> Argument:
    low, high, sign = _number(each["min"]), _number(each["max"]), unit(each["unit"])
    return Argument(
        key=each["key"],
        label=each["label"] or words(each["key"]),
        type=each["type"],
        unit=sign,
        hint=_limits(low, high, sign),
        low=low,
        high=high,
        choices=list(each["choices"]),
        is_required=each["isRequired"],
    )


def _limits(low: str, high: str, sign: str) -> str:
    behind = f" {sign}" if sign else ""
    if low and high:
        return f"From {low} to {high}{behind}."
    if low or high:
        return f"At least {low}{behind}." if low else f"At most {high}{behind}."
    return f"In {sign}." if sign else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def arguments_of(command: Told, form: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a filled-in form (`argument <key>` → text) means; raises Unfit with words to show."""
    found: dict[str, Any] = {}
    for each in command.arguments:
        text = str(form.get(f"argument {each.key}", "")).strip()
        if not text:
            if each.is_required:
                raise Unfit(f"“{each.label}” is missing.")
            continue
        found[each.key] = _value(each, text)
    return found


def _value(argument: Argument, text: str) -> Any:
    if argument.type == "BOOLEAN":
        return text == "yes"
    if argument.type != "NUMBER":
        return text
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise Unfit(f"“{argument.label}” has to be a number.") from None
    is_low = argument.low != "" and value < float(argument.low)
    if is_low or (argument.high != "" and value > float(argument.high)):
        raise Unfit(f"“{argument.label}”: {argument.hint[:1].lower()}{argument.hint[1:]}")
    return int(value) if value.is_integer() else value


def command_line(command: Mapping[str, Any], declared: Mapping[str, Told]) -> CommandLine:
    """A command of the contract as the page shows it; the profile may have forgotten it since."""
    status = command["status"]
    stands, tone = STANDS.get(status, (words(status.lower()), "badge"))
    if status == "TIMED_OUT":
        stands = f"No answer within {spelled(command['timeoutSeconds'])}"
    known = declared.get(command["command"])
    return CommandLine(
        id=command["id"],
        label=known.label if known else words(command["command"]),
        given=_given(command["arguments"], known),
        status=status,
        stands=stands,
        tone=tone,
        at=command[_MOMENT.get(status, "finishedAt")] or command["requestedAt"],
        by=command["requestedBy"],
        requested_at=command["requestedAt"],
        expires_at=command["expiresAt"] if status == "QUEUED" else "",
        detail=_detail(command),
        late=_late(command["lateAnswer"]),
    )


def _given(arguments: Mapping[str, Any], known: Told | None) -> str:
    fields = {each.key: each for each in known.arguments} if known else {}
    said = []
    for key, value in arguments.items():
        label = fields[key].label if key in fields else words(key)
        sign = f" {fields[key].unit}" if key in fields and fields[key].unit and not isinstance(value, str) else ""
        said.append(f"{label}: {plain(value)}{sign}")
    return ", ".join(said)


def plain(value: Any) -> str:
    """A value of a command or of its answer, as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(key)).lower()} {plain(each)}" for key, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _detail(command: Mapping[str, Any]) -> str:
    """Why it ended as it did, in the device's or the platform's words, and what came back."""
    said = command["reason"] or ""
    if command["status"] in ("TIMED_OUT", "EXPIRED", "CANCELLED"):
        said = ""  # the badge has said it
    if command["result"] not in (None, {}, ""):
        said = f"{said} It answered: {plain(command['result'])}.".strip()
    return said


def _late(answer: Any) -> str:
    if not isinstance(answer, Mapping):
        return ""
    status = str(answer.get("status", "")).upper()
    stands = STANDS.get(status, (words(status.lower()), ""))[0]
    why = f" ({answer['reason']})" if answer.get("reason") else ""
    return f"Too late to count, it said: {stands[:1].lower()}{stands[1:]}{why}."
