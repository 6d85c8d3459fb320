"""Rows of the registry as the things they describe."""

from sqlalchemy.engine import RowMapping

from engine import ids
from engine.devices.model import Credential, Device, DeviceStatus, Metric, MetricType, Profile


def as_device(row: RowMapping) -> Device:
    """The device in ``row``; a suspended one that is held in quarantine says so."""
    is_held = row["quarantined_at"] is not None and row["status"] == DeviceStatus.SUSPENDED
    return Device(
        id=row["id"],
        key=row["key"],
        name=row["name"],
        profile_id=row["profile_id"],
        status=DeviceStatus(row["status"]) if not is_held else DeviceStatus.QUARANTINED,
        labels=row["labels"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        quarantine_reason=row["quarantine_reason"] if is_held else None,
        former_key=row["former_key"],
    )


def as_profile(row: RowMapping) -> Profile:
    """The profile in ``row``."""
    metrics = tuple(
        Metric(m["key"], MetricType(m["type"]), m.get("label") or "", m.get("unit"), m.get("min"), m.get("max"))
        for m in row["metrics"]
    )
    return Profile(
        row["id"],
        row["key"],
        row["name"],
        metrics,
        row["is_strict"],
        row["version"],
        row["created_at"],
        row["updated_at"],
    )


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
