"""People: who belongs to the organisation, what each may do, and the end of that."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, page
from ui.components.pieces import done, empty, problem, skeleton_rows
from ui.console import Console
from ui.islands.cells import when
from ui.rights import ROLES
from ui.words import words

GIVEN = tuple((role, *said) for role, said in ROLES.items() if role != "CUSTOM")


@dataclass(frozen=True)
class MemberLine:
    """A person of the organisation."""

    id: str
    name: str
    email: str
    role: str
    role_name: str
    role_words: str
    since: str
    is_me: bool


def member_line(member: dict[str, Any], my_email: str) -> MemberLine:
    """A member of the contract as the page shows it."""
    name, means = ROLES.get(member["role"], (words(member["role"]), ""))
    own = (member["customRole"] or {}).get("name", "")
    return MemberLine(
        member["id"],
        member["name"] or member["email"],
        member["email"],
        member["role"],
        own or name,
        means,
        member["since"],
        member["email"] == my_email,
    )


class People(Console):
    """The members, and the one whose part is being changed."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    members: list[MemberLine] = []
    changing: str = ""
    role: str = ""  # what the member that is being changed may become
    removing: str = ""

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said = self.changing = self.removing = ""
        if (away := await self.enter()) is not None:
            return away
        await self._show()
        return None

    async def _show(self) -> None:
        try:
            found = (await self.ask("members"))["members"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.members = [member_line(each, self.user_email) for each in found]
        self.problem, self.ready = "", True

    @rx.event
    def change(self, user_id: str) -> None:
        """Open the form for one member; '' closes it."""
        self.changing, self.removing, self.said, self.problem = user_id, "", "", ""
        self.role = next((each.role for each in self.members if each.id == user_id), "")

    @rx.event
    def set_role(self, role: str) -> None:
        """What the member would become."""
        self.role = role

    @rx.event
    def doubt(self, user_id: str) -> None:
        """Ask before somebody is removed; '' lets them be."""
        self.removing = user_id

    @rx.event
    async def save(self) -> None:
        """Give the member the chosen role."""
        name = ROLES[self.role][0] if self.role in ROLES else self.role
        await self._do("member_change", f"{self._name()} is {name} now.", id=self.changing, input={"role": self.role})

    @rx.event
    async def sign_out(self) -> None:
        """End all sessions of the member, for example after a lost telephone."""
        await self._do("member_sessions_revoke", f"{self._name()} is signed out everywhere.", id=self.changing)

    @rx.event
    async def remove(self) -> None:
        """Send the member away."""
        said = f"{self._name()} does not belong to the organisation any more."
        await self._do("member_remove", said, id=self.removing)

    def _name(self) -> str:
        return next((each.name for each in self.members if each.id == self.changing), "The person")

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.said, self.changing, self.removing = said, "", ""
        await self._show()


def _roles() -> rx.Component:
    def choice(role: str, name: str, means: str) -> rx.Component:
        return rx.el.label(
            rx.el.input(
                type="radio", name="role", value=role, checked=People.role == role, on_change=People.set_role(role)
            ),
            rx.el.span(rx.el.b(name), rx.el.span(" ", means, class_name="muted")),
            class_name="tick",
        )

    return rx.el.fieldset(
        rx.el.legend("What may this person do?", class_name="label-text"),
        *(choice(*each) for each in GIVEN),
        class_name="bare rights-group",
    )


def _confirm(member: rx.Var[MemberLine]) -> rx.Component:
    return rx.el.div(
        rx.el.p(member.name, " is signed out at once and may not come back. What they made stays."),
        rx.el.div(
            rx.el.button(
                "Remove ", member.name, type="button", class_name="btn btn-danger-solid", on_click=People.remove
            ),
            rx.el.button("Keep them", type="button", class_name="btn", auto_focus=True, on_click=People.doubt("")),
            class_name="row",
        ),
        class_name="note note-warn confirm",
        role="group",
        aria_label="Remove this person?",
    )


def _form(member: rx.Var[MemberLine]) -> rx.Component:
    return rx.el.div(
        _roles(),
        problem(People.problem),
        rx.el.div(
            rx.el.button(
                "Save",
                type="button",
                class_name="btn btn-primary",
                disabled=People.role == member.role,
                on_click=People.save,
            ),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=People.change("")),
            rx.el.button("Sign out everywhere", type="button", class_name="btn push", on_click=People.sign_out),
            rx.el.button("Remove…", type="button", class_name="btn btn-danger", on_click=People.doubt(member.id)),
            class_name="row",
        ),
        rx.cond(People.removing == member.id, _confirm(member)),
        class_name="stack sheet",
        role="group",
        aria_label="Change what this person may do",
    )


def _line(member: rx.Var[MemberLine]) -> rx.Component:
    change = rx.el.button(
        "Change…",
        type="button",
        class_name="btn btn-small",
        on_click=People.change(member.id),
        custom_attrs={"aria-label": "Change " + member.name},
    )
    mine = link("Your account", to="/account", class_name="btn btn-small")
    return rx.el.li(
        rx.el.div(
            rx.el.b(member.name),
            rx.cond(member.is_me, rx.el.span("you", class_name="badge badge-accent")),
            rx.el.span(member.role_name, class_name="badge"),
            rx.el.span(
                rx.cond(member.is_me, mine, rx.cond(may("users:write") & (People.changing != member.id), change)),
                class_name="push",
            ),
            class_name="row",
        ),
        rx.el.p(
            rx.el.span(member.email, class_name="wrap"),
            " · ",
            member.role_words,
            " · here since ",
            when(at=member.since),
            class_name="small muted",
        ),
        rx.cond(People.changing == member.id, _form(member)),
        key=member.id,
    )


def people() -> rx.Component:
    """The page."""
    return page(
        "People",
        heading("People", "Who belongs to your organisation, and what each may do."),
        rx.cond(People.changing == "", problem(People.problem, People.load)),
        done(People.said),
        rx.el.section(
            rx.cond(
                People.ready,
                rx.cond(
                    People.members.length() > 0,
                    rx.el.ul(rx.foreach(People.members, _line), class_name="list"),
                    empty("users", "Nobody yet", "Whoever is invited appears here."),
                ),
                skeleton_rows(3),
            ),
            class_name="card",
            aria_label="Members",
        ),
        narrow=True,
    )
