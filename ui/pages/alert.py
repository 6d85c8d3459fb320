"""One alert: what happened, why, who was told, what was said about it, and what can be done."""

from typing import Any

import reflex as rx

from ui.alert_words import (
    Drawn,
    Happened,
    Sent,
    WhyLine,
    drawn,
    happened,
    metrics_of,
    minutes_until,
    why_lines,
    with_sent,
)
from ui.client import Refused
from ui.components.alert_pieces import quiet
from ui.components.frame import ALL_DEVICES, link, may, page
from ui.components.help import help_link
from ui.components.instead import gone
from ui.components.pieces import body, card, done, field, problem, severity_badge, skeleton, skeleton_rows
from ui.console import Console
from ui.islands.cells import own_zone, told, unbroken, when
from ui.islands.chart import moment
from ui.islands.spans import spans
from ui.names import UUID
from ui.words import AlertLine, alert_line

EMPTY = AlertLine("", "", "", "", "", "", "", "", "", "", "", "", "", "")
TOLD_KINDS = ("TOLD", "NOT_TOLD", "SILENCED")


class AlertDetail(Console):
    """The alert of the address, and what is being done with it."""

    ready: bool = False
    problem: str = ""
    is_gone: bool = False  # or never was
    said: str = ""
    uid: str = ""
    alert: AlertLine = EMPTY
    why: list[WhyLine] = []
    drawn: list[Drawn] = []
    told: list[Happened] = []
    history: list[Happened] = []
    members: list[dict[str, str]] = []
    doing: str = ""  # "snooze" while its form is open

    @rx.var
    def is_open(self) -> bool:
        """Whether what it is about goes on."""
        return self.alert.status != "CLEARED"

    @rx.var
    def assignees(self) -> list[dict[str, str]]:
        """Who may look after it; whoever does already is among them, also where the others are not seen."""
        now = {"id": self.alert.assigned_to, "name": self.alert.assigned_name}
        is_new = bool(now["id"]) and now["id"] not in {each["id"] for each in self.members}
        return [*self.members, now] if is_new else self.members

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        uid = self.segment()
        if uid != self.uid:
            self.ready, self.uid, self.alert, self.is_gone = False, uid, EMPTY, False
        self.problem = self.said = self.doing = ""
        if (away := await self.enter("alerts:read")) is not None:
            return away
        self.uid = uid
        await self._show()
        await self._know_members()
        return None

    @rx.event
    async def refresh(self) -> None:
        """Something happened to an alert: ask again."""
        await self._show()
        await self._count()

    async def _know_members(self) -> None:
        self.members = [{"id": self.user_id, "name": self.user_name or self.user_email}]
        if "users:read" not in self.scopes:
            return  # who does not see the others can still take it on
        try:
            members = (await self.ask("member_names"))["members"]
        except Refused:
            return
        self.members = [{"id": each["id"], "name": each["name"] or each["email"]} for each in members]

    async def _show(self) -> None:
        try:
            alert = (await self.ask("alert", id=self.uid))["alert"]
        except Refused as refusal:
            self.is_gone = refusal.code == "ALERT_NOT_FOUND" or not UUID.fullmatch(self.uid)
            self.problem = "" if self.is_gone else refusal.words
            return
        metrics = metrics_of(alert["device"].get("profile", {"metrics": []}))  # left out without the right to it
        self.alert, self.why = alert_line(alert), why_lines(alert["why"], metrics)
        self.drawn = drawn(alert["why"], metrics) if "telemetry:read" in self.scopes else []
        entries = with_sent([happened(each) for each in alert["history"]], alert.get("deliveries", []))
        self.told = [each for each in entries if each.kind in TOLD_KINDS]
        self.history = entries[::-1]
        self.problem, self.ready, self.is_gone = "", True, False

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.problem = self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.doing = ""
        await self._show()
        self.said = said

    @rx.event
    async def acknowledge(self, form: dict[str, Any]) -> None:
        """Say that somebody cares, with a note for the others."""
        note = str(form.get("note", "")).strip() or None
        said = "The others see that you care. Nobody is reminded of it any more."
        await self._do("alerts_acknowledge", said, ids=[self.uid], note=note)
        await self._count()

    @rx.event
    async def comment(self, form: dict[str, Any]) -> None:
        """Say something about it."""
        if text := str(form.get("text", "")).strip():
            await self._do("alert_comment", "", id=self.uid, text=text)

    @rx.event
    async def assign(self, user_id: str) -> None:
        """Give it to a member; '' for nobody."""
        await self._do("alert_assign", "", id=self.uid, userId=user_id or None)

    @rx.event
    def open_snooze(self, is_open: bool) -> None:
        """Open or close the form that puts it off."""
        self.doing = "snooze" if is_open else ""

    @rx.event
    async def snooze(self, form: dict[str, Any]) -> None:
        """Put it off."""
        try:
            minutes = minutes_until(str(form.get("until_at", "")))
        except ValueError:
            self.problem = "Say until when."
            return
        said = "Nobody is told of it until then. If it is still open, telling goes on."
        await self._do("alert_snooze", said, id=self.uid, minutes=minutes)

    @rx.event
    async def wake(self) -> None:
        """End the putting-off."""
        await self._do("alert_wake", "Telling goes on.", id=self.uid)


