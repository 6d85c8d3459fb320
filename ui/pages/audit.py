"""The audit log: who did what to what, what was refused, and what exactly changed."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, page
from ui.components.pieces import empty, pager, problem, skeleton_rows
from ui.console import Console
from ui.deeds import Change, DeedLine, deed_line, nameless_devices
from ui.islands.cells import told, when
from ui.islands.clock_field import day_field
from ui.names import group_names, with_names
from ui.paging import PAGE_SIZE, Paged

# Entries are found by how their action begins; what was turned away is named after the contract's field.
ABOUT = (
    ("", "Everything"),
    ("device", "Devices"),
    ("device.login", "Refused logins of devices"),
    ("credential", "Device tokens"),
    ("transfer", "Transfers"),
    ("provisioner", "Ways in"),
    ("enrolment", "Devices that asked to come in"),
    ("group", "Groups"),
    ("profile", "Profiles"),
    ("rule", "Rules"),
    ("alert", "Alerts"),
    ("token", "API tokens"),
    ("session", "Signing in and out"),
    ("member", "Members"),
    ("role", "Roles"),
    ("second_factor", "Second factors"),
    ("identity", "Identity providers"),
    ("quota", "Quotas"),
)
ZONE: rx.Var[str] = rx.Var("Intl.DateTimeFormat().resolvedOptions().timeZone", _var_type=str)
RESULTS = (("", "Any result"), ("DONE", "Done"), ("DENIED", "Denied: no right to"), ("REFUSED", "Refused as it was"))


def midnight(day: str, zone: str, later: int = 0) -> str:
    """When a day (2026-01-31), or one so many days later, begins in a time zone; '' for what is no day."""
    try:
        begins = datetime.fromisoformat(day) + timedelta(days=later)
        return begins.replace(tzinfo=_zone_of(zone)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


def _zone_of(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


class Audit(Paged, Console):
    """One page of the log, and how it was found."""

    about: str = ""
    actor: str = ""
    result: str = ""
    target: str = ""
    begin: str = ""  # the first day shown, as 2026-01-31, and the last one; '' is no bound
    end: str = ""
    deeds: list[DeedLine] = []

    _names: dict[str, str] = {}
    _zone: str = ""  # the visitor's, in which their days begin

    @rx.var
    def is_filtered(self) -> bool:
        """Whether something may be left out."""
        return bool(self.about or self.actor or self.result or self.target or self.begin or self.end)

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /access/audit, or /access/audit?target={id} for the history of one thing."""
        if (away := await self.enter("audit:read")) is not None:
            return away
        self.about = self.actor = self.result = self.begin = self.end = ""
        self.target = self.router.url.query_parameters.get("target", "")
        self._names |= await group_names(self)
        return await self.first_page()

    @rx.event
    async def set_about(self, about: str) -> None:
        """Only deeds about this kind of thing."""
        self.about = about
        await self.first_page()

    @rx.event
    async def set_actor(self, actor: str) -> None:
        """Only deeds of people and tokens with these letters in their name."""
        self.actor = actor.strip()
        await self.first_page()

    @rx.event
    async def set_result(self, result: str) -> None:
        """Only deeds that ended like this."""
        self.result = result
        await self.first_page()

    @rx.event
    async def set_begin(self, day: str, zone: str) -> None:
        """Only deeds of this day and later."""
        self.begin, self._zone = day, zone
        await self.first_page()

    @rx.event
    async def set_end(self, day: str, zone: str) -> None:
        """Only deeds up to the end of this day."""
        self.end, self._zone = day, zone
        await self.first_page()

    @rx.event
    async def forget_target(self) -> None:
        """Back from the history of one thing to that of all."""
        self.target = ""
        await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        filters = {"action": self.about, "actor": self.actor, "result": self.result, "targetId": self.target}
        filters |= {"from": midnight(self.begin, self._zone), "to": midnight(self.end, self._zone, later=1)}
        wanted = {name: value or None for name, value in filters.items()}
        try:
            found = (await self.ask("audit", first=PAGE_SIZE, after=after, **wanted))["audit"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self._names = await with_names(self, self._names, nameless_devices(found["items"]))
        self.deeds = [deed_line(each, self._names) for each in found["items"]]
        info: dict[str, Any] = found["pageInfo"]
        return info


def _changes(deed: rx.Var[DeedLine]) -> rx.Component:
    def row(change: rx.Var[Change]) -> rx.Component:
        def said(value: rx.Var[str]) -> rx.Component:
            return rx.cond(change.is_moment, told(text=value, at=deed.at), rx.fragment(value))

        return rx.el.tr(
            rx.el.th(change.name, scope="row"),
            rx.el.td(rx.cond(change.before != "", rx.el.del_(said(change.before)))),
            rx.el.td(rx.cond(change.after != "", rx.el.ins(said(change.after)))),
        )

    return rx.el.details(
        rx.el.summary("Details", class_name="small"),
        rx.cond(
            deed.changes.length() > 0,
            rx.el.div(
                rx.el.table(
                    rx.el.thead(rx.el.tr(*(rx.el.th(name, scope="col") for name in ("Value", "Before", "After")))),
                    rx.el.tbody(rx.foreach(deed.changes, row)),
                    class_name="diff",
                ),
                class_name="scroll",
                tab_index=0,
                role="region",
                aria_label="What changed",
            ),
        ),
        rx.el.p(deed.foot, class_name="small muted wrap"),
        class_name="fold",
    )


def _deed(deed: rx.Var[DeedLine]) -> rx.Component:
    summary = rx.cond(deed.is_timed, told(text=deed.summary, at=deed.at), rx.fragment(deed.summary))
    name = rx.cond(deed.page != "", link(deed.target, to=deed.page), rx.el.b(deed.target))
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.b(deed.who),
                " ",
                deed.said,
                " ",
                rx.cond(deed.target != "", name),
                rx.cond(
                    deed.summary != "",
                    rx.fragment(": ", rx.el.span(summary, class_name="muted")),
                ),
                class_name="wrap deed",
            ),
            rx.match(
                deed.result,
                ("DENIED", rx.el.span("denied", class_name="badge badge-bad")),
                ("REFUSED", rx.el.span("refused", class_name="badge badge-warn")),
                rx.fragment(),
            ),
            rx.el.span(when(at=deed.at), class_name="small muted push"),
            class_name="row deed-row",
        ),
        _changes(deed),
        key=deed.seq.to_string(),
    )


