"""Signing in: a form the browser sends to /auth/login, which answers with the session's cookie."""

import re
from typing import Any

import reflex as rx

from ui.client import Refused, ways_in_of
from ui.components.frame import NativeForm, link, mark, theme_button
from ui.components.pieces import field, problem
from ui.providers import SignInWay, sign_in_way

WORDS = {
    "bad-credentials": "That e-mail and password do not belong together. Please try again.",
    "too-many-tries": "Too many tries. Please wait a few minutes, then try again.",
    "signing-in-busy": "Too many people are signing in just now. Please try again in a few seconds.",
    "tenant-suspended": "This organisation is suspended. Please ask whoever runs the platform; nothing was deleted.",
    "forbidden": "You are not a member of that organisation.",
    "not-a-member": "That sign-in is not good for the other organisation. Please sign in there.",
    "unavailable": "The platform does not answer right now. Please try again in a moment.",
}

TENANT_KEY = re.compile(r"[a-z0-9-]{1,20}")


def plain(error: str) -> str:
    """The error of /auth/login in words; any error we do not know still says something."""
    if not error:
        return ""
    return WORDS.get(error, "Signing in did not work. Please try again.")


def inside(path: str) -> str:
    """Where to go afterwards: only a path of this console, never another host (an open redirect helps phishers)."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_local and not path.startswith("/sign-in") else "/"


class SignIn(rx.State):
    """What the address says: what went wrong the last time, and where the visitor wanted to go.

    Nothing of the console's: that is emptied whenever somebody signs in or out, and the organisation is remembered.
    """

    error: str = ""
    next_path: str = "/"
    organisation: str = rx.LocalStorage("", name="tidegate_organisation")  # the short name that was typed last
    ways: list[SignInWay] = []
    ways_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the address; where the organisation is known, by it or from the last time, offer its ways in."""
        query = self.router.url.query_parameters
        self.error, self.ways_problem = plain(query.get("error", "")), ""
        self.next_path = inside(query.get("next", "/"))
        if key := query.get("tenant", "") or self.organisation:
            await self._offer(key)
            self.ways_problem = ""  # nobody has asked yet, so nothing is wrong

    @rx.event
    async def find(self, form: dict[str, Any]) -> None:
        """Look for the ways into the organisation that was typed."""
        self.error = ""
        await self._offer(str(form.get("tenant", "")))

    async def _offer(self, key: str) -> None:
        key = key.strip().lower()
        self.ways, self.ways_problem = [], ""
        try:
            found = await ways_in_of(key) if TENANT_KEY.fullmatch(key) else []
        except Refused as refusal:
            self.ways_problem = refusal.words
            return
        self.ways = [sign_in_way(each, self.next_path) for each in found]
        if found:
            self.organisation = key
        else:
            self.ways_problem = f"“{key}” has no sign-in of its own. Look at the name again, or use your password."


def _ways() -> rx.Component:
    """Below the password: signing in with the account of one's company."""

    def button(way: rx.Var[SignInWay]) -> rx.Component:
        # The server leads on from there to the provider; the console itself would look for a page of its own.
        return link(rx.icon("fingerprint", size=16), way.words, to=way.path, reload_document=True, class_name="btn")

    ask = rx.el.details(
        rx.el.summary(rx.cond(SignIn.ways.length() > 0, "Another organisation", "Use your company's account")),
        rx.el.form(
            field(
                "Short name of your organisation",
                rx.el.input(
                    id="tenant",
                    name="tenant",
                    required=True,
                    max_length=20,
                    auto_capitalize="none",
                    auto_complete="organization",
                    spell_check=False,
                    placeholder="acme",
                    class_name="input",
                ),
                "Whoever invited you knows it.",
                for_="tenant",
            ),
            problem(SignIn.ways_problem),
            rx.el.button("Go on", type="submit", class_name="btn"),
            on_submit=SignIn.find,
            class_name="stack",
        ),
        class_name="fold",
    )
    return rx.el.div(rx.foreach(SignIn.ways, button), ask, class_name="door-ways stack")


def sign_in() -> rx.Component:
    """The page."""
    form = NativeForm.create(
        problem(SignIn.error),
        field(
            "E-mail",
            rx.el.input(
                id="email",
                name="email",
                type="email",
                auto_complete="username",
                required=True,
                auto_focus=True,
                class_name="input",
            ),
            for_="email",
        ),
        field(
            "Password",
            rx.el.input(
                id="password",
                name="password",
                type="password",
                auto_complete="current-password",
                required=True,
                class_name="input",
            ),
            for_="password",
        ),
        rx.el.input(type="hidden", name="next", value=SignIn.next_path, read_only=True),
        rx.el.button("Sign in", type="submit", class_name="btn btn-primary"),
        action="/auth/login",
        method="post",
        class_name="stack",
    )
    return rx.el.main(
        rx.el.div(
            rx.el.div(mark(), rx.el.span("Tidegate"), class_name="brand"),
            rx.el.div(
                rx.el.div(rx.el.h1("Sign in", style={"marginBottom": "16px"}), form, _ways(), class_name="card-body"),
                class_name="card",
            ),
            rx.el.p(
                "The first start prints the e-mail and the password in the terminal.",
                class_name="door-foot",
            ),
            rx.el.div(theme_button(), style={"textAlign": "center"}),
            class_name="door-box",
        ),
        class_name="door",
    )
