"""Rows of the registry as the things they describe."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from engine import ids
from engine.devices.declared import Argument, Command, ShadowLeaf, ValueType
from engine.devices.model import Credential, Declaration, Device, DeviceStatus, Metric, MetricType, Presence, Profile

Row = RowMapping | Mapping[str, Any]

_STATUSES = {status.value: status for status in DeviceStatus}
_PROFILES: dict[tuple[object, ...], Profile] = {}
"""By what tells one state of a profile from another; each device that is asked about asks for its own."""
_MOST_PROFILES = 1_000


def as_device(row: Row) -> Device:
    """The device in ``row``."""
    return _device(*(row[name] for name in _DEVICE))


def as_devices(columns: Row) -> list[Device]:
    """The devices in the columns of ``columns``, which are lists of equal length, or None where there is no device."""
    return [_device(*values) for values in zip(*(columns[name] or () for name in _DEVICE), strict=True)]


def _device(
    id: UUID,
    key: str,
    name: str,
    profile_id: UUID,
    status: str,
    labels: Mapping[str, str],
    version: int,
    created_at: datetime,
    updated_at: datetime,
    quarantined_at: datetime | None,
    reason: str | None,
    former_key: str | None,
) -> Device:
    """A suspended one that is held in quarantine says so."""
    is_held = quarantined_at is not None and status == DeviceStatus.SUSPENDED
    stands, why = (DeviceStatus.QUARANTINED, reason) if is_held else (_STATUSES[status], None)
    return Device(id, key, name, profile_id, stands, labels, version, created_at, updated_at, why, former_key)


_DEVICE = (
    *("id", "key", "name", "profile_id", "status", "labels", "version", "created_at", "updated_at"),
    *("quarantined_at", "quarantine_reason", "former_key"),
)


def as_presence(row: Row) -> Presence:
    """The presence in ``row``, with when it was heard last."""
    return Presence(
        row["is_online"], row["since"], row["reason"], row["last_seen_at"], row["silent_since"], row["version"]
    )


def as_profile(row: Row) -> Profile:
    """The profile in ``row``. One that nobody has changed since is the same object."""
    state = (row["tenant_id"], row["id"], row["version"], row["updated_at"])
    profile = _PROFILES.get(state)
    if profile is None:
        if len(_PROFILES) >= _MOST_PROFILES:
            _PROFILES.clear()
        profile = _PROFILES[state] = _as_profile(row)
    return profile


def _as_profile(row: Row) -> Profile:
    said = as_declaration(row)
    return Profile(
        id=row["id"],
        key=row["key"],
        name=said.name,
        metrics=said.metrics,
        is_strict=said.is_strict,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        reporting_interval_s=said.reporting_interval_s,
        commands=said.commands,
        shadow=said.shadow,
        retention_days=said.retention_days,
    )


def as_declaration(said: Row) -> Declaration:
    """What a profile says, from its row or from the document of one of its versions."""
    return Declaration(
        name=said["name"],
        metrics=tuple(_metric(each) for each in said["metrics"]),
        is_strict=said["is_strict"],
        reporting_interval_s=said["reporting_interval_s"],
        commands=tuple(_command(each) for each in said["commands"]),
        shadow=tuple(_leaf(each) for each in said["shadow"]),
        retention_days=said.get("retention_days"),  # versions from before it was said do not have it
    )


def _metric(said: Mapping[str, Any]) -> Metric:
    label = said.get("label") or ""
    return Metric(said["key"], MetricType(said["type"]), label, said.get("unit"), said.get("min"), said.get("max"))


def _command(said: Mapping[str, Any]) -> Command:
    arguments = tuple(
        Argument(each["key"], **_described(each), is_required=each["is_required"]) for each in said.get("arguments", ())
    )
    label, description = said.get("label", ""), said.get("description", "")
    return Command(said["key"], label, description, arguments, said["timeout_s"])


def _leaf(said: Mapping[str, Any]) -> ShadowLeaf:
    return ShadowLeaf(said["path"], **_described(said), is_writable=said["is_writable"])


def _described(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": ValueType(said["type"]),
        "label": said.get("label", ""),
        "unit": said.get("unit"),
        "min": said.get("min"),
        "max": said.get("max"),
        "choices": tuple(said.get("choices", ())),
    }


def as_credential(row: RowMapping) -> Credential:
    """The credential in ``row``, without its secret."""
    fingerprint = None
    if row["kind"] == "x509":
        fingerprint = row["secret_sha256"].hex()
    elif row["kind"] == "jwt":
        fingerprint = ids.fingerprint(row["public_key"]).hex()
    return Credential(
        row["id"],
        row["device_id"],
        row["kind"],
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
        fingerprint,
    )
