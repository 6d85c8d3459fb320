"""What stands in place of a page: what its address names is gone, or is not for this person to see."""

import reflex as rx
from reflex_components_core.react_router import ReactRouterLink


def gone(what: str, all_of_them: str, path: str) -> rx.Component:
    """The thing of the address is not there; leads back to where such things are listed."""
    return _instead(
        "search-x",
        f"There is no such {what}",
        "The address may be mistyped, or it was removed meanwhile.",
        ReactRouterLink.create(all_of_them, to=path, class_name="btn btn-primary"),
    )


def barred(why: str, remedy: str) -> rx.Component:
    """The page is not for this person: `why`, and who can change that."""
    return _instead(
        "lock",
        "This page is not open to you",
        f"{why} {remedy}",
        ReactRouterLink.create("Go to the overview", to="/", class_name="btn btn-primary"),
    )


def _instead(icon: str, title: str, words: str, way: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.icon(icon, size=32, stroke_width=1.6),
            rx.el.h1(title, class_name="instead-title"),
            rx.el.p(words),
            way,
            class_name="empty",
        ),
        class_name="card",
        role="alert",
        aria_label=title,
    )
