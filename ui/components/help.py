"""The small "?" beside a concept, which leads to what it means."""

import reflex as rx

from ui.help_words import CONCEPTS


def help_link(about: str) -> rx.Component:
    """Leads to a concept of /help, in a tab of its own so that what is being written stays; nothing for ''."""
    if not about:
        return rx.fragment()
    return rx.el.a(
        "?",
        href=f"/help#{CONCEPTS[about].key}",
        target="_blank",
        rel="noopener",
        title="What is this?",
        class_name="help",
        custom_attrs={"aria-label": f"Help: {CONCEPTS[about].name}"},
    )
