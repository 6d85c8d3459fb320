"""People: who belongs to the organisation, and what each may do."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, page
from ui.components.pieces import empty, problem, skeleton_rows
from ui.console import Console
from ui.rights import ROLES
from ui.words import words


@dataclass(frozen=True)
class MemberLine:
    """A person of the organisation."""

    id: str
    name: str
    email: str
    role: str
    role_words: str
    is_me: bool


def member_line(member: dict[str, Any], my_email: str) -> MemberLine:
    """A member of the contract as the page shows it."""
    role, means = ROLES.get(member["role"], (words(member["role"]), ""))
    is_me = member["email"] == my_email
    return MemberLine(member["id"], member["name"] or member["email"], member["email"], role, means, is_me)


class People(Console):
    """The members."""

    ready: bool = False
    problem: str = ""
    members: list[MemberLine] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
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


def _line(member: rx.Var[MemberLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.b(member.name),
            rx.cond(member.is_me, rx.el.span("you", class_name="badge badge-accent")),
            rx.el.span(member.role, class_name="badge push"),
            class_name="row",
        ),
        rx.el.p(rx.el.span(member.email, class_name="wrap"), " · ", member.role_words, class_name="small muted"),
        key=member.id,
    )


def people() -> rx.Component:
    """The page."""
    return page(
        "People",
        heading("People", "Who belongs to your organisation, and what each may do."),
        problem(People.problem, People.load),
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
