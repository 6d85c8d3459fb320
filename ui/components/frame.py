"""The frame around every page: navigation, who is signed in, light or dark, signing out."""

from typing import Any

import reflex as rx
from reflex_components_core.el.elements.base import BaseHTML
from reflex_components_core.react_router import ReactRouterLink

from ui.components.help import help_link
from ui.components.instead import barred
from ui.console import ALL_DEVICES, NEW_DEVICES, Console, Organisation
from ui.islands.cells import live_line
from ui.islands.news import alert_news
from ui.rights import right_words

# Places, for those who hold the right: name, address, icon, the right. These have room in the bar of small screens.
PLACES = (
    ("Organisations", "/platform", "building-2", "platform:read"),
    ("Overview", "/", "gauge", "devices:read"),
    ("Devices", "/devices", "cpu", "devices:read"),
    ("Rules", "/rules", "workflow", "rules:read"),
    ("Alerts", "/alerts", "bell", "alerts:read"),
    ("Profiles", "/profiles", "ruler", "devices:read"),
)
FURTHER = (
    ("Groups", "/groups", "boxes", "devices:read"),
    ("Notifications", "/notifications", "bell-ring", "notifications:read"),
    ("Ways in", "/ways-in", "door-open", ALL_DEVICES),
    ("Fleet audit", "/fleet-audit", "shield-check", ALL_DEVICES),
    ("Inbox", "/inbox", "inbox", "inbox:read"),
    ("Usage", "/usage", "chart-no-axes-column", "tenant:read"),
)
ACCESS = (
    ("People", "/access/people", "users", "users:read"),
    ("API tokens", "/access/tokens", "key-round", "tokens:write"),
    ("Identity providers", "/access/identity-providers", "fingerprint", "tenant:read"),
    ("Audit log", "/access/audit", "scroll-text", "audit:read"),
)

link = ReactRouterLink.create


class NativeForm(BaseHTML):
    """A form the browser itself sends (rx.el.form prevents that): signing in and out work without our JavaScript."""

    tag = "form"
    action: rx.Var[str]
    method: rx.Var[str]


def mark() -> rx.Component:
    """The sign of the house: a gate over the tide."""
    wave = "M10 {y}c2-2 4-2 6 0s4 2 6 0"
    return rx.el.svg(
        rx.el.path(d="M6 5v22M26 5v22M6 9h20"),
        rx.el.path(d=wave.format(y=17)),
        rx.el.path(d=wave.format(y=23)),
        view_box="0 0 32 32",
        fill="none",
        stroke="currentColor",
        stroke_width="2.6",
        stroke_linecap="round",
        custom_attrs={"aria-hidden": "true"},
    )


def theme_button() -> rx.Component:
    """Light or dark; until pressed, the console follows the system."""
    return rx.el.button(
        rx.color_mode_cond(rx.icon("moon", size=17), rx.icon("sun", size=17)),
        type="button",
        class_name="btn btn-ghost btn-icon",
        on_click=rx.toggle_color_mode,
        title="Light or dark",
        custom_attrs={"aria-label": "Switch between light and dark"},
    )


def sign_out(label: bool) -> rx.Component:
    """Ends the session on the server, then shows the sign-in page."""
    return NativeForm.create(
        rx.el.button(
            rx.icon("log-out", size=16),
            "Sign out" if label else rx.el.span("Sign out", class_name="sr-only"),
            type="submit",
            class_name="btn btn-ghost" + ("" if label else " btn-icon"),
        ),
        action="/auth/logout",
        method="post",
    )


def _count() -> rx.Component:
    shown = rx.cond(Console.open_alerts > 99, "99+", Console.open_alerts.to_string())
    return rx.cond(
        Console.open_alerts > 0,
        rx.el.span(shown, rx.el.span(" open alerts", class_name="sr-only"), class_name="count"),
    )


def _place(name: str, path: str, icon: str, here: str, size: int) -> rx.Component:
    return link(
        rx.icon(icon, size=size),
        rx.el.span(name),
        _count() if name == "Alerts" else rx.fragment(),
        to=path,
        custom_attrs={"aria-current": "page"} if name == here else {},
    )


