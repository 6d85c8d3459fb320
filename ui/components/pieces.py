"""Pieces several pages share: cards, notes, empty states, skeletons, fields."""

from typing import Any

import reflex as rx

from ui.components.help import help_link


def card(
    title: str | rx.Var[str],
    *children: rx.Component,
    aside: rx.Component | None = None,
    words: str = "",
    about: str = "",
) -> rx.Component:
    """A titled box. `about`: the concept of /help that it is about."""
    named = rx.el.h2(title)
    return rx.el.section(
        rx.el.div(
            rx.el.div(
                rx.el.div(named, help_link(about), class_name="titled") if about else named,
                rx.el.p(words) if words else rx.fragment(),
            ),
            aside if aside is not None else rx.fragment(),
            class_name="card-head",
        ),
        *children,
        class_name="card",
        aria_label=title,
    )


def body(*children: rx.Component) -> rx.Component:
    """A card's inside, with its margins."""
    return rx.el.div(*children, class_name="card-body stack")


def problem(words: rx.Var[str], again: Any = None) -> rx.Component:
    """What went wrong, in plain words, with a way to try again; nothing while all is well."""
    return rx.cond(
        words != "",
        rx.el.div(
            rx.icon("circle-alert", size=17),
            rx.el.span(words),
            rx.el.button("Try again", type="button", class_name="btn btn-small", on_click=again)
            if again
            else rx.fragment(),
            class_name="note note-bad",
            role="alert",
        ),
    )


def done(words: rx.Var[str]) -> rx.Component:
    """What just worked."""
    return rx.cond(
        words != "",
        rx.el.div(rx.icon("check", size=17), rx.el.span(words), class_name="note note-ok", role="status"),
    )


def note(icon: str, *words: Any, look: str = "warn") -> rx.Component:
    """Something to know before one goes on, in a coloured box."""
    return rx.el.div(rx.icon(icon, size=17), rx.el.span(*words), class_name=f"note note-{look}", role="status")


def doubt(
    question: str,
    *words: Any,
    yes: tuple[Any, Any],
    no: tuple[str, Any],
    wrong: rx.Var[str] | None = None,
) -> rx.Component:
    """Asks before something that cannot be taken back; `yes` and `no`: a button's words and what follows.

    The words tell what happens. Whoever presses Enter at once keeps what they have. `wrong`: why it was refused.
    """
    return rx.el.div(
        rx.el.p(*words),
        problem(wrong) if wrong is not None else rx.fragment(),
        rx.el.div(
            rx.el.button(yes[0], type="button", class_name="btn btn-danger-solid", on_click=yes[1]),
            rx.el.button(no[0], type="button", class_name="btn", auto_focus=True, on_click=no[1]),
            class_name="row",
        ),
        class_name="note note-warn confirm",
        role="group",
        aria_label=question,
    )


def answers(words: Any, cancel: Any, wrong: rx.Var[str] | None = None, *, danger: bool = False) -> rx.Component:
    """The end of a form: why it was refused, the button that sends it, and the one that closes it."""
    return rx.fragment(
        problem(wrong) if wrong is not None else rx.fragment(),
        rx.el.div(
            rx.el.button(words, type="submit", class_name="btn btn-danger-solid" if danger else "btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=cancel),
            class_name="row",
        ),
    )


def empty(
    icon: str, title: str, words: str | rx.Component, *actions: rx.Component, small: bool = False
) -> rx.Component:
    """Nothing here yet, and what to do about it."""
    return rx.el.div(
        rx.icon(icon, size=24 if small else 32, stroke_width=1.6),
        rx.el.h2(title),
        rx.el.p(words),
        *actions,
        class_name="empty empty-small" if small else "empty",
    )


def line_head(*who: Any, action: Any) -> rx.Component:
    """The beginning of a list's line: its name and badges, and at the end what can be done with it (or when it was).

    A long name breaks beside the button; several buttons go below it on a small screen.
    """
    return rx.el.div(rx.el.div(*who, class_name="row"), action, class_name="line-head")


def skeleton(height: int = 14, width: str = "100%") -> rx.Component:
    """A grey bar where something is on its way."""
    return rx.el.span(class_name="skeleton", style={"height": f"{height}px", "width": width}, aria_hidden="true")


def skeleton_rows(count: int = 5) -> rx.Component:
    """A list on its way."""
    widths = ("62%", "78%", "54%", "70%", "66%", "48%", "74%", "58%")
    return rx.el.div(
        rx.el.span("Loading", class_name="sr-only", role="status"),
        *(skeleton(18, widths[i % len(widths)]) for i in range(count)),
        class_name="card-body stack",
    )


def field(
    label: str | rx.Component, control: rx.Component, hint: str | rx.Component = "", for_: str = ""
) -> rx.Component:
    """A labelled control."""
    return rx.el.div(
        rx.el.label(label, html_for=for_),
        control,
        rx.el.span(hint, class_name="hint") if hint else rx.fragment(),
        class_name="field",
    )


def search_box(label: str, on_search: Any, placeholder: str = "Search by name or key") -> rx.Component:
    """Looks for what is typed, a moment after the last letter; `label` says to screen readers what is searched."""
    return rx.el.div(
        rx.icon("search", size=16),
        rx.el.input(
            type="search",
            placeholder=placeholder,
            default_value="",
            class_name="input",
            on_change=on_search.debounce(250),
            custom_attrs={"aria-label": label},
        ),
        class_name="search",
    )


def severity_badge(severity: rx.Var[str]) -> rx.Component:
    """How bad, as a word in its colour."""
    return rx.el.span(
        severity,
        class_name=rx.match(
            severity,
            ("critical", "badge badge-bad"),
            ("major", "badge badge-bad"),
            ("minor", "badge badge-warn"),
            ("warning", "badge badge-warn"),
            "badge badge-accent",
        ),
    )


def pager(
    number: rx.Var[int], has_next: rx.Var[bool], previous: Any, following: Any, label: str = "Pages"
) -> rx.Component:
    """Back and forth between the pages of a list; nothing while there is only one."""
    return rx.cond(
        (number > 1) | has_next,
        rx.el.nav(
            rx.el.button(
                rx.icon("chevron-left", size=16),
                "Previous",
                type="button",
                class_name="btn btn-small",
                disabled=number == 1,
                on_click=previous,
            ),
            rx.el.span("Page ", number.to_string(), class_name="small muted", aria_live="polite"),
            rx.el.button(
                "Next",
                rx.icon("chevron-right", size=16),
                type="button",
                class_name="btn btn-small",
                disabled=~has_next,
                on_click=following,
            ),
            class_name="pager",
            aria_label=label,
        ),
    )
