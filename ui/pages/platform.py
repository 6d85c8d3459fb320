"""The platform's operator: which organisations there are, made, named, suspended and resumed; never what is in them."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, may, page
from ui.components.pieces import answers, card, done, empty, field, pager, problem, search_box, skeleton, skeleton_rows
from ui.components.shown_once import shown_once
from ui.console import Console
from ui.islands.cells import command, when
from ui.naming import Named, propose_key
from ui.paging import PAGE_SIZE, Paged
from ui.quotas import QuotaLine, quota_line, wanted

KEY = re.compile(r"[a-z0-9-]{1,20}")
SHOWN = {"": None, "OPEN": False, "SUSPENDED": True}


@dataclass(frozen=True)
class TenantLine:
    """An organisation from outside."""

    id: str
    key: str
    name: str
    created_at: str
    suspended_at: str
    reason: str
    has_owner: bool


def tenant_line(tenant: dict[str, Any]) -> TenantLine:
    """A tenant of the contract as the page shows it."""
    return TenantLine(
        tenant["id"],
        tenant["key"],
        tenant["name"],
        tenant["createdAt"],
        tenant["suspendedAt"] or "",
        tenant["suspendedReason"] or "",
        tenant["hasOwner"],
    )


class Platform(Named, Paged, Console):
    """One page of the organisations, and what is being done to one of them."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("link",)

    said: str = ""
    search: str = ""
    shown: str = ""
    tenants: list[TenantLine] = []
    doing: str = ""  # '', 'make', 'reset', or 'rename', 'suspend', 'invite', 'quotas' to the one in hand
    uid: str = ""
    form_problem: str = ""
    form_number: int = 0
    link: str = ""
    is_mailed: bool = False
    invited: str = ""
    quotas: list[QuotaLine] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page. A link is shown once: whoever comes back does not see it again."""
        self.said = self.doing = self.link = self.search = self.shown = ""
        yield
        if (away := await self.enter("platform:read")) is not None:
            yield away
            return
        await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        asked = {"search": self.search or None, "isSuspended": SHOWN.get(self.shown)}
        try:
            data = (await self.ask("platform_tenants", **asked, first=PAGE_SIZE, after=after))["platformTenants"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.tenants = [tenant_line(each) for each in data["items"]]
        info: dict[str, Any] = data["pageInfo"]
        return info

    @rx.event
    async def look_for(self, text: str) -> None:
        """Find organisations by name or key."""
        self.search = text.strip()
        await self.first_page()

    @rx.event
    async def show(self, shown: str) -> None:
        """Show only suspended ones, or only open ones."""
        self.shown = shown
        await self.first_page()

    @rx.event
    def begin(self, doing: str, uid: str) -> None:
        """Open a form, for the organisation with this id; '' closes it."""
        self._begin(doing, uid)

    def _begin(self, doing: str, uid: str) -> None:
        self.doing, self.uid, self.form_problem, self.said, self.link = doing, uid, "", "", ""
        self.name = next((each.name for each in self.tenants if each.id == uid), "")
        self.key, self._is_own_key = "", False

    def _propose_key(self, name: str) -> str:
        return propose_key(name).replace("_", "-")[:20].strip("-")

    @rx.event
    async def make(self, form: dict[str, Any]) -> None:
        """Make an organisation and show the link for its first owner."""
        if not self.name.strip() or not KEY.fullmatch(self.key):
            self.form_problem = "Please give it a name, and a key of small letters, digits and - (at most 20)."
            return
        email = str(form.get("email", "")).strip()
        wanted = {"key": self.key, "name": self.name.strip(), "email": email}
        made = await self._try("platform_tenant_create", f"“{wanted['name']}” is made.", input=wanted)
        if made is not None:
            self.link, self.invited = "%ORIGIN%" + made["platformTenantCreate"]["link"], email
            self.is_mailed = made["platformTenantCreate"]["isMailed"]

    @rx.event
    async def invite(self, form: dict[str, Any]) -> None:
        """Invite the first owner anew."""
        email = str(form.get("email", "")).strip()
        made = await self._try("platform_tenant_invite", "", id=self.uid, input={"email": email})
        if made is not None:
            self.link, self.invited = "%ORIGIN%" + made["platformTenantInvite"]["link"], email
            self.is_mailed = made["platformTenantInvite"]["isMailed"]

    @rx.event
    async def rename(self, form: dict[str, Any]) -> None:
        """Give an organisation another name."""
        name = str(form.get("name", "")).strip()
        await self._try("platform_tenant_rename", f"It is called “{name}” now.", id=self.uid, input={"name": name})

    @rx.event
    async def suspend(self, form: dict[str, Any]) -> None:
        """Shut an organisation out until it is resumed."""
        said = f"“{self.name}” is suspended: its people, programs and devices are cut off. Nothing is deleted."
        reason = str(form.get("reason", "")).strip()
        await self._try("platform_tenant_suspend", said, id=self.uid, input={"reason": reason})

    @rx.event
    async def resume(self, uid: str) -> None:
        """Let an organisation in again."""
        self._begin("", uid)
        await self._try("platform_tenant_resume", f"“{self.name}” works again as before.", id=uid)

    @rx.event
    async def look_at_quotas(self, uid: str) -> None:
        """Show what an organisation may use and uses: numbers only."""
        self._begin("quotas", uid)
        self.quotas = []
        try:
            found = (await self.ask("platform_usage", id=uid))["platformUsage"]["quotas"]
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        self.quotas = [quota_line(each) for each in found]

    @rx.event
    async def change_quotas(self, form: dict[str, Any]) -> None:
        """Set the quotas that the form changes, one by one; an empty field means the platform's default."""
        try:
            for change in wanted(form, self.quotas):
                await self.ask("platform_quota_change", id=self.uid, input=change)
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        said = f"The quotas of “{self.name}” hold from now on."
        self._begin("", "")
        self.said = said

    @rx.event
    async def take_factor(self, form: dict[str, Any]) -> None:
        """Take a person's lost second factor away."""
        email = str(form.get("email", "")).strip()
        said = f"{email} signs in by password alone now, and is told who did this."
        given = {"email": email, "password": form.get("password", "")}
        await self._try("platform_second_factor_reset", said, input=given)

    async def _try(self, operation: str, said: str, **variables: Any) -> dict[str, Any] | None:
        self.form_problem = self.said = ""
        self.form_number += 1  # a password that was typed does not stay on the screen
        try:
            made = await self.ask(operation, **variables)
        except Refused as refusal:
            self.form_problem = refusal.words
            self.problem = "" if self.doing else refusal.words
            return None
        self.doing, self.said = "", said
        await self.first_page()
        return made

    @rx.event
    def put_away(self) -> None:
        """The link was copied; it is not needed here any more."""
        self.link = ""