def _toolbar() -> rx.Component:
    def pick(name: str, options: tuple[tuple[str, str], ...], value: rx.Var[str], on_change: Any) -> rx.Component:
        return rx.el.select(
            *(rx.el.option(words, value=key) for key, words in options),
            value=value,
            on_change=on_change,
            class_name="select",
            custom_attrs={"aria-label": name},
        )

    return rx.el.div(
        rx.el.div(
            rx.icon("search", size=16),
            rx.el.input(
                type="search",
                placeholder="Who? A name or an e-mail",
                default_value="",
                class_name="input",
                on_change=Audit.set_actor.debounce(250),
                custom_attrs={"aria-label": "Who did it"},
            ),
            class_name="search",
        ),
        pick("About what", ABOUT, Audit.about, Audit.set_about),
        pick("What became of it", RESULTS, Audit.result, Audit.set_result),
        rx.el.div(
            day_field(label="From", on_change=lambda text: Audit.set_begin(text, ZONE)),
            day_field(label="until", on_change=lambda text: Audit.set_end(text, ZONE)),
            class_name="row",
        ),
        rx.cond(
            Audit.target != "",
            rx.el.button(
                "Only one thing is shown: show all", type="button", class_name="btn", on_click=Audit.forget_target
            ),
        ),
        class_name="toolbar toolbar-close",
    )


def _list() -> rx.Component:
    return rx.cond(
        Audit.ready,
        rx.cond(
            Audit.deeds.length() > 0,
            rx.fragment(
                rx.el.ul(rx.foreach(Audit.deeds, _deed), class_name="list"),
                pager(Audit.number, Audit.has_next, Audit.previous_page, Audit.next_page),
            ),
            rx.cond(
                Audit.is_filtered,
                empty(
                    "search-x",
                    "No entry fits",
                    "Try other letters or other days, or choose “Everything” and “Any result”.",
                ),
                empty("scroll-text", "Nothing was done yet", "Whatever is changed from now on appears here."),
            ),
        ),
        skeleton_rows(8),
    )


def audit() -> rx.Component:
    """The page."""
    return page(
        "Audit log",
        heading(
            "Audit log", "Who did what, and who was turned away. Entries are sealed; nobody can change or delete one."
        ),
        problem(Audit.problem, Audit.load),
        _toolbar(),
        rx.el.section(_list(), class_name="card", aria_label="Entries"),
        needs="audit:read",
    )
