"""The fleet audit: what is not as it should be with devices and their secrets, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, page
from ui.components.pieces import answers, done, empty, field, line_head, pager, problem, skeleton_rows
from ui.console import ALL_DEVICES, Console
from ui.islands.cells import when
from ui.names import with_names
from ui.paging import PAGE_SIZE, Paged

SHOWN = (("OPEN", "To look at"), ("SUPPRESSED", "Put aside"), ("RESOLVED", "Mended"))
DAILY = "Once a day we look for what is weak, shared or running out among your devices and their secrets."
SPANS = (("7", "for a week"), ("30", "for 30 days"), ("90", "for 90 days"), ("", "for good"))


@dataclass(frozen=True)
class FindingLine:
    """One thing that is not as it should be."""

    id: str
    severity: str
    title: str
    wrong: str
    mend: str
    device_id: str
    name: str  # of the device, or of what it is about where that is no device
    seen_at: str
    resolved_at: str
    reason: str
    by: str
    until: str


@dataclass(frozen=True)
class CheckLine:
    """One check of the audit, and how many it found."""

    title: str
    severity: str
    found: int


def finding_line(finding: dict[str, Any], names: dict[str, str]) -> FindingLine:
    """A finding of the contract as the page shows it."""
    device_id = finding["deviceId"] or ""
    return FindingLine(
        finding["id"],
        finding["severity"].lower(),
        finding["title"],
        finding["wrong"],
        finding["mend"],
        device_id,
        names.get(device_id, "") if device_id else str(finding["facts"].get("name", "")),
        finding["firstSeenAt"],
        finding["resolvedAt"] or "",
        finding["suppressedReason"] or "",
        finding["suppressedBy"] or "",
        finding["suppressedUntil"] or "",
    )


class FleetAudit(Paged, Console):
    """The newest audit, and one page of findings."""

    said: str = ""
    shown: str = "OPEN"
    is_busy: bool = False
    audited_at: str = ""
    devices: int = 0
    checks: list[CheckLine] = []
    findings: list[FindingLine] = []
    aside: str = ""  # the finding about which it is being asked

    _names: dict[str, str] = {}

    @rx.var
    def found(self) -> int:
        """How many checks found something."""
        return sum(each.found > 0 for each in self.checks)

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said, self.aside, self.shown, self.is_busy = "", "", "OPEN", False
        if (away := await self.enter(ALL_DEVICES)) is not None:
            return away
        return await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            await self._figures()
            found = (await self.ask("fleet_findings", status=self.shown, first=PAGE_SIZE, after=after))["fleetFindings"]
            ids = {each["deviceId"] for each in found["items"] if each["deviceId"]}
            self._names = await with_names(self, self._names, ids)
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.findings = [finding_line(each, self._names) for each in found["items"]]
        info: dict[str, Any] = found["pageInfo"]
        return info

    async def _figures(self) -> None:
        try:
            audit = (await self.ask("fleet_audit"))["fleetAudit"]
        except Refused as refusal:
            if refusal.code != "NOT_AUDITED":
                raise
            audit = None  # the first one is still to come
        if audit is None:
            self.audited_at, self.checks = "", []
            return
        self.audited_at, self.devices = audit["finishedAt"], audit["devices"]
        self.checks = [CheckLine(each["title"], each["severity"].lower(), each["found"]) for each in audit["figures"]]

    @rx.event
    async def show(self, shown: str) -> None:
        """Show findings to look at, put aside, or mended."""
        self.shown, self.aside, self.said = shown, "", ""
        await self.first_page()

    @rx.event
    async def run(self) -> Any:
        """Audit the fleet now."""
        self.is_busy, self.said = True, ""
        yield
        await self._do("fleet_audit_run", "The fleet is audited; this is how it stands.")
        self.is_busy = False

    @rx.event
    def consider(self, finding_id: str) -> None:
        """Ask for the reason before a finding is put aside; '' lets it be."""
        self.aside, self.said = finding_id, ""

    @rx.event
    async def put_aside(self, form: dict[str, Any]) -> None:
        """Put a finding aside: it is known, and somebody says why."""
        days = str(form.get("days", ""))
        until = (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None
        reason = str(form.get("reason", "")).strip()
        await self._do("fleet_finding_suppress", "It is put aside.", id=self.aside, reason=reason, until=until)

    @rx.event
    async def bring_back(self, finding_id: str) -> None:
        """Look at a finding again after all."""
        await self._do("fleet_finding_restore", "It is among those to look at again.", id=finding_id)

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.aside = ""
        await self.first_page()
        self.said = said


def _severity(severity: rx.Var[str]) -> rx.Component:
    look = rx.match(
        severity,
        ("critical", "badge badge-bad"),
        ("high", "badge badge-bad"),
        ("medium", "badge badge-warn"),
        "badge",
    )
    return rx.el.span(severity, class_name=look)


def _aside_form() -> rx.Component:
    return rx.el.form(
        rx.el.div(
            field(
                "Why is it all right?",
                rx.el.input(
                    id="aside-reason",
                    name="reason",
                    max_length=500,
                    required=True,
                    auto_focus=True,
                    placeholder="Test bench, never leaves the lab",
                    class_name="input",
                ),
                for_="aside-reason",
            ),
            field(
                "Put it aside",
                rx.el.select(
                    *(rx.el.option(words, value=days) for days, words in SPANS),
                    id="aside-days",
                    name="days",
                    default_value="30",
                    class_name="select",
                ),
                for_="aside-days",
            ),
            class_name="pair",
        ),
        answers("Put it aside", FleetAudit.consider("")),
        on_submit=FleetAudit.put_aside,
        class_name="stack sheet",
    )


def _finding(line: rx.Var[FindingLine]) -> rx.Component:
    deed = rx.match(
        FleetAudit.shown,
        (
            "OPEN",
            rx.el.button(
                "Put aside…",
                type="button",
                class_name="btn btn-small",
                on_click=FleetAudit.consider(line.id),
                custom_attrs={"aria-label": "Put aside: " + line.title + " " + line.name},
            ),
        ),
        (
            "SUPPRESSED",
            rx.el.button(
                "Bring back",
                type="button",
                class_name="btn btn-small",
                on_click=FleetAudit.bring_back(line.id),
                custom_attrs={"aria-label": "Bring back: " + line.title + " " + line.name},
            ),
        ),
        rx.fragment(),
    )
    aside = rx.cond(
        line.reason != "",
        rx.el.p(
            "“",
            line.reason,
            "” · ",
            line.by,
            rx.cond(line.until != "", rx.el.span(" · until it ends ", when(at=line.until))),
            class_name="small muted",
        ),
    )
    mended = rx.cond(line.resolved_at != "", rx.el.span(" · mended ", when(at=line.resolved_at)))
    return rx.el.li(
        line_head(
            _severity(line.severity),
            rx.el.b(line.title, class_name="cap"),
            rx.cond(line.device_id != "", link(line.name, to="/devices/" + line.device_id)),
            action=rx.cond(may("devices:write"), deed),
        ),
        rx.el.p(line.wrong),
        rx.el.p(rx.icon("wrench", size=14), rx.el.span(line.mend, class_name="cap"), class_name="with-icon"),
        rx.el.p("Found ", when(at=line.seen_at), mended, class_name="small muted"),
        aside,
        rx.cond(FleetAudit.aside == line.id, _aside_form()),
        class_name="stack-tight",
        key=line.id,
    )


def _checks() -> rx.Component:
    def line(check: rx.Var[CheckLine]) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.cond(
                    check.found > 0,
                    _severity(check.severity),
                    rx.icon("check", size=16, color="var(--ok)"),
                ),
                rx.el.span(check.title, class_name="cap"),
                rx.el.span(rx.cond(check.found > 0, check.found.to_string(), "none"), class_name="push num muted"),
                class_name="row nowrap-row row-middle",
            ),
            key=check.title,
        )

    return rx.cond(
        FleetAudit.checks.length() > 0,
        rx.el.details(
            rx.el.summary(
                rx.el.h2("All checks"),
                rx.el.span(
                    FleetAudit.found.to_string(),
                    " of ",
                    FleetAudit.checks.length().to_string(),
                    " found something",
                    class_name="small muted",
                ),
            ),
            rx.el.ul(rx.foreach(FleetAudit.checks, line), class_name="list"),
            class_name="card fold-card",
        ),
    )


def _tabs() -> rx.Component:
    def tab(value: str, words: str) -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            on_click=FleetAudit.show(value),
            custom_attrs={"aria-pressed": FleetAudit.shown == value},
        )

    return rx.el.div(*(tab(*each) for each in SHOWN), class_name="segmented", role="group", aria_label="Which findings")


def fleet_audit() -> rx.Component:
    """The page."""
    words = rx.cond(
        FleetAudit.audited_at != "",
        rx.el.span(
            f"{DAILY} Last ",
            when(at=FleetAudit.audited_at),
            rx.match(
                FleetAudit.devices,
                (0, ": no devices yet."),
                (1, ": 1 device."),
                ": " + FleetAudit.devices.to_string() + " devices.",
            ),
        ),
        rx.el.span(DAILY),
    )
    nothing = rx.match(
        FleetAudit.shown,
        (
            "OPEN",
            rx.cond(
                FleetAudit.audited_at != "",
                rx.cond(
                    FleetAudit.devices > 0,
                    empty("shield-check", "All is well", "The last audit found nothing to look at."),
                    empty(
                        "shield-check",
                        "No devices to look at",
                        "Once there are some, whatever is not as it should be with them is listed here.",
                        link("Add a device", to="/devices/add", class_name="btn"),
                    ),
                ),
                empty(
                    "shield-check", "Not audited yet", "The first audit comes within a day, or now if you ask for it."
                ),
            ),
        ),
        ("SUPPRESSED", empty("archive", "Nothing is put aside", "What is known and all right can be put aside here.")),
        empty("wrench", "Nothing mended yet", "What an audit no longer finds appears here."),
    )
    run = rx.cond(
        may("devices:write"),
        rx.el.button(
            rx.icon("search-check", size=16),
            rx.cond(FleetAudit.is_busy, "Looking…", "Audit now"),
            type="button",
            class_name="btn btn-primary",
            disabled=FleetAudit.is_busy,
            on_click=FleetAudit.run,
        ),
    )
    return page(
        "Fleet audit",
        heading("Fleet audit", words, run),
        problem(FleetAudit.problem, FleetAudit.load),
        done(FleetAudit.said),
        rx.el.div(_tabs(), class_name="toolbar"),
        rx.el.section(
            rx.cond(
                FleetAudit.ready,
                rx.cond(
                    FleetAudit.findings.length() > 0,
                    rx.fragment(
                        rx.el.ul(rx.foreach(FleetAudit.findings, _finding), class_name="list"),
                        pager(FleetAudit.number, FleetAudit.has_next, FleetAudit.previous_page, FleetAudit.next_page),
                    ),
                    nothing,
                ),
                skeleton_rows(),
            ),
            class_name="card",
            aria_label="Findings",
        ),
        _checks(),
        needs=ALL_DEVICES,
    )
