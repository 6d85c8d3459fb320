"""One's own account: where one is signed in, the second factor, and the password."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import NativeForm, heading, page
from ui.components.pieces import card, done, field, line_head, problem, skeleton_rows
from ui.components.second_factor import second_factor
from ui.console import Console
from ui.islands.cells import when
from ui.rights import ROLES
from ui.sessions import SessionLine, session_line

SHORTEST_PASSWORD = 12


class Account(Console):
    """Who one is here, one's sessions, and a new password on its way."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    role: str = ""
    role_words: str = ""
    sessions: list[SessionLine] = []
    form_problem: str = ""
    form_number: int = 0  # a new form after each new password: what was typed must not stay on the screen

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said = self.form_problem = ""
        if (away := await self.enter()) is not None:
            return away
        await self._show()
        return None

    @rx.event
    async def look_again(self) -> Any:
        """Their second factor has changed: so has who they are here, and sessions of theirs may have ended."""
        if (away := await self.recognise()) is not None:
            return away
        await self._show()
        return None

    async def _show(self) -> None:
        try:
            data = await self.ask("account")
        except Refused as refusal:
            self.problem = refusal.words
            return
        name, self.role_words = ROLES.get(data["me"]["role"] or "", ("", ""))
        self.role = data["me"]["roleName"] or name
        self.sessions = [session_line(each) for each in data["sessions"]]
        self.problem, self.ready = "", True

    @rx.event
    async def end(self, session_id: str) -> None:
        """Sign out elsewhere."""
        await self._do("session_revoke", "That session has ended.", id=session_id)

    @rx.event
    async def end_others(self) -> None:
        """Sign out everywhere but here."""
        await self._do("sessions_revoke_others", "You are signed in only here now.")

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.said = said
        await self._show()

    @rx.event
    async def change_password(self, form: dict[str, Any]) -> None:
        """Take a new password; nothing of it is kept in the state."""
        self.said, self.form_problem = "", self._unfit(form)
        if self.form_problem:
            return
        try:
            data = await self.ask("password_change", input={"current": form["current"], "new": form["new"]})
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        ended = data["passwordChange"]["endedSessions"]
        others = f" {ended} other session{'s' if ended != 1 else ''} ended." if ended else ""
        self.said, self.form_number = f"Your password is changed.{others}", self.form_number + 1
        await self._show()

    def _unfit(self, form: dict[str, Any]) -> str:
        if not form.get("current"):
            return "Please give your present password as well."
        if len(str(form.get("new", ""))) < SHORTEST_PASSWORD:
            return (
                f"The new password needs at least {SHORTEST_PASSWORD} characters. Three or four words make a good one."
            )
        if form["new"] != form.get("again"):
            return "The two new passwords differ. Please type the new one again."
        return ""


def _password(label: str, name: str, complete: str, hint: str = "") -> rx.Component:
    return field(
        label,
        rx.el.input(
            id=f"password-{name}",
            name=name,
            type="password",
            auto_complete=complete,
            max_length=200,
            required=True,
            class_name="input",
        ),
        hint,
        for_=f"password-{name}",
    )


def _password_form() -> rx.Component:
    return card(
        "Password",
        rx.el.form(
            # A password keeper needs to know whose password this is.
            rx.el.input(
                type="hidden", name="username", value=Account.user_email, auto_complete="username", read_only=True
            ),
            _password("Present password", "current", "current-password"),
            _password("New password", "new", "new-password", "At least 12 characters."),
            _password("New password again", "again", "new-password"),
            problem(Account.form_problem),
            rx.el.div(rx.el.button("Change the password", type="submit", class_name="btn btn-primary")),
            on_submit=Account.change_password,
            class_name="card-body stack",
            key=Account.form_number.to_string(),
        ),
        words="When it changes, you are signed out everywhere but here.",
    )


def _session(session: rx.Var[SessionLine]) -> rx.Component:
    return rx.el.li(
        line_head(
            rx.el.b(session.agent),
            action=rx.cond(
                session.is_current,
                rx.el.span("this one", class_name="badge badge-accent"),
                rx.el.button(
                    "Sign out there",
                    type="button",
                    class_name="btn btn-small",
                    on_click=Account.end(session.id),
                    custom_attrs={"aria-label": "Sign out there: " + session.agent},
                ),
            ),
        ),
        rx.el.p(
            rx.cond(session.address != "", rx.el.span("from ", session.address, " · ")),
            "signed in ",
            when(at=session.created_at),
            rx.cond(session.is_current, "", rx.el.span(" · last used ", when(at=session.last_seen_at))),
            class_name="small muted",
        ),
        key=session.id,
    )


def _sessions() -> rx.Component:
    others = rx.cond(
        Account.sessions.length() > 1,
        rx.el.button(
            "Sign out everywhere else", type="button", class_name="btn btn-small", on_click=Account.end_others
        ),
        rx.fragment(),
    )
    return card(
        "Where you are signed in",
        rx.el.ul(rx.foreach(Account.sessions, _session), class_name="list"),
        aside=others,
        words="One you do not know? Sign out there, then change your password.",
    )


def account() -> rx.Component:
    """The page."""
    return page(
        "Your account",
        heading(
            "Your account",
            rx.fragment(Account.user_name, " · ", Account.user_email, " · ", Account.role, " of ", Account.tenant_name),
            NativeForm.create(
                rx.el.button(rx.icon("log-out", size=15), "Sign out", type="submit", class_name="btn"),
                action="/auth/logout",
                method="post",
            ),
        ),
        problem(Account.problem, Account.load),
        done(Account.said),
        rx.cond(
            Account.ready,
            rx.fragment(_sessions(), second_factor(Account.look_again), _password_form()),
            rx.el.div(skeleton_rows(), class_name="card"),
        ),
        narrow=True,
    )