def _heading() -> rx.Component:
    alert = AlertDetail.alert
    status = rx.match(
        alert.status,
        ("ACTIVE", rx.el.span("open, nobody has taken note", class_name="badge badge-bad")),
        ("ACKNOWLEDGED", rx.el.span("open, acknowledged by ", alert.acknowledged_by, class_name="badge badge-warn")),
        rx.el.span("over", class_name="badge badge-ok"),
    )
    return rx.el.div(
        rx.el.div(
            link(rx.icon("arrow-left", size=15), "Alerts", to="/alerts", class_name="crumb"),
            rx.el.h1(
                rx.cond(AlertDetail.ready, rx.fragment(alert.device, ": ", alert.rule), skeleton(28, "320px")),
            ),
            rx.cond(
                AlertDetail.ready,
                rx.el.div(severity_badge(alert.severity), status, quiet(alert), class_name="row alert-state"),
            ),
        ),
        class_name="head",
    )


def _what() -> rx.Component:
    alert = AlertDetail.alert
    return card(
        "What happened",
        body(
            rx.el.p(told(text=alert.reason, at=alert.raised_at), class_name="reason alert-reason"),
            rx.el.p(
                "Raised ",
                when(at=alert.raised_at, both=True),
                rx.cond(
                    alert.cleared_at != "",
                    rx.el.span(". Over ", when(at=alert.cleared_at, both=True), ", after ", alert.lasted),
                    ". It is not over yet",
                ),
                rx.cond(
                    alert.cleared_reason != "",
                    rx.el.span(": ", told(text=alert.cleared_reason, at=alert.cleared_at)),
                ),
                ". ",
                own_zone(),
                class_name="small muted",
            ),
            rx.el.p(
                rx.cond(may("devices:read"), link("See the device", to="/devices/" + alert.device_id)),
                rx.cond(may("devices:read") & may("rules:read"), rx.el.span(" · ", class_name="muted")),
                rx.cond(may("rules:read"), link("See the rule", to="/rules/" + alert.rule_id)),
                class_name="small",
            ),
        ),
    )


def _around() -> rx.Component:
    """The metrics that made the rule fire, around that time."""
    alert = AlertDetail.alert

    def line(metric: rx.Var[Drawn]) -> rx.Component:
        return rx.el.div(
            rx.el.p(
                metric.label,
                rx.cond(metric.unit != "", rx.el.span(" in ", metric.unit)),
                class_name="small muted chart-title",
            ),
            moment(alert.device_id, metric, alert.raised_at, alert.cleared_at),
            key=metric.key,
        )

    return rx.cond(AlertDetail.drawn.length() > 0, card("Around that time", rx.foreach(AlertDetail.drawn, line)))