def _text(label: str, name: str, hint: str = "", **props: Any) -> rx.Component:
    uid = f"platform-{name}"
    return field(
        label, rx.el.input(id=uid, name=name, required=True, class_name=props.pop("look", "input"), **props), hint, uid
    )


def _email(label: str, **props: Any) -> rx.Component:
    return _text(
        label, "email", type="email", max_length=254, auto_complete="off", placeholder="somebody@example.org", **props
    )


def _buttons(words: str, danger: bool = False) -> rx.Component:
    return answers(words, Platform.begin("", ""), Platform.form_problem, danger=danger)


def _make() -> rx.Component:
    return card(
        "A new organisation",
        rx.el.form(
            rx.el.div(
                _text(
                    "Name",
                    "name",
                    value=Platform.name,
                    on_change=Platform.set_name,
                    max_length=120,
                    placeholder="Harbour Cold Stores",
                    auto_focus=True,
                ),
                _text(
                    "Key",
                    "key",
                    "Its devices name it with every message, so it never changes.",
                    value=Platform.key,
                    on_change=Platform.set_key,
                    max_length=20,
                    spell_check=False,
                    look="input mono",
                ),
                class_name="pair",
            ),
            _email("Who will own it?"),
            _buttons("Make it"),
            on_submit=Platform.make,
            class_name="card-body stack",
        ),
        words="Its first owner gets a link and invites everybody else. You see nothing of what is in it.",
    )


