"""Rows of the registry as the things they describe."""

from collections.abc import Mapping
from typing import Any

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
    """The device in ``row``; a suspended one that is held in quarantine says so."""
    is_held = row["quarantined_at"] is not None and row["status"] == DeviceStatus.SUSPENDED
    return Device(
        id=row["id"],
        key=row["key"],
        name=row["name"],
        profile_id=row["profile_id"],
        status=DeviceStatus.QUARANTINED if is_held else _STATUSES[row["status"]],
        labels=row["labels"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        quarantine_reason=row["quarantine_reason"] if is_held else None,
        former_key=row["former_key"],
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
