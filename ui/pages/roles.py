"""Roles: the five that are always there, and those an organisation makes for itself from single rights."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link, may, page
from ui.components.pieces import answers, card, done, doubt, empty, field, line_head, problem, skeleton_rows
from ui.components.rights import chosen, rights_boxes, rights_fold
from ui.console import Console
from ui.rights import GIVEN, Right, RightGroup, grouped


@dataclass(frozen=True)
class RoleLine:
    """A role of the organisation's own."""

    id: str
    name: str
    rights: list[Right]
    people: int
    people_words: str


def role_line(role: dict[str, Any], people: int) -> RoleLine:
    """A role of the contract as the page shows it; `people`: how many have it."""
    rights = [right for group in grouped(role["scopes"]) for right in group.rights]
    who = {0: "nobody has it", 1: "1 person"}.get(people, f"{people} people")
    return RoleLine(role["id"], role["name"], rights, people, who)


class Roles(Console):
    """The organisation's own roles, and the one that is being made or changed."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    roles: list[RoleLine] = []
    writing: str = ""  # '' nothing, 'new', or the id of the role that is being changed
    name: str = ""
    form_problem: str = ""
    deleting: str = ""

    _versions: dict[str, int] = {}
    _scopes: dict[str, list[str]] = {}

    @rx.var
    def groups(self) -> list[RightGroup]:
        """The rights that may be given, those of the role in hand ticked: nobody gives more than they hold."""
        return grouped(self.scopes, self._scopes.get(self.writing, []))

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said = self.writing = self.deleting = self.form_problem = ""
        if (away := await self.enter("users:read")) is not None:
            return away
        await self._show()
        return None

    async def _show(self) -> None:
        try:
            found = await self.ask("roles")
        except Refused as refusal:
            self.problem = refusal.words
            return
        people = Counter(each["customRole"]["id"] for each in found["members"] if each["customRole"])
        self.roles = [role_line(each, people[each["id"]]) for each in found["roles"]]
        self._versions = {each["id"]: each["version"] for each in found["roles"]}
        self._scopes = {each["id"]: each["scopes"] for each in found["roles"]}
        self.problem, self.ready = "", True

    @rx.event
    def write(self, role_id: str) -> None:
        """Open the form for a new role ('new') or one that there is; '' closes it."""
        self.writing, self.form_problem, self.said, self.deleting = role_id, "", "", ""
        self.name = next((each.name for each in self.roles if each.id == role_id), "")

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Make the role, or change it unless somebody else has meanwhile."""
        name, scopes = str(form.get("name", "")).strip(), chosen(form)
        if not name or not scopes:
            self.form_problem = "Please give the role a name, and tick at least one right."
            return
        wanted = {"name": name, "scopes": scopes}
        try:
            if self.writing == "new":
                await self.ask("role_create", input=wanted)
            else:
                await self.ask("role_update", id=self.writing, input=wanted, version=self._versions.get(self.writing))
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        self.said = f"“{name}” is made. Give it to somebody under People." if self.writing == "new" else "Saved."
        self.writing = self.form_problem = ""
        await self._show()

    @rx.event
    def doubt(self, role_id: str) -> None:
        """Ask before a role is deleted; '' lets it be."""
        self.deleting, self.said, self.problem = role_id, "", ""

    @rx.event
    async def delete(self, role_id: str) -> None:
        """Take a role away that nobody has."""
        try:
            await self.ask("role_delete", id=role_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.deleting, self.said = "", "The role is gone."
        await self._show()


def _form(title: str, words: str) -> rx.Component:
    return card(
        title,
        rx.el.form(
            field(
                "What is it called?",
                rx.el.input(
                    id="role-name",
                    name="name",
                    default_value=Roles.name,
                    placeholder="Night shift",
                    max_length=60,
                    required=True,
                    auto_focus=True,
                    class_name="input",
                ),
                for_="role-name",
            ),
            rx.el.div(
                rx.el.p("What may people with it do?", class_name="label-text"),
                rx.el.p("Only rights that you hold yourself can be given.", class_name="small muted"),
                rights_boxes(Roles.groups),
            ),
            answers(rx.cond(Roles.writing == "new", "Make the role", "Save"), Roles.write(""), Roles.form_problem),
            on_submit=Roles.save,
            class_name="card-body stack",
            key=Roles.writing,
        ),
        words=words,
    )


def _confirm(role: rx.Var[RoleLine]) -> rx.Component:
    return doubt(
        "Delete this role?",
        *("“", role.name, "” goes for good. Whoever has it needs another role first."),
        yes=("Delete it", Roles.delete(role.id)),
        no=("Keep it", Roles.doubt("")),
        wrong=Roles.problem,
    )


def _line(role: rx.Var[RoleLine]) -> rx.Component:
    buttons = rx.el.span(
        rx.el.button(
            "Change…",
            type="button",
            class_name="btn btn-small",
            on_click=Roles.write(role.id),
            custom_attrs={"aria-label": "Change " + role.name},
        ),
        rx.el.button(
            "Delete…",
            type="button",
            class_name="btn btn-small btn-danger",
            on_click=Roles.doubt(role.id),
            custom_attrs={"aria-label": "Delete " + role.name},
        ),
        class_name="row",
    )
    return rx.el.li(
        line_head(
            rx.el.b(role.name, class_name="wrap"),
            rx.el.span(role.people_words, class_name="badge"),
            action=rx.cond(may("users:write"), buttons),
        ),
        rights_fold(role.rights),
        rx.cond(Roles.deleting == role.id, _confirm(role)),
        key=role.id,
    )


def _always() -> rx.Component:
    lines = (rx.el.li(rx.el.b(name), rx.el.p(means, class_name="small muted cap")) for _, name, means in GIVEN)
    return card("Always there", rx.el.ul(*lines, class_name="list"), words="These five cannot be changed.")


def _new() -> rx.Component:
    return rx.cond(
        may("users:write") & (Roles.writing == ""),
        rx.el.button(
            rx.icon("plus", size=16),
            "New role",
            type="button",
            class_name="btn btn-primary",
            on_click=Roles.write("new"),
        ),
    )


def roles() -> rx.Component:
    """The page."""
    none_yet = empty(
        "badge-check",
        "No roles of your own",
        "If none of the five below fits, make one from exactly the rights that somebody needs.",
        small=True,
    )
    own = card(
        "Your own",
        rx.cond(
            Roles.roles.length() > 0,
            rx.el.ul(rx.foreach(Roles.roles, _line), class_name="list"),
            none_yet,
        ),
    )
    return page(
        "People",
        rx.el.div(
            rx.el.div(
                link(rx.icon("arrow-left", size=15), "People", to="/access/people", class_name="crumb"),
                rx.el.h1("Roles"),
                rx.el.p("A role says what people may do."),
            ),
            rx.el.div(_new(), class_name="actions"),
            class_name="head",
        ),
        rx.cond(Roles.deleting == "", problem(Roles.problem, Roles.load)),
        done(Roles.said),
        rx.cond(
            Roles.writing == "new",
            _form("A new role", "It can be given to people as soon as it is made."),
            rx.cond(Roles.writing != "", _form("Change the role", "It changes for everybody who has it, at once.")),
        ),
        rx.cond(
            Roles.ready,
            rx.fragment(own, _always()),
            rx.el.div(skeleton_rows(), class_name="card"),
        ),
        narrow=True,
        needs="users:read",
    )