def _reset() -> rx.Component:
    return card(
        "Somebody lost their second factor",
        rx.el.form(
            rx.el.p(
                "For people above whom nobody stands. Make sure that it is really they who ask. They are signed out "
                "everywhere, sign in by password alone, and are told that you did this.",
                class_name="muted",
            ),
            _email("Their e-mail", auto_focus=True),
            _text("Your own password", "password", type="password", auto_complete="current-password", max_length=200),
            _buttons("Take it away", danger=True),
            on_submit=Platform.take_factor,
            class_name="card-body stack",
            key=Platform.form_number.to_string(),
        ),
    )


def _link() -> rx.Component:
    return shown_once(
        "The new invitation",
        (
            rx.el.b("The link for ", Platform.invited, " is shown this once."),
            rx.cond(
                Platform.is_mailed,
                " We have also mailed it to them. It works once, for 7 days.",
                " Copy it now and hand it over yourself: there is no mail server here. It works once, for 7 days.",
            ),
        ),
        command(
            text=Platform.link,
            label="Link to hand over",
            button="Copy link",
            hint="Whoever opens it owns the organisation.",
        ),
        put_away=Platform.put_away,
    )


def _sheet(tenant: rx.Var[TenantLine]) -> rx.Component:
    rename = rx.el.form(
        _text("Name", "name", default_value=tenant.name, max_length=120, auto_focus=True),
        _buttons("Save"),
        on_submit=Platform.rename,
        class_name="stack sheet",
    )
    suspend = rx.el.form(
        rx.el.p(
            "Within two seconds its people, programs and devices are cut off, and none comes back in. Nothing is "
            "deleted, and you can resume it at any time."
        ),
        _text("Why?", "reason", max_length=400, auto_focus=True, placeholder="The bill of May is open"),
        _buttons("Suspend it", danger=True),
        on_submit=Platform.suspend,
        class_name="stack sheet",
    )
    invite = rx.el.form(
        rx.el.p("Nobody has accepted to own it yet. A new link makes the one before worthless.", class_name="muted"),
        _email("Who will own it?", auto_focus=True),
        _buttons("Make the link"),
        on_submit=Platform.invite,
        class_name="stack sheet",
    )
    return rx.match(
        Platform.doing,
        ("rename", rename),
        ("suspend", suspend),
        ("invite", invite),
        ("quotas", _quotas()),
        rx.fragment(),
    )


def _quotas() -> rx.Component:
    def one(quota: rx.Var[QuotaLine]) -> rx.Component:
        return rx.el.label(
            rx.el.span(quota.words, class_name="label-text"),
            rx.el.input(
                name=quota.name,
                default_value=quota.own,
                placeholder=quota.limit,
                input_mode="numeric",
                max_length=16,
                class_name="input num",
            ),
            rx.el.span("uses ", quota.used, " of ", quota.limit, class_name="hint"),
            class_name="field",
        )

    return rx.el.form(
        rx.el.p("How much it may use. Leave a field empty for the platform's default.", class_name="muted"),
        rx.cond(
            Platform.quotas.length() > 0,
            rx.el.div(rx.foreach(Platform.quotas, one), class_name="quota-inputs"),
            rx.cond(Platform.form_problem == "", skeleton(38)),
        ),
        _buttons("Save"),
        on_submit=Platform.change_quotas,
        class_name="stack sheet",
    )


def _do(words: str, doing: str, tenant: rx.Var[TenantLine], more: str = "") -> rx.Component:
    return rx.el.button(
        words,
        type="button",
        class_name=f"btn btn-small {more}",
        on_click=Platform.begin(doing, tenant.id),
        custom_attrs={"aria-label": f"{words.removesuffix('…')} " + tenant.name},
    )


