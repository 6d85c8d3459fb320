"""The page of one profile: the form, what is in its way, and what was changed before."""

import reflex as rx

from ui.components.frame import NEW_DEVICES, link, may, only, page
from ui.components.instead import gone
from ui.components.pieces import done, problem, skeleton_rows
from ui.pages.profile.sections import about, commands, history, interval, kept, metrics, settings
from ui.pages.profile.state import Profile

STALE = "Somebody else has changed this profile while you had it open. Your changes are not saved yet."


def _stale() -> rx.Component:
    return rx.cond(
        Profile.is_stale,
        rx.el.div(
            rx.icon("users", size=17),
            rx.el.div(
                rx.el.p(STALE),
                rx.el.div(
                    rx.el.button(
                        "Show their version", type="button", class_name="btn btn-small", on_click=Profile.take_theirs
                    ),
                    rx.el.button(
                        "Save mine over it", type="button", class_name="btn btn-small", on_click=Profile.insist
                    ),
                    class_name="row",
                    style={"marginTop": "8px"},
                ),
            ),
            class_name="note note-warn",
            role="alert",
        ),
    )


def _foot() -> rx.Component:
    return rx.fragment(
        _stale(),
        rx.cond(Profile.ready, problem(Profile.problem)),
        done(Profile.said),
        rx.cond(
            may("profiles:write"),
            rx.el.div(
                rx.el.button(
                    rx.cond(Profile.is_new, "Make the profile", "Save changes"),
                    type="submit",
                    class_name="btn btn-primary",
                    disabled=Profile.is_busy,
                ),
                link("Cancel", to="/profiles", class_name="btn"),
                rx.cond(
                    (Profile.said != "") & may(NEW_DEVICES), link("Add a device", to="/devices/add", class_name="btn")
                ),
                class_name="row",
            ),
            rx.el.p("You may look at profiles. To change them, ask an administrator.", class_name="small muted"),
        ),
    )


def _heading() -> rx.Component:
    return rx.el.div(
        link(rx.icon("arrow-left", size=15), "Profiles", to="/profiles", class_name="crumb"),
        rx.el.h1(rx.cond(Profile.is_new, "New profile", rx.cond(Profile.name != "", Profile.name, "Profile"))),
        rx.el.p(
            "What devices of one make have in common.",
            rx.cond(may("profiles:write"), " Nothing changes until you save.", ""),
            class_name="muted",
        ),
    )


def profile() -> rx.Component:
    """The page."""
    sheet = rx.cond(
        Profile.ready,
        rx.fragment(
            rx.el.form(
                rx.el.fieldset(
                    about(),
                    metrics(),
                    interval(),
                    kept(),
                    commands(),
                    settings(),
                    disabled=~may("profiles:write"),
                    class_name="bare stack-wide",
                ),
                _foot(),
                on_submit=Profile.save,
                class_name="stack-wide",
            ),
            history(),
        ),
        rx.cond(
            Profile.problem != "",
            problem(Profile.problem, Profile.load),
            rx.el.div(skeleton_rows(), class_name="card"),
        ),
    )
    return page(
        "Profiles",
        rx.cond(
            Profile.is_gone,
            gone("profile", "See all profiles", "/profiles"),
            only("profiles:write", _heading(), sheet, where=Profile.is_new & Profile.ready),
        ),
        needs="devices:read",
    )
