"""The page: channels, policies, and what went out."""

import reflex as rx

from ui.components.frame import heading, page
from ui.components.pieces import done, problem, skeleton_rows
from ui.pages.notifications.channels import channel_form, channels, key
from ui.pages.notifications.log import log
from ui.pages.notifications.policies import plan, policies
from ui.pages.notifications.state import Notifications


def _no_mail() -> rx.Component:
    return rx.cond(
        ~Notifications.sends_mail,
        rx.el.div(
            rx.icon("mail-warning", size=17),
            rx.el.span(
                "This platform has no mail server, so e-mail reaches nobody and invitations are links to hand over. "
                "Whoever runs it sets ",
                rx.el.code("TIDEGATE_SMTP_URL"),
                " and ",
                rx.el.code("TIDEGATE_MAIL_FROM"),
                ".",
            ),
            class_name="note",
            role="note",
        ),
    )


def _test_result() -> rx.Component:
    return rx.cond(
        Notifications.tested != "",
        rx.cond(Notifications.test_went, done(Notifications.tested), problem(Notifications.tested)),
    )


def notifications() -> rx.Component:
    """The page."""
    return page(
        "Notifications",
        heading("Notifications", "Who is told when something is wrong, by which way, and whether it arrived."),
        problem(Notifications.problem, Notifications.load),
        done(Notifications.said),
        _test_result(),
        rx.cond(
            Notifications.ready,
            rx.fragment(
                _no_mail(),
                rx.cond(Notifications.secret != "", key()),
                rx.cond(Notifications.kind != "", channel_form(), channels()),
                rx.cond(Notifications.is_planning, plan(), policies()),
                log(),
            ),
            rx.cond(Notifications.problem == "", rx.el.div(skeleton_rows(6), class_name="card")),
        ),
        needs="notifications:read",
    )
