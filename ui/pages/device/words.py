"""What a device is in words: its labels as lines to edit, its values, the metrics a chart can show."""

from dataclasses import dataclass
from typing import Any

from ui.words import Reading, readings, unit, words


@dataclass(frozen=True)
class MetricLine:
    """A metric that can be drawn."""

    key: str
    label: str
    unit: str
    type: str


def labels_text(labels: dict[str, Any]) -> str:
    """Labels as lines to edit: `site: Hamburg`."""
    return "\n".join(f"{key}: {value}" for key, value in labels.items())


def labels_of(text: str) -> dict[str, str]:
    """Labels from edited lines; a line without a colon raises ValueError with words to show."""
    labels = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        key, colon, value = line.partition(":")
        if not colon or not key.strip():
            raise ValueError(f"“{line}” needs a colon, for example “site: Hamburg”.")
        labels[key.strip()] = value.strip()
    return labels


def all_readings(device: dict[str, Any]) -> list[Reading]:
    """Every metric of the profile, with or without a value yet, then what else the device sends."""
    latest = {each.metric: each for each in readings(device)}
    known = [
        latest.pop(metric["key"], None)
        or Reading(device["id"], metric["key"], metric["label"] or words(metric["key"]), unit(metric["unit"]), None, "")
        for metric in device["profile"]["metrics"]
    ]
    return known + list(latest.values())


def drawable(device: dict[str, Any]) -> list[MetricLine]:
    """The metrics a chart can show, the profile's first."""
    types = {metric["key"]: metric["type"] for metric in device["profile"]["metrics"]}
    lines = [
        MetricLine(each.metric, each.label, each.unit, types.get(each.metric) or _type_of(each.value))
        for each in all_readings(device)
    ]
    return [line for line in lines if line.type in ("NUMBER", "BOOLEAN")]


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    return "NUMBER" if isinstance(value, int | float) else "STRING"