def may(scope: str) -> rx.Var[bool]:
    """Whether whoever is signed in holds this right; what they may not do is not offered."""
    if scope == ALL_DEVICES:
        return Console.scopes.contains("devices:read") & ~Console.is_limited_to_groups
    if scope == NEW_DEVICES:
        return Console.adds_devices
    return Console.scopes.contains(scope)


def only(scope: str, *children: rx.Component, where: rx.Var[bool] | None = None) -> rx.Component:
    """What needs a right, for those who hold it; the others are told so. `where`: when the right is needed at all."""
    is_open = (Console.scopes.length() == 0) | may(scope)
    return rx.cond(is_open if where is None else is_open | ~where, rx.fragment(*children), _barred(scope))


def _barred(scope: str) -> rx.Component:
    if scope == ALL_DEVICES:
        return barred("It is about all devices, and you see those of some groups.", _remedy(scope))
    if scope == NEW_DEVICES:
        outside = barred(
            "Your groups are put together by hand, so a new device would lie outside them.",
            "Ask somebody who sees all devices to add it and to put it into your group.",
        )
        return rx.cond(may("devices:write"), outside, _barred("devices:write"))
    return barred(f"It needs a right that you do not have: “{right_words(scope)}”.", _remedy(scope))


def _remedy(scope: str) -> str:
    if scope.startswith("platform:"):
        return "Only whoever operates the platform holds it."
    whoever = "An owner" if scope == "tenant:write" else "An administrator"  # who can give only rights of their own
    return f"{whoever} of your organisation can change that, under People."


def _if_allowed(name: str, path: str, icon: str, scope: str, here: str, size: int = 18) -> rx.Component:
    return rx.cond(may(scope), _place(name, path, icon, here, size))


def _main(here: str, size: int) -> list[rx.Component]:
    """The main places; those that nearly everybody may enter stand there before it is known who has come."""
    unknown = (Console.scopes.length() == 0) & ~Console.must_set_up
    operator, *others = PLACES
    return [
        _if_allowed(*operator, here, size),
        *(rx.cond(unknown | may(place[3]), _place(*place[:3], here, size)) for place in others),
    ]


def _factor_taken() -> rx.Component:
    """Whoever's second factor was taken away by somebody else is told on every page until there is a new one."""
    return rx.cond(
        Console.factor_taken_by != "",
        rx.el.div(
            rx.icon("shield-alert", size=17),
            rx.el.span(
                Console.factor_taken_by,
                " has taken your second factor away. If you did not ask for that, tell your administrator.",
            ),
            link("Set up a new one", to="/account", class_name="btn btn-small"),
            class_name="note note-warn",
            role="status",
        ),
    )


def _factor_needed() -> rx.Component:
    """Operators of the platform can do nothing before they have a second factor."""
    return rx.cond(
        Console.must_set_up,
        rx.el.div(
            rx.icon("shield-alert", size=17),
            rx.el.span(
                rx.el.b("Set up a second factor first. "),
                "Whoever operates the platform needs one, and can do nothing else before. It is set up below.",
            ),
            class_name="note note-warn",
            role="status",
        ),
    )


def _access(here: str) -> rx.Component:
    """The places that are about who may do what; the whole group is gone for those who may enter none of them."""
    any_of = may(ACCESS[0][3])
    for place in ACCESS[1:]:
        any_of = any_of | may(place[3])
    return rx.cond(
        any_of,
        rx.el.div(
            rx.el.span("Access", class_name="nav-title", aria_hidden="true"),
            *(_if_allowed(*place, here) for place in ACCESS),
            class_name="nav-group",
            role="group",
            aria_label="Access",
        ),
    )


def _who() -> rx.Component:
    """Who is signed in, for which organisation; leads to one's own account."""
    return link(
        rx.el.b(Console.tenant_name),
        rx.el.span(Console.user_email),
        to="/account",
        class_name="who",
        title="Your account",
    )


