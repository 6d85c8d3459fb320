"""What the page knows of the device of its address, and what is being done with it."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

import reflex as rx

from ui.client import Refused
from ui.console import Console
from ui.credentials import CredentialLine, credential_line
from ui.first_message import mosquitto_pub
from ui.names import UUID
from ui.pages.device.words import MetricLine, all_readings, drawable, labels_of, labels_text
from ui.words import GONE_WORDS, STATUS_WORDS, AlertLine, Reading, alert_line, words


class Device(Console):
    """The device of the address, and what is being done with it."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("token", "command")

    ready: bool = False
    is_whole: bool = False  # whether all parts of the page are there
    problem: str = ""
    is_gone: bool = False  # or never was
    said: str = ""
    uid: str = ""
    key: str = ""
    name: str = ""
    status: str = ""
    status_words: str = ""
    is_online: bool = False
    since: str = ""
    reason: str = ""
    silent_since: str = ""
    interval_s: int = 0
    last_seen: str = ""
    created_at: str = ""
    profile_name: str = ""
    labels: dict[str, str] = {}
    readings: list[Reading] = []
    metrics: list[MetricLine] = []
    credentials: list[CredentialLine] = []
    old_credentials: list[CredentialLine] = []
    alerts: list[AlertLine] = []
    command: str = ""
    token: str = ""
    labels_text: str = ""
    is_editing: bool = False
    is_ending: bool = False
    is_shutting: bool = False  # being asked why the device is to be quarantined
    quarantine_reason: str = ""

    _version: int = 0
    _metrics: list[dict[str, Any]] = []

    @rx.var
    def is_over(self) -> bool:
        """Whether the device's life has ended."""
        return self.status == "DECOMMISSIONED"

    @rx.var
    def label_pages(self) -> dict[str, str]:
        """By label, the list of the devices that have the same."""
        asked = {name: name.replace("\\", r"\\").replace("=", r"\=") for name in self.labels}
        return {name: "/devices?label=" + quote(f"{asked[name]}={self.labels[name]}", safe="") for name in asked}

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        uid = self.segment()
        if uid != self.uid:
            self.ready, self.uid, self.is_gone, self.problem = False, uid, False, ""
            self.is_whole = False
        self.token = self.said = ""  # a token is shown once: whoever comes back does not see it again
        self.is_editing = self.is_ending = self.is_shutting = False
        yield
        if (away := await self.enter("devices:read")) is not None:
            yield away
            return
        self.uid = uid
        await self._show()

    @rx.event
    def complete(self) -> None:
        """The last part of the page has come: those below the chart are shown at once, and none pushes another."""
        self.is_whole = True

    @rx.event
    async def refresh(self) -> None:
        """Ask again, because the device began to send something new."""
        await self._show()

    async def _show(self) -> None:
        try:
            data = await self.ask("device_detail", id=self.uid)
        except Refused as refusal:
            self.is_gone = refusal.code == "DEVICE_NOT_FOUND" or not UUID.fullmatch(self.uid)
            self.problem = "" if self.is_gone else refusal.words
            return
        self.problem, self.ready, self.is_gone = "", True, False
        self._fill(data["device"])
        self.alerts = [alert_line(each) for each in data.get("alerts", {"items": []})["items"]]

    def _fill(self, device: dict[str, Any]) -> None:
        self.key, self.name = device["key"], device["name"] or device["key"]
        self.status = device["status"]
        self.status_words = STATUS_WORDS.get(self.status, words(self.status))
        self.quarantine_reason = device["quarantineReason"] or ""
        self.is_online, self.last_seen = device["isOnline"], device["lastSeenAt"] or ""
        self.since, reason = device["presence"]["since"] or "", device["presence"]["reason"] or ""
        self.reason = GONE_WORDS.get(reason, reason)
        self.silent_since = device["presence"]["silentSince"] or ""
        self.interval_s = device["profile"]["reportingIntervalS"] or 0
        self.created_at, self.profile_name = device["createdAt"], device["profile"]["name"]
        self.labels = {str(key): str(value) for key, value in device["labels"].items()}
        self.labels_text = labels_text(self.labels)
        self.readings, self.metrics = all_readings(device), drawable(device)
        now = datetime.now(UTC)
        lines = [credential_line(each, now) for each in device["credentials"] if each["kind"] == "token"]
        self.credentials = [each for each in lines if not each.ended_at]
        self.old_credentials = [each for each in lines if each.ended_at]
        self._version, self._metrics = device["version"], device["profile"]["metrics"]
        self.command = mosquitto_pub(self.tenant_key, self.key, self.token, self._metrics)

    async def _change(self, operation: str, said: str, **variables: Any) -> dict[str, Any] | None:
        """Change something, say so, and show what it became; None when the platform refused."""
        self.said = ""
        try:
            data = await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.said = said
        await self._show()
        return data

    @rx.event
    async def issue_token(self) -> None:
        """Give the device one more token and put it into the command."""
        data = await self._change("credential_issue", "", deviceId=self.uid)
        if data is not None:
            self.token = data["credentialIssue"]["token"]
            self.command = mosquitto_pub(self.tenant_key, self.key, self.token, self._metrics)

    @rx.event
    async def revoke(self, credential_id: str) -> None:
        """Stop a token from working; a connection that uses it is cut."""
        await self._change("credential_revoke", "The token no longer works.", id=credential_id)

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Save the name and the labels."""
        try:
            labels = labels_of(form.get("labels", ""))
        except ValueError as problem:
            self.problem = str(problem)
            return
        changes = {"name": form.get("name", "").strip() or self.key, "labels": labels}
        if await self._change("device_update", "Saved.", id=self.uid, input=changes, version=self._version) is not None:
            self.is_editing = False

    @rx.event
    async def decommission(self, form: dict[str, Any]) -> None:
        """End the device's life, and erase what it has sent if that is ticked."""
        self.is_ending, self.token = False, ""
        erase = bool(form.get("erase"))
        history = "All that it has sent is being erased." if erase else "Its history stays."
        said = f"The device is decommissioned. {history}"
        await self._change("device_decommission", said, id=self.uid, erase=erase)

    @rx.event
    def shut(self, is_shutting: bool) -> None:
        """Ask why before the device is quarantined, or let it be."""
        self.is_shutting, self.said = is_shutting, ""

    @rx.event
    async def quarantine(self, form: dict[str, Any]) -> None:
        """Shut the device out because something is wrong with it."""
        self.is_shutting, self.token = False, ""
        reason = str(form.get("reason", "")).strip()
        await self._change(
            "device_quarantine", "The device is in quarantine: it is cut off.", id=self.uid, reason=reason
        )

    @rx.event
    async def release(self) -> None:
        """Let the device out of quarantine with a new token; the old ones die, since somebody may have them."""
        data = await self._change("device_release", "It is out of quarantine. Only its new token counts.", id=self.uid)
        if data is not None:
            self.token = data["deviceRelease"]["token"] or ""
            self.command = mosquitto_pub(self.tenant_key, self.key, self.token, self._metrics)

    @rx.event
    async def suspend(self) -> None:
        """Shut the device out for the time being."""
        said = "The device is suspended: it is cut off, and nothing that it sends is taken. Its tokens stay."
        await self._change("device_suspend", said, id=self.uid)

    @rx.event
    async def resume(self) -> None:
        """Let the device in again."""
        await self._change("device_resume", "The device is back in service and may connect again.", id=self.uid)

    @rx.event
    def edit(self, is_editing: bool) -> None:
        """Open or close the form."""
        self.is_editing = is_editing

    @rx.event
    def end(self, is_ending: bool) -> None:
        """Ask before ending the device's life, or let it be."""
        self.is_ending = is_ending