def _why() -> rx.Component:
    def line(each: rx.Var[WhyLine]) -> rx.Component:
        verdict = rx.el.span(
            each.verdict,
            class_name=rx.match(each.verdict, ("yes", "badge badge-ok"), ("no", "badge"), "badge badge-warn"),
        )
        return rx.el.li(
            rx.el.span(each.words, class_name=rx.cond(each.is_group, "why-words why-group", "why-words")),
            verdict,
            rx.cond(each.seen != "", rx.el.span(each.seen, class_name="small why-seen")),
            class_name="why-line",
            style={"paddingLeft": f"calc({each.depth} * var(--step))"},
        )

    summary = AlertDetail.alert.summary
    return rx.cond(
        (AlertDetail.why.length() > 0) | (summary != ""),
        card(
            "Why",
            rx.el.div(
                rx.cond(summary != "", rx.el.p("The rule says: ", unbroken(text=summary), class_name="small")),
                rx.el.ul(rx.foreach(AlertDetail.why, line), class_name="why"),
                class_name="card-body stack",
            ),
            words="What the rule asks, and what was seen when it fired. “Unknown” means that no value was there.",
        ),
    )


def _sent(each: rx.Var[Sent], says_trouble: bool) -> rx.Component:
    return rx.el.li(
        rx.el.span(
            each.channel,
            rx.cond(each.place != "", rx.el.span(" to ", rx.el.span(each.place, class_name="nowrap"))),
        ),
        link(
            each.stand,
            rx.cond(each.ended_at != "", rx.el.span(" ", when(at=each.ended_at))),
            to="/notifications?show=went-out&delivery=" + each.id,
            class_name=each.badge,
            title="See it in the log of what went out",
        ),
        rx.cond(each.trouble != "", rx.el.span(each.trouble, class_name="sub")) if says_trouble else rx.fragment(),
        key=each.id,
    )


def _entry(each: rx.Var[Happened], says_trouble: bool = False) -> rx.Component:
    icon = rx.match(
        each.icon,
        *(
            (name, rx.icon(name, size=16))
            for name in (
                "check",
                "user-round",
                "message-square",
                "alarm-clock",
                "bell",
                "bell-off",
                "send",
                "circle-alert",
            )
        ),
        rx.icon("circle", size=16),
    )
    return rx.el.li(
        icon,
        rx.el.div(
            rx.el.p(each.words, " ", rx.el.span(when(at=each.at), class_name="muted small")),
            rx.cond(each.text != "", rx.el.p(told(text=each.text, at=each.at), class_name="happened-text")),
            rx.cond(
                each.sent.length() > 0,
                rx.el.ul(rx.foreach(each.sent, lambda one: _sent(one, says_trouble)), class_name="sent"),
            ),
        ),
        class_name="happened",
    )


def _told() -> rx.Component:
    alert = AlertDetail.alert
    nobody = rx.el.p(
        rx.cond(
            alert.silenced_until != "",
            "Nobody: there is a silence.",
            "Nobody so far. The rule says whom to tell; without a policy the alert stands here only.",
        ),
        class_name="card-body muted small",
    )
    return card(
        "Who was told",
        rx.cond(
            AlertDetail.told.length() > 0,
            rx.el.ul(
                rx.foreach(AlertDetail.told, lambda each: _entry(each, says_trouble=True)),
                class_name="card-body happenings",
            ),
            nobody,
        ),
        rx.cond(
            may("notifications:read"),
            rx.el.p(
                rx.cond(
                    AlertDetail.told.length() > 0,
                    link("See all that went out", to="/notifications?show=went-out"),
                    link("Policies and channels", to="/notifications"),
                ),
                class_name="card-body small",
            ),
        ),
    )


def _history() -> rx.Component:
    say = rx.el.form(
        rx.el.textarea(
            name="text",
            required=True,
            max_length=2000,
            rows=2,
            placeholder="What did you find? What was done?",
            class_name="textarea input comment-box",
            custom_attrs={"aria-label": "Comment"},
        ),
        rx.el.button("Comment", type="submit", class_name="btn"),
        on_submit=AlertDetail.comment,
        reset_on_submit=True,
        class_name="stack-tight comment-form",
    )
    return card(
        "History",
        rx.el.div(
            rx.cond(may("alerts:write"), say),
            rx.cond(
                AlertDetail.history.length() > 0,
                rx.el.ul(
                    rx.foreach(AlertDetail.history, lambda each: _entry(each)),
                    class_name="happenings",
                    aria_live="polite",
                ),
                rx.el.p("Nothing has been done or said yet.", class_name="muted small"),
            ),
            class_name="card-body stack",
        ),
    )