def _elsewhere() -> rx.Component:
    """For whoever belongs to several organisations: the way to each of the others, in a session of its own."""

    def to(other: rx.Var[Organisation]) -> rx.Component:
        return NativeForm.create(
            rx.el.input(type="hidden", name="tenant", value=other["key"], read_only=True),
            rx.el.button(
                rx.icon("arrow-right-left", size=15),
                rx.el.span(other["name"]),
                type="submit",
                class_name="btn btn-ghost",
            ),
            action="/auth/switch",
            method="post",
        )

    return rx.cond(
        Console.elsewhere.length() > 0,
        rx.el.details(
            rx.el.summary("Other organisations"),
            rx.el.div(rx.foreach(Console.elsewhere, to), class_name="stack-tight"),
            class_name="fold elsewhere",
        ),
    )


def _to_help(here: str) -> rx.Component:
    return link(
        rx.icon("circle-help", size=17),
        to="/help",
        class_name="btn btn-ghost btn-icon push",
        title="What it all means",
        custom_attrs={"aria-label": "Help", **({"aria-current": "page"} if here == "Help" else {})},
    )


def _more(here: str) -> rx.Component:
    """On small screens: the places that have no room in the bar below."""
    return rx.el.details(
        rx.el.summary(
            rx.icon("menu", size=20), rx.el.span("More", class_name="sr-only"), class_name="btn btn-ghost btn-icon"
        ),
        rx.el.nav(
            *(_if_allowed(*place, here) for place in FURTHER),
            _access(here),
            _place("Help", "/help", "circle-help", here, 18),
            _who(),
            _elsewhere(),
            class_name="nav menu-sheet",
            aria_label="More places",
        ),
        class_name="menu",
    )


def page(
    here: str,
    *children: rx.Component,
    needs: str = "",
    narrow: bool = False,
    on_alert: Any = Console.count_alerts,
) -> rx.Component:
    """A page in its frame. `here`: its place in the navigation; `needs`: the right without which there is nothing to
    see; `on_alert`: what follows when an alert changes.
    """
    shown = (only(needs, *children),) if needs else children
    return rx.el.div(
        rx.el.a("Skip to content", href="#content", class_name="skip"),
        rx.el.aside(
            link(mark(), rx.el.span("Tidegate"), to="/", class_name="brand"),
            rx.el.nav(
                *_main(here, 18),
                *(_if_allowed(*place, here) for place in FURTHER),
                _access(here),
                class_name="nav",
                aria_label="Main",
            ),
            rx.el.div(
                _who(),
                _elsewhere(),
                rx.el.div(sign_out(label=True), _to_help(here), theme_button(), class_name="row"),
                class_name="side-foot",
            ),
            class_name="side",
        ),
        rx.el.header(
            link(
                mark(),
                rx.el.span(rx.cond(Console.tenant_name, Console.tenant_name, "Tidegate")),
                to="/",
                class_name="brand",
            ),
            theme_button(),
            sign_out(label=False),
            _more(here),
            class_name="topbar",
        ),
        rx.el.main(
            rx.el.div(_factor_needed(), _factor_taken(), *shown, class_name="page page-narrow" if narrow else "page"),
            id="content",
            class_name="main",
            tab_index=-1,
            aria_busy=~Console.is_here,
        ),
        rx.el.nav(*_main(here, 21), class_name="tabs", aria_label="Main, small screen"),
        rx.cond(may("alerts:read"), alert_news(on_alert)),
        live_line(),
        class_name="frame",
    )


def heading(
    title: rx.Component | rx.Var[str] | str,
    words: rx.Component | rx.Var[str] | str = "",
    *actions: rx.Component,
    about: str = "",
) -> rx.Component:
    """A page's title, one sentence about it, and what can be done; `about` leads to what the title means.

    Until it is known who has come, and so what they may do, there is room for it.
    """
    room = rx.cond(Console.scopes.length() == 0, "actions is-waiting", "actions") if actions else "actions"
    return rx.el.div(
        rx.el.div(rx.el.div(rx.el.h1(title), help_link(about), class_name="titled"), rx.el.p(words)),
        rx.el.div(*actions, class_name=room),
        class_name="head",
    )
