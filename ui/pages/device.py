"""One device: what it says now, its history, how it connects, and the end of its life."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.certificates import certificates
from ui.components.commands import commands
from ui.components.erasure import erasure
from ui.components.frame import link, may, page
from ui.components.memberships import memberships
from ui.components.pieces import answers, body, card, done, empty, field, problem, severity_badge, skeleton
from ui.components.public_keys import public_keys
from ui.console import Console
from ui.credentials import CredentialLine, credential_line
from ui.first_message import mosquitto_pub
from ui.islands.cells import command, copy, live_cards, live_presence, live_when, when
from ui.islands.chart import chart
from ui.words import STATUS_WORDS, AlertLine, Reading, alert_line, readings, unit, words

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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


class Device(Console):
    """The device of the address, and what is being done with it."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("token", "command")

    ready: bool = False
    problem: str = ""
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

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        uid = self.segment()
        if uid != self.uid:
            self.ready, self.uid = False, uid
        self.token = self.said = ""  # a token is shown once: whoever comes back does not see it again
        self.is_editing = self.is_ending = self.is_shutting = False
        yield
        if (away := await self.enter()) is not None:
            yield away
            return
        self.uid = uid
        await self._show()

    @rx.event
    async def refresh(self) -> None:
        """Ask again, because the device began to send something new."""
        await self._show()

    async def _show(self) -> None:
        try:
            data = await self.ask("device_detail", id=self.uid)
        except Refused as refusal:
            no_such = refusal.code == "DEVICE_NOT_FOUND" or not UUID.fullmatch(self.uid)
            self.problem = "There is no such device." if no_such else refusal.words
            return
        self.problem, self.ready = "", True
        self._fill(data["device"])
        self.alerts = [alert_line(each) for each in data["alerts"]["items"]]

    def _fill(self, device: dict[str, Any]) -> None:
        self.key, self.name = device["key"], device["name"] or device["key"]
        self.status = device["status"]
        self.status_words = STATUS_WORDS.get(self.status, words(self.status))
        self.quarantine_reason = device["quarantineReason"] or ""
        self.is_online, self.last_seen = device["isOnline"], device["lastSeenAt"] or ""
        self.since, self.reason = device["presence"]["since"] or "", device["presence"]["reason"] or ""
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


def _heading() -> rx.Component:
    status = rx.cond(
        Device.is_over | (Device.status == "SUSPENDED") | (Device.status == "QUARANTINED"),
        rx.el.span(Device.status_words, class_name="badge"),
        rx.el.span(
            live_presence(
                device_id=Device.uid,
                online=Device.is_online,
                since=Device.since,
                silent_since=Device.silent_since,
                interval=Device.interval_s,
                detailed=True,
            ),
            rx.cond(
                (Device.status == "PROVISIONED") & (Device.last_seen == ""),
                rx.el.span("Waiting for its first message", class_name="badge badge-accent"),
            ),
            class_name="row",
        ),
    )
    return rx.el.div(
        rx.el.div(
            link(rx.icon("arrow-left", size=15), "Devices", to="/devices", class_name="crumb"),
            rx.el.h1(rx.cond(Device.ready, Device.name, skeleton(28, "220px"))),
            rx.el.div(
                rx.el.code(Device.key),
                rx.el.span("·", class_name="muted"),
                status,
                class_name="row small",
                style={"marginTop": "6px", "minHeight": "26px"},
            ),
        ),
        rx.el.div(
            rx.cond(
                Device.ready & ~Device.is_over,
                rx.fragment(
                    rx.cond(may("devices:write"), _in_and_out()),
                    rx.el.button(
                        rx.icon("pencil", size=15),
                        "Edit",
                        type="button",
                        class_name="btn",
                        on_click=Device.edit(True),
                    ),
                ),
            ),
            class_name="actions",
        ),
        class_name="head",
    )


def _in_and_out() -> rx.Component:
    """Suspending a device in service, resuming a suspended one, releasing one from quarantine."""
    return rx.match(
        Device.status,
        (
            "ACTIVE",
            rx.el.button(
                rx.icon("pause", size=15), "Suspend", type="button", class_name="btn", on_click=Device.suspend
            ),
        ),
        (
            "SUSPENDED",
            rx.el.button(
                rx.icon("play", size=15), "Resume", type="button", class_name="btn btn-primary", on_click=Device.resume
            ),
        ),
        (
            "QUARANTINED",
            rx.el.button(
                rx.icon("shield-check", size=15),
                "Release",
                type="button",
                class_name="btn btn-primary",
                on_click=Device.release,
            ),
        ),
        rx.fragment(),
    )


def _looks() -> rx.Component:
    """Where to look further: what it sent that was not accepted, and what people did to it."""
    return rx.el.div(
        rx.cond(may("inbox:read"), link("Messages not accepted", to="/inbox?device=" + Device.uid)),
        rx.cond(may("audit:read"), link("What was done to it", to="/access/audit?target=" + Device.uid)),
        class_name="small stack-tight",
    )


