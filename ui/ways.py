"""Ways in for new devices, in words: what a form asks for, what a line says, and the commands to paste."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ui.credentials import ended
from ui.first_message import SERVER
from ui.gate_rules import summary

NEWCOMER = "my-new-device"  # what a device calls itself in the lines to paste

KINDS = {"KEY": "provisioning key", "CLAIM": "claim certificate", "AUTHORITY": "authority of your own"}
SPANS = (("7", "in 7 days"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never"))
DEFAULT_SPAN = "30"
TURNED = {"APPROVED": "may come in", "REFUSED": "turned away", "DONE": "came in"}


@dataclass(frozen=True)
class WayLine:
    """A way in for new devices."""

    id: str
    name: str
    kind: str
    words: str
    uses: str
    created_by: str
    created_at: str
    expires_at: str
    ended_at: str
    ended_how: str
    needs_approval: bool
    most: str
    has_certificate: bool
    version: int


@dataclass(frozen=True)
class WaitingLine:
    """A device that waits for approval."""

    id: str
    key: str
    name: str
    labels: list[str]
    way: str
    address: str
    asked_at: str
    expires_at: str
    place: str


@dataclass(frozen=True)
class DecidedLine:
    """A device that was let in or turned away."""

    id: str
    key: str
    said: str
    reason: str
    by: str
    at: str
    device_id: str


@dataclass(frozen=True)
class Choice:
    """A profile or group to choose."""

    id: str
    key: str
    name: str


def choices(found: Iterable[Mapping[str, Any]]) -> list[Choice]:
    """Profiles or groups of the contract to choose among."""
    return [Choice(each["id"], each["key"], each["name"]) for each in found]


def way_line(way: Mapping[str, Any], profiles: Mapping[str, str], now: datetime) -> WayLine:
    """A provisioner of the contract as the page shows it."""
    ended_at, ended_how = ended(way, now)
    profile = profiles.get(way["profileId"] or "", "")
    makes = f"makes devices of {profile or 'a profile'}" if way["mode"] == "CREATE" else "lets registered devices in"
    approval = ", each after somebody's yes" if way["needsApproval"] else ""
    rule = f", {summary(way['rule'])}" if way["rule"] else ""
    most = f" of at most {way['maxUses']:,}" if way["maxUses"] else ""
    return WayLine(
        way["id"],
        way["name"],
        KINDS.get(way["kind"], way["kind"].lower()),
        makes + approval + rule,
        f"{way['uses']:,}{most} came in" if way["uses"] else f"none{most} came in yet",
        way["createdBy"],
        way["createdAt"],
        way["expiresAt"] or "",
        ended_at,
        ended_how,
        way["needsApproval"],
        str(way["maxUses"] or ""),
        bool(way["certificate"]),
        way["version"],
    )


def waiting_line(asked: Mapping[str, Any], ways: Mapping[str, str], places: Mapping[str, str]) -> WaitingLine:
    """An enrolment of the contract that waits; ``places`` are the names of profiles and groups."""
    chosen = [asked["profileId"], *asked["groupIds"]]
    return WaitingLine(
        asked["id"],
        asked["deviceKey"] or "",
        asked["name"] or "",
        [f"{name}: {value}" for name, value in asked["labels"].items()],
        ways.get(asked["provisionerId"], "a way in that is gone"),
        asked["address"],
        asked["askedAt"],
        asked["expiresAt"],
        ", ".join(places[each] for each in chosen if each in places),
    )


def decided_line(asked: Mapping[str, Any]) -> DecidedLine:
    """An enrolment of the contract that was decided."""
    return DecidedLine(
        asked["id"],
        asked["deviceKey"] or "a device without a key",
        TURNED[asked["status"]],
        asked["reason"] or "",
        asked["decidedBy"] or "",
        asked["decidedAt"] or asked["askedAt"],
        asked["deviceId"] or "",
    )


def provision_line(key: str) -> str:
    """The line with which a device asks to come in; keys hold no quote, so single quotes are safe in any shell."""
    port = os.environ.get("TIDEGATE_INGEST_HTTP_PORT", "8001")
    body = f'{{"key":"{key}","device":"{NEWCOMER}"}}'
    return f"curl -H 'Content-Type: application/json' -d '{body}' http://%HOST%:{port}/ingest/v1/provision"


def provision_line_mqtt(tenant: str, key: str) -> str:
    """The same over MQTT: it subscribes the answer, asks, and shows what it hears."""
    port = os.environ.get("TIDEGATE_MQTT_PORT", "1883")
    return f"mosquitto_rr -h %HOST% -p {port} -P '{key}' {_asks(tenant)} -m '{{\"device\":\"{NEWCOMER}\"}}'"


def claim_line(tenant: str, batch: str) -> str:
    """With a claim certificate instead of a key, over TLS, for a request that `openssl_request(NEWCOMER)` has made."""
    port = os.environ.get("TIDEGATE_MQTTS_PORT", "8883")
    request = f"$(awk '{{printf \"%s\\\\n\", $0}}' {NEWCOMER}.csr)"
    return (
        f"mosquitto_rr -h %HOST% -p {port} --cafile {SERVER} --cert {batch}.crt --key {batch}.key {_asks(tenant)} "
        f'-m "{{\\"device\\":\\"{NEWCOMER}\\",\\"csr\\":\\"{request}\\"}}"'
    )


def _asks(tenant: str) -> str:
    home = f"t/{tenant}/provision"
    return f"-u '{tenant}/provision' -e '{home}/down/response' -t '{home}/up/request'"


def proof_line(tenant_id: str) -> str:
    """Signs, with the authority's key, a certificate of the name that proves whose it is; shows it."""
    return (
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout proof.key "
        f"-subj '/CN=tidegate-{tenant_id}' -out proof.csr && "
        "openssl x509 -req -in proof.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out proof.crt && "
        "cat proof.crt"
    )


def most_of(text: str) -> int | None:
    """How many may come in; None for any number. Raises ValueError with words to show."""
    text = text.strip().replace(",", "")
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError("How many may come in has to be a whole number above 0, or empty for any number.")
    return int(text) if text else None


def way_of(form: Mapping[str, Any]) -> dict[str, Any]:
    """What a form asks for, as every kind of way in has it; raises ValueError with words to show."""
    name, days = str(form.get("name", "")).strip(), str(form.get("days", ""))
    if not name:
        raise ValueError("Please give it a name: for example the batch it is for.")
    creates = form.get("mode") != "PREREGISTERED"
    group = str(form.get("group", ""))
    return {
        "name": name,
        "mode": "CREATE" if creates else "PREREGISTERED",
        "profileId": (str(form.get("profile", "")) or None) if creates else None,
        "groupIds": [group] if group else None,
        "needsApproval": bool(form.get("approval")),
        "maxUses": most_of(str(form.get("most", ""))),
        "expiresAt": (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None,
    }


def pem_of(text: str, what: str) -> str:
    """The PEM text in what was pasted (`what`: CERTIFICATE); never lets a private key through. Raises ValueError."""
    if "PRIVATE KEY" in text:
        raise ValueError("That is a private key. It was not sent, and must stay where it is: paste the certificate.")
    start, end = text.find(f"-----BEGIN {what}"), text.rfind("-----END")
    if start < 0 or end < start:
        raise ValueError(f"Please paste the whole text, from BEGIN {what} to END {what}.")
    return text[start:].strip() + "\n"
