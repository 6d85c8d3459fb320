"""Turns what the contract answers into what a page shows: plain words and small records."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

# What the contract accepts as a metric's name.
METRIC_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

STATUS_WORDS = {
    "PROVISIONED": "Waiting for its first message",
    "ACTIVE": "In service",
    "SUSPENDED": "Suspended",
    "QUARANTINED": "In quarantine",
    "DECOMMISSIONED": "Decommissioned",
}

GONE_WORDS = {
    "client": "it has said goodbye",
    "keep_alive": "it was no longer heard",
    "take_over": "it has connected once more",
    "protocol_error": "it broke the rules of its protocol",
    "network": "its connection broke",
    "revoked": "its credential was revoked",
    "suspended": "it was taken out of service",
    "shutdown": "the platform was restarted",
    "slow": "it took too long to take what was sent to it",
    "expired": "its credential has ended",
    "quota": "it sent more than your organisation may",
    "unavailable": "the platform could not store what it sent",
}
"""Why a device's connection ended; what its gateway says of it are words already."""


@dataclass(frozen=True)
class Reading:
    """The newest value of one metric of one device."""

    device_id: str
    metric: str
    label: str
    unit: str
    value: Any
    time: str
    quality: str = ""  # "uncertain", or "bad" where this is the last value before there was none; "" where it is good
    reason: str = ""  # why it is bad, where that was told


@dataclass(frozen=True)
class DeviceLine:
    """A device as one line of a list."""

    id: str
    key: str
    name: str
    profile: str
    status: str
    status_words: str
    is_online: bool
    since: str
    last_seen: str
    readings: list[Reading] = field(default_factory=list)
    silent_since: str = ""


@dataclass(frozen=True)
class AlertLine:
    """An alert as one line of a list."""

    id: str
    severity: str
    status: str
    reason: str
    raised_at: str
    acknowledged_at: str
    acknowledged_by: str
    note: str
    cleared_at: str
    cleared_reason: str
    rule_id: str
    rule: str
    device_id: str
    device: str
    assigned_to: str = ""
    assigned_name: str = ""
    snoozed_until: str = ""
    silenced_until: str = ""
    summary: str = ""  # what the rule that fired says
    lasted: str = ""  # of one that is over, in words


def readings(device: dict[str, Any], limit: int | None = None) -> list[Reading]:
    """A device's `latest` as records, at most `limit` of them; none for whoever may not read values."""
    return [
        Reading(
            device_id=device["id"],
            metric=each["metric"],
            label=each["label"] or words(each["metric"]),
            unit=unit(each["unit"]),
            value=each["value"],
            time=each["time"],
            quality=each.get("quality") or "",
            reason=each.get("reason") or "",
        )
        for each in device.get("latest", [])[:limit]
    ]


def device_line(device: dict[str, Any], values: int = 3) -> DeviceLine:
    """A device of a list, with its first few values."""
    return DeviceLine(
        id=device["id"],
        key=device["key"],
        name=device["name"] or device["key"],
        profile=device["profile"]["name"],
        status=device["status"],
        status_words=STATUS_WORDS.get(device["status"], words(device["status"])),
        is_online=device["isOnline"],
        since=(device.get("presence") or {}).get("since") or "",
        last_seen=device["lastSeenAt"] or "",
        readings=readings(device, values),
        silent_since=(device.get("presence") or {}).get("silentSince") or "",
    )


def alert_line(alert: dict[str, Any]) -> AlertLine:
    """An alert of a list; the rule may have been deleted since."""
    rule, device = alert.get("rule") or {}, alert.get("device") or {}
    return AlertLine(
        id=alert["id"],
        severity=str(alert["severity"]).lower(),
        status=alert.get("status", "ACTIVE"),
        reason=alert["reason"],
        raised_at=alert["raisedAt"],
        acknowledged_at=alert.get("acknowledgedAt") or "",
        acknowledged_by=alert.get("acknowledgedBy") or "",
        note=alert.get("note") or "",
        cleared_at=alert.get("clearedAt") or "",
        cleared_reason=alert.get("clearedReason") or "",
        rule_id=rule.get("id", ""),
        rule=rule.get("name", "a deleted rule"),
        device_id=device.get("id", ""),
        device=device.get("name") or device.get("key", "a removed device"),
        assigned_to=alert.get("assignedTo") or "",
        assigned_name=alert.get("assignedName") or "",
        snoozed_until=ahead(alert.get("snoozedUntil")),
        silenced_until=ahead(alert.get("silencedUntil")),
        summary=alert.get("summary") or "",
        lasted=lasting(alert["raisedAt"], alert.get("clearedAt")),
    )


_SPANS = ((60, 1, "second"), (3600, 60, "minute"), (86_400, 3600, "hour"), (float("inf"), 86_400, "day"))


def lasting(start: str, end: str | None) -> str:
    """How long something went on between two moments, "2 minutes"; '' of what is not over."""
    if not end:
        return ""
    seconds = max(1.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    size, name = next((size, name) for limit, size, name in _SPANS if seconds < limit)
    count = round(seconds / size)
    return f"{count} {name}" + ("" if count == 1 else "s")


def ahead(moment: str | None) -> str:
    """A moment that is still to come, else ''."""
    return moment if moment and datetime.fromisoformat(moment) > datetime.now(UTC) else ""


def words(key: str) -> str:
    """A key as words: `supply_temperature` is "Supply temperature"."""
    plain = key.replace("_", " ").replace("-", " ").replace(".", " ").strip()
    return plain[:1].upper() + (plain[1:].lower() if key.isupper() else plain[1:])


UNITS = {
    "degC": "°C",
    "degF": "°F",
    "pct": "%",
    "percent": "%",
    "m3/h": "m³/h",
    "m3": "m³",
    "ug/m3": "µg/m³",
    "degree": "°",
}


def unit(name: str | None) -> str:
    """A unit as people write it: degC is °C."""
    return UNITS.get(name or "", name or "")
