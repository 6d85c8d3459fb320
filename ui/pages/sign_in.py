"""Signing in: a form the browser sends to /auth/login, which answers with the session's cookie."""

import reflex as rx

from ui.components.frame import NativeForm, mark, theme_button
from ui.components.pieces import field, problem
from ui.console import Console

WORDS = {
    "bad-credentials": "That e-mail and password do not belong together. Please try again.",
    "too-many-tries": "Too many tries. Please wait a few minutes, then try again.",
    "tenant-suspended": "This organisation is suspended. Please ask whoever runs the platform; nothing was deleted.",
    "forbidden": "You are not a member of that organisation.",
    "unavailable": "The platform does not answer right now. Please try again in a moment.",
}


def plain(error: str) -> str:
    """The error of /auth/login in words; any error we do not know still says something."""
    if not error:
        return ""
    return WORDS.get(error, "Signing in did not work. Please try again.")


def inside(path: str) -> str:
    """Where to go afterwards: only a path of this console, never another host (an open redirect helps phishers)."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_local and not path.startswith("/sign-in") else "/"


class SignIn(Console):
    """What the address says: what went wrong the last time, and where the visitor wanted to go."""

    error: str = ""
    next_path: str = "/"

    @rx.event
    def load(self) -> None:
        """Read the address."""
        query = self.router.url.query_parameters
        self.error = plain(query.get("error", ""))
        self.next_path = inside(query.get("next", "/"))


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
                rx.el.div(rx.el.h1("Sign in", style={"marginBottom": "16px"}), form, class_name="card-body"),
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
