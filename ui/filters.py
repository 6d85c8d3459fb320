"""A group's filter: from the form to the contract's document, back, and in words."""

from typing import Any

from ui.words import STATUS_WORDS

# What the form calls a phase of a device's life, in the contract's small letters; a removed device is in no group.
STATUSES = tuple((status.lower(), words) for status, words in STATUS_WORDS.items() if status != "DECOMMISSIONED")


class Unclear(Exception):
    """Something in the form cannot be used; the message says what, in words for the person who filled it in."""


def filter_of(form: dict[str, Any]) -> dict[str, Any]:
    """The filter that a form describes; what is left empty asks for nothing. Raises Unclear."""
    parts: dict[str, Any] = {
        "labels": _labels(str(form.get("labels", ""))),
        "profile": _ticked(form, "profile "),
        "status": _ticked(form, "status "),
        "keyPrefix": _several(str(form.get("prefixes", ""))),
    }
    found = {word: part for word, part in parts.items() if part}
    if not found:
        raise Unclear("Please say which devices: fill in at least one line, or put devices in by hand.")
    return found


def _ticked(form: dict[str, Any], kind: str) -> list[str]:
    return sorted(name.removeprefix(kind) for name, value in form.items() if name.startswith(kind) and value)


def _several(text: str) -> list[str]:
    return [each for each in (part.strip() for part in text.split(",")) if each]


def _labels(text: str) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, colon, values = line.partition(":")
        if not colon or not name.strip() or not _several(values):
            raise Unclear(f"“{line}” needs a name, a colon and a value, for example “site: Hamburg, Kiel”.")
        labels.setdefault(name.strip(), []).extend(_several(values))
    return labels


def listed(part: Any) -> list[str]:
    """One text or a list of texts as a list."""
    return [part] if isinstance(part, str) else list(part or [])


def labels_text(document: dict[str, Any]) -> str:
    """The labels of a filter as lines to edit: `site: Hamburg, Kiel`."""
    return "\n".join(f"{name}: {', '.join(listed(values))}" for name, values in document.get("labels", {}).items())


def in_words(document: dict[str, Any], profiles: dict[str, str]) -> str:
    """`site is 7 or 8, profile is Cold room`; `profiles`: their names by key."""
    statuses = dict(STATUSES)
    parts = [f"{name} is {_either(listed(values))}" for name, values in document.get("labels", {}).items()]
    if keys := listed(document.get("profile")):
        parts.append(f"profile is {_either([profiles.get(key, key) for key in keys])}")
    if found := listed(document.get("status")):
        parts.append(_either([statuses.get(each, each).lower() for each in found]))
    if prefixes := listed(document.get("keyPrefix")):
        parts.append(f"key begins with {_either(prefixes)}")
    return ", ".join(parts)


def _either(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else "".join(values)