def _edit() -> rx.Component:
    return rx.cond(
        Device.is_editing,
        card(
            "Name and labels",
            rx.el.form(
                field(
                    "Name",
                    rx.el.input(
                        id="name",
                        name="name",
                        default_value=Device.name,
                        max_length=120,
                        class_name="input",
                        required=True,
                    ),
                    for_="name",
                ),
                field(
                    "Labels",
                    rx.el.textarea(
                        id="labels",
                        name="labels",
                        default_value=Device.labels_text,
                        rows=4,
                        class_name="textarea input",
                    ),
                    "One a line, for example “site: Hamburg”. They help you find devices.",
                    for_="labels",
                ),
                answers("Save", Device.edit(False)),
                on_submit=Device.save,
                class_name="card-body stack",
            ),
        ),
    )


def _alerts() -> rx.Component:
    def line(alert: rx.Var[AlertLine]) -> rx.Component:
        return rx.el.div(
            severity_badge(alert.severity),
            link(alert.reason, to="/alerts/" + alert.id, class_name="cap reason-link"),
            rx.el.span(
                link(alert.rule, to="/rules/" + alert.rule_id),
                " · ",
                when(at=alert.raised_at),
                class_name="small muted push",
            ),
            class_name="row",
        )

    return rx.cond(
        Device.alerts.length() > 0,
        rx.el.section(
            rx.el.div(rx.foreach(Device.alerts, line), class_name="card-body stack-tight"),
            class_name="card card-alarm",
            aria_label="Open alerts of this device",
        ),
    )


def _connect() -> rx.Component:
    return card(
        "Send a message",
        body(
            rx.cond(
                Device.token != "",
                rx.el.div(
                    rx.icon("key-round", size=17),
                    rx.el.span("This token is shown once. Copy it now: ", rx.el.code(Device.token)),
                    copy(text=Device.token, label="Copy token"),
                    class_name="note note-warn",
                    role="status",
                ),
                rx.el.p(
                    "The device signs in with a token. Issue one, and it is filled into this line.",
                    class_name="muted small",
                ),
            ),
            command(text=Device.command),
            rx.el.div(
                rx.el.button(
                    rx.icon("key-round", size=16),
                    "Issue a token",
                    type="button",
                    class_name="btn",
                    on_click=Device.issue_token,
                )
            ),
        ),
    )


def _credentials() -> rx.Component:
    def line(each: rx.Var[CredentialLine]) -> rx.Component:
        revoke = rx.el.button(
            "Revoke",
            type="button",
            class_name="btn btn-small btn-danger push",
            on_click=Device.revoke(each.id),
        )
        return rx.el.li(
            rx.el.div(
                rx.el.span(
                    "Issued ",
                    when(at=each.created_at),
                    rx.cond(
                        (each.expires_at != "") & (each.ended_at == ""),
                        rx.el.span(", ends ", when(at=each.expires_at)),
                    ),
                ),
                rx.cond(
                    each.ended_at != "",
                    rx.el.span(each.ended_how, " ", when(at=each.ended_at), class_name="muted push"),
                    rx.cond(may("devices:write"), revoke),
                ),
                class_name="row small",
            ),
            key=each.id,
        )

    none_yet = empty(
        "key-round", "No tokens", "The device needs a token, a certificate or a key to connect.", small=True
    )
    earlier = rx.el.details(
        rx.el.summary(Device.old_credentials.length().to_string(), " that no longer count", class_name="small"),
        rx.el.ul(rx.foreach(Device.old_credentials, line), class_name="list list-flush"),
        class_name="fold card-body",
    )
    return card(
        "Tokens",
        rx.cond(
            Device.credentials.length() > 0,
            rx.el.ul(rx.foreach(Device.credentials, line), class_name="list"),
            none_yet,
        ),
        rx.cond(Device.old_credentials.length() > 0, earlier),
    )


def _about() -> rx.Component:
    return card(
        "About",
        body(
            rx.el.dl(
                rx.el.dt("Profile"),
                rx.el.dd(Device.profile_name),
                rx.el.dt("Groups"),
                rx.el.dd(memberships()),
                rx.el.dt("Last message"),
                rx.el.dd(live_when(device_id=Device.uid, time=Device.last_seen, none="never")),
                rx.el.dt("Added"),
                rx.el.dd(when(at=Device.created_at)),
                rx.cond(
                    (Device.reason != "") & ~Device.is_online,
                    rx.fragment(rx.el.dt("Went offline"), rx.el.dd(Device.reason)),
                ),
                rx.cond(
                    Device.labels.length() > 0,
                    rx.fragment(
                        rx.el.dt("Labels"),
                        rx.el.dd(
                            rx.foreach(
                                Device.labels,
                                lambda item: rx.el.span(item[0], ": ", item[1], class_name="badge"),
                            ),
                            class_name="row",
                            style={"gap": "6px"},
                        ),
                    ),
                ),
                class_name="kv",
            ),
            _looks(),
        ),
    )