def _acknowledge() -> rx.Component:
    return rx.cond(
        AlertDetail.alert.status == "ACTIVE",
        rx.el.form(
            rx.el.input(
                name="note",
                placeholder="A note for the others (optional)",
                max_length=1000,
                class_name="input",
                custom_attrs={"aria-label": "Note"},
            ),
            rx.el.button(rx.icon("check", size=15), "Acknowledge", type="submit", class_name="btn btn-primary"),
            rx.el.p("The others see that somebody cares, and nobody is reminded any more.", class_name="small muted"),
            on_submit=AlertDetail.acknowledge,
            class_name="stack-tight",
        ),
        rx.el.p(
            "Acknowledged by ",
            AlertDetail.alert.acknowledged_by,
            " ",
            when(at=AlertDetail.alert.acknowledged_at),
            rx.cond(AlertDetail.alert.note != "", rx.el.span(": “", AlertDetail.alert.note, "”")),
            class_name="small",
        ),
    )


def _assign() -> rx.Component:
    return rx.cond(
        AlertDetail.members.length() > 0,
        field(
            "Who looks after it",
            rx.el.select(
                rx.el.option("nobody yet", value=""),
                rx.foreach(AlertDetail.assignees, lambda each: rx.el.option(each["name"], value=each["id"])),
                id="assign",
                value=AlertDetail.alert.assigned_to,
                on_change=AlertDetail.assign,
                class_name="select",
            ),
            for_="assign",
        ),
    )


def _snooze() -> rx.Component:
    form = rx.el.form(
        spans(name="snooze", legend="Tell nobody for", offers=["hour", "morning"], has_start=False),
        rx.el.div(
            rx.el.button("Put it off", type="submit", class_name="btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=AlertDetail.open_snooze(False)),
            class_name="row",
        ),
        on_submit=AlertDetail.snooze,
        class_name="stack-tight",
    )
    ask = rx.el.button(
        rx.icon("alarm-clock", size=15),
        "Put it off…",
        type="button",
        class_name="btn",
        on_click=AlertDetail.open_snooze(True),
    )
    offer = rx.el.div(ask, help_link("snooze"), class_name="row")
    asleep = rx.el.div(
        rx.el.p("Put off until ", when(at=AlertDetail.alert.snoozed_until, as_hour=True), ".", class_name="small"),
        rx.el.button("Tell people again", type="button", class_name="btn", on_click=AlertDetail.wake),
        class_name="stack-tight",
    )
    return rx.cond(AlertDetail.alert.snoozed_until != "", asleep, rx.cond(AlertDetail.doing == "snooze", form, offer))


def _quiet_all() -> rx.Component:
    """The way to a silence, for whoever wants to hear nothing of its like for a while."""
    alert = AlertDetail.alert
    return rx.cond(
        may(ALL_DEVICES),
        rx.el.p(
            "Hear nothing for a while of ",
            link("this rule", to="/alerts?silence_rule=" + alert.rule_id),
            " or ",
            link("this device", to="/alerts?silence_device=" + alert.device_id),
            "?",
            class_name="small muted text-links",
        ),
    )


def _can_be_done() -> rx.Component:
    return rx.cond(
        AlertDetail.is_open & may("alerts:write"),
        rx.el.div(
            card("What to do", body(_acknowledge(), _assign(), _snooze(), _quiet_all()), about="acknowledge"),
            class_name="what-to-do",
        ),
    )


def alert() -> rx.Component:
    """The page."""
    sheet = rx.el.div(
        rx.el.div(_what(), _around(), _why(), _history()),
        rx.el.div(_can_be_done(), _told()),
        class_name="grid two alert-page",
    )
    waiting = rx.el.div(skeleton_rows(), class_name="card")
    return page(
        "Alerts",
        rx.cond(
            AlertDetail.is_gone,
            gone("alert", "See all alerts", "/alerts"),
            rx.fragment(
                _heading(),
                problem(AlertDetail.problem, AlertDetail.load),
                done(AlertDetail.said),
                rx.cond(AlertDetail.ready, sheet, rx.cond(AlertDetail.problem == "", waiting)),
            ),
        ),
        on_alert=AlertDetail.refresh,
        needs="alerts:read",
    )
