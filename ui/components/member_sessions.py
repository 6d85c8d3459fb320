"""Where a member is signed in, for whoever may change members, and the end of one such session."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.pieces import line_head
from ui.console import Console
from ui.islands.cells import when
from ui.sessions import SessionLine, session_line


class MemberSessions(rx.State, mixin=True):
    """The sessions of the member that is being looked at; the page that uses it is a `Console`."""

    sessions: list[SessionLine] = []
    knows_sessions: bool = False
    session_problem: str = ""

    _whose: str = ""

    @rx.event
    async def find_sessions(self, user_id: str) -> Any:
        """Look where this member is signed in."""
        self.sessions, self.knows_sessions, self.session_problem, self._whose = [], False, "", user_id
        yield
        await self._list_sessions()

    @rx.event
    async def end_session(self, session_id: str) -> None:
        """Sign the member out there."""
        assert isinstance(self, Console)
        self.session_problem = ""
        try:
            await self.ask("session_revoke", id=session_id)
        except Refused as refusal:
            if refusal.code != "SESSION_NOT_FOUND":  # it ended by itself in the meantime: as it was wanted
                self.session_problem = refusal.words
                return
        await self._list_sessions()

    async def _list_sessions(self) -> None:
        assert isinstance(self, Console)
        try:
            found = (await self.ask("member_sessions", id=self._whose))["memberSessions"]
        except Refused as refusal:
            self.session_problem = refusal.words
            return
        self.sessions, self.knows_sessions = [session_line(each) for each in found], True


def member_sessions(state: type[MemberSessions], name: rx.Var[str], *, end_all: Any) -> rx.Component:
    """The list, in the form that changes a member of this name; `end_all` signs them out of all."""

    def line(session: rx.Var[SessionLine]) -> rx.Component:
        return rx.el.li(
            line_head(
                rx.el.b(session.agent),
                action=rx.el.button(
                    "Sign out there",
                    type="button",
                    class_name="btn btn-small",
                    on_click=state.end_session(session.id),
                    custom_attrs={"aria-label": "Sign " + name + " out of " + session.agent},
                ),
            ),
            rx.el.p(
                rx.cond(session.address != "", rx.el.span("from ", session.address, " · ")),
                "signed in ",
                when(at=session.created_at),
                " · last used ",
                when(at=session.last_seen_at),
                class_name="small muted",
            ),
            key=session.id,
        )

    listed = rx.cond(
        state.sessions.length() > 0,
        rx.el.ul(rx.foreach(state.sessions, line), class_name="list list-flush"),
        rx.el.p("Nowhere at the moment.", class_name="small muted"),
    )
    return rx.el.section(
        rx.el.h3("Where ", name, " is signed in", class_name="label-text"),
        rx.cond(
            state.session_problem != "",
            rx.el.p(state.session_problem, class_name="small", role="alert"),
        ),
        rx.cond(state.knows_sessions, listed),
        rx.cond(
            ~state.knows_sessions | (state.sessions.length() > 0),
            rx.el.button("Sign out everywhere", type="button", class_name="btn btn-small", on_click=end_all),
        ),
        class_name="sheet-part",
        aria_label="Where this person is signed in",
    )