def _decommission() -> rx.Component:
    return rx.el.form(
        rx.el.p(
            "Decommissioning ends this device's life: its tokens and certificates stop working at once, and it cannot "
            "come back."
        ),
        rx.cond(
            may("devices:erase"),
            rx.el.label(
                rx.el.input(type="checkbox", name="erase"),
                rx.el.span(
                    "Erase all that it has sent as well",
                    rx.el.span("Readings, alerts and messages not accepted. It cannot be undone.", class_name="sub"),
                ),
                class_name="tick",
            ),
        ),
        rx.el.div(
            rx.el.button("Decommission ", Device.name, type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Keep it", type="button", class_name="btn", auto_focus=True, on_click=Device.end(False)),
            class_name="row",
        ),
        on_submit=Device.decommission,
        class_name="card card-body stack",
        aria_label="Decommission this device?",
    )


def _quarantine() -> rx.Component:
    return rx.el.form(
        rx.el.p("It is cut off at once and gets no new token until somebody releases it. Its data stays."),
        field(
            "What is wrong with it?",
            rx.el.input(
                id="quarantine-reason",
                name="reason",
                max_length=500,
                required=True,
                auto_focus=True,
                placeholder="It sends nonsense since the storm",
                class_name="input",
            ),
            "For those who come after you.",
            for_="quarantine-reason",
        ),
        rx.el.div(
            rx.el.button("Quarantine ", Device.name, type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Leave it", type="button", class_name="btn", on_click=Device.shut(False)),
            class_name="row",
        ),
        on_submit=Device.quarantine,
        class_name="card card-body stack",
        aria_label="Quarantine this device?",
    )


def _ending() -> rx.Component:
    """What shuts a device out: for a while, because something is wrong, or for good."""

    def ask(words: str, on_click: Any) -> rx.Component:
        return rx.el.button(words, type="button", class_name="btn btn-ghost btn-danger", on_click=on_click)

    hand_over = link(
        "Hand over to another organisation…", to="/devices/transfers?device=" + Device.uid, class_name="btn btn-ghost"
    )
    buttons = rx.el.div(
        rx.cond(Device.status != "QUARANTINED", hand_over),
        rx.cond(Device.status != "QUARANTINED", ask("Quarantine this device…", Device.shut(True))),
        ask("Decommission this device…", Device.end(True)),
        class_name="row",
    )
    return rx.cond(
        ~Device.is_over & may("devices:write"),
        rx.el.section(
            rx.cond(Device.is_ending, _decommission(), rx.cond(Device.is_shutting, _quarantine(), buttons)),
            aria_label="End of life",
        ),
    )


def _quarantined() -> rx.Component:
    return rx.cond(
        Device.quarantine_reason != "",
        rx.el.div(
            rx.icon("shield-alert", size=17),
            rx.el.div(
                rx.el.p(rx.el.b("In quarantine: "), Device.quarantine_reason),
                rx.el.p("When it is mended, release it: it gets a new token, and the old ones stay dead."),
            ),
            class_name="note note-warn",
            role="status",
        ),
    )


def device() -> rx.Component:
    """The page."""
    sheet = rx.fragment(
        _edit(),
        _alerts(),
        live_cards(
            device_id=Device.uid,
            readings=Device.readings,
            is_new=Device.last_seen == "",
            on_new=Device.refresh,
        ),
        rx.cond(
            Device.readings.length() == 0,
            rx.el.div(
                empty("radio", "No values yet", "Send a first message with the line below. It appears here by itself."),
                class_name="card",
            ),
        ),
        chart(Device.uid, Device.metrics),
        rx.cond(Device.is_over, rx.fragment(), commands()),
        rx.el.div(
            rx.el.div(
                rx.cond(Device.is_over | (Device.status == "QUARANTINED"), rx.fragment(), _connect()),
                certificates(),
                public_keys(),
                rx.cond(Device.is_over, erasure(Device.key)),
            ),
            rx.el.div(_about(), _credentials()),
            class_name="grid two",
        ),
        _ending(),
    )
    waiting = rx.el.div(
        *(rx.el.div(skeleton(14, "60%"), skeleton(26, "70%"), class_name="card value-card") for _ in range(4)),
        class_name="cards",
    )
    return page(
        "Devices",
        _heading(),
        problem(Device.problem, Device.load),
        done(Device.said),
        _quarantined(),
        rx.cond(Device.ready, sheet, rx.cond(Device.problem == "", waiting)),
    )