def _line(tenant: rx.Var[TenantLine]) -> rx.Component:
    resume = rx.el.button(
        "Resume",
        type="button",
        class_name="btn btn-small btn-primary",
        on_click=Platform.resume(tenant.id),
        custom_attrs={"aria-label": "Resume " + tenant.name},
    )
    buttons = rx.el.span(
        rx.cond(tenant.has_owner, rx.fragment(), _do("Invite an owner…", "invite", tenant)),
        rx.el.button(
            "Quotas…",
            type="button",
            class_name="btn btn-small",
            on_click=Platform.look_at_quotas(tenant.id),
            custom_attrs={"aria-label": "Quotas of " + tenant.name},
        ),
        _do("Rename…", "rename", tenant),
        rx.cond(tenant.suspended_at != "", resume, _do("Suspend…", "suspend", tenant, "btn-danger")),
        class_name="row push",
    )
    return rx.el.li(
        rx.el.div(
            rx.el.b(tenant.name),
            rx.el.code(tenant.key),
            rx.cond(tenant.suspended_at != "", rx.el.span("suspended", class_name="badge badge-bad")),
            rx.cond(tenant.has_owner, rx.fragment(), rx.el.span("no owner yet", class_name="badge badge-warn")),
            rx.cond(may("platform:write"), buttons),
            class_name="row",
        ),
        rx.el.p(
            "Made ",
            when(at=tenant.created_at),
            rx.cond(
                tenant.suspended_at != "",
                rx.el.span(" · suspended ", when(at=tenant.suspended_at), ": “", tenant.reason, "”"),
                rx.fragment(),
            ),
            class_name="small muted",
        ),
        rx.cond(Platform.uid == tenant.id, _sheet(tenant)),
        key=tenant.id,
    )


def _toolbar() -> rx.Component:
    return rx.el.div(
        search_box("Search organisations by name or key", Platform.look_for),
        rx.el.select(
            rx.el.option("All organisations", value=""),
            rx.el.option("Open", value="OPEN"),
            rx.el.option("Suspended", value="SUSPENDED"),
            value=Platform.shown,
            on_change=Platform.show,
            class_name="select",
            custom_attrs={"aria-label": "Show organisations that are"},
        ),
        class_name="toolbar",
    )


def _new() -> rx.Component:
    return rx.cond(
        may("platform:write") & (Platform.doing != "make"),
        rx.el.button(
            rx.icon("plus", size=16),
            "New organisation",
            type="button",
            class_name="btn btn-primary",
            on_click=Platform.begin("make", ""),
        ),
    )


def platform() -> rx.Component:
    """The page."""
    nothing = rx.cond(
        (Platform.search != "") | (Platform.shown != ""),
        empty("search-x", "No organisation fits", "Try another word, or show all."),
        empty("building-2", "No organisations yet", "Make the first one and hand its owner the link.", _new()),
    )
    lost = rx.cond(
        may("platform:write"),
        rx.el.button("Lost second factor…", type="button", class_name="btn", on_click=Platform.begin("reset", "")),
    )
    return page(
        "Organisations",
        heading("Organisations", "Everybody who shares this platform. What is in them is theirs alone.", lost, _new()),
        problem(Platform.problem, Platform.load),
        done(Platform.said),
        rx.match(Platform.doing, ("make", _make()), ("reset", _reset()), rx.fragment()),
        rx.cond(Platform.link != "", _link()),
        _toolbar(),
        rx.el.section(
            rx.cond(
                Platform.ready,
                rx.cond(
                    Platform.tenants.length() > 0,
                    rx.fragment(
                        rx.el.ul(rx.foreach(Platform.tenants, _line), class_name="list"),
                        pager(Platform.number, Platform.has_next, Platform.previous_page, Platform.next_page),
                    ),
                    nothing,
                ),
                skeleton_rows(),
            ),
            class_name="card",
            aria_label="Organisations",
        ),
        needs="platform:read",
    )
