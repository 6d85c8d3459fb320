"""Logins of devices that were refused: a few lines of the audit log that say whose, why, and how often."""

from collections.abc import Mapping
from typing import Any

from engine.clock import from_ms
from engine.store.audit import Deed
from engine.store.tx import Tx

REFUSED = "device.refused"
"""The journal's kind of a number of logins that ingest has refused."""

WHY: Mapping[str, tuple[str, str]] = {
    "unknown": ("CREDENTIAL_WRONG", "what it showed is none of the device's"),
    "revoked": ("CREDENTIAL_REVOKED", "what it showed was revoked"),
    "expired": ("CREDENTIAL_EXPIRED", "what it showed has ended"),
    "suspended": ("DEVICE_SUSPENDED", "the device is suspended"),
    "decommissioned": ("DEVICE_DECOMMISSIONED", "the device is decommissioned"),
    "tenant_suspended": ("TENANT_SUSPENDED", "the organisation is suspended"),
    "username": ("USERNAME_WRONG", "it gave the name of another device than its certificate's"),
    "certificate": ("CERTIFICATE_UNKNOWN", "your authority has signed its certificate, but it was not signed here"),
    "jwt_wrong": ("JWT_WRONG", "no key registered for the device has signed its JWT"),
    "jwt_unfit": ("JWT_UNFIT", "its JWT is for somebody or something else"),
    "jwt_early": ("JWT_EARLY", "its JWT begins in the future"),
    "jwt_expired": ("JWT_EXPIRED", "its JWT has ended"),
    "many": ("CREDENTIAL_WRONG", "somebody tries many of the devices"),
}
"""Why, as ingest says it: the reason's code in the audit log, and words."""


def follow(tx: Tx, body: Mapping[str, Any]) -> None:
    """Note what ingest has counted; what it says in words that nobody knows here is noted as it says them."""
    code, words = WHY.get(body["why"], (str(body["why"]).upper()[:40], "it was refused"))
    device, count = body["device"], body["count"]
    if device is None and body["why"] == "unknown":
        code, words = "DEVICE_UNKNOWN", "there is no such device"
    times = "once" if count == 1 else f"{count} times"
    told = {
        "sentence": f"Tried {times}: {words}.",
        "tries": count,
        "first_at": from_ms(body["first"]),
        "last_at": from_ms(body["last"]),
    }
    kind, target = ("tenant", str(tx.principal.tenant_id)) if device is None else ("device", device)
    tx.deeds.append(Deed("device.login", kind, target, after=told, result="refused", reason=code))
