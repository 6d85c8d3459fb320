"""Rights to tick, in plain words, gathered under what they are about."""

from typing import Any

import reflex as rx

from ui.rights import Right, RightGroup


def chosen(form: dict[str, Any]) -> list[str]:
    """The scopes whose boxes are ticked."""
    return sorted(name.removeprefix("right ") for name, value in form.items() if name.startswith("right ") and value)


def rights_boxes(groups: rx.Var[list[RightGroup]]) -> rx.Component:
    """A box for each right; those of a role that is being changed are ticked already."""
    return rx.el.div(rx.foreach(groups, _group), class_name="rights")


def rights_fold(rights: rx.Var[list[Right]]) -> rx.Component:
    """How many rights, and which when opened."""
    return rx.el.details(
        rx.el.summary(
            rx.cond(rights.length() == 1, "1 right", rights.length().to_string() + " rights"), class_name="small"
        ),
        rx.el.ul(rx.foreach(rights, lambda right: rx.el.li(right.words)), class_name="small muted bullets"),
        class_name="fold",
    )


def _group(group: rx.Var[RightGroup]) -> rx.Component:
    def tick(right: rx.Var[Right]) -> rx.Component:
        return rx.el.label(
            rx.el.input(type="checkbox", name="right " + right.scope, default_checked=right.is_chosen),
            rx.el.span(
                right.words,
                rx.cond(right.alone != "", rx.el.span(right.alone, class_name="small muted right-alone")),
            ),
            class_name="tick",
            key=right.scope,
        )

    return rx.el.fieldset(
        rx.el.legend(group.title, class_name="label-text"),
        rx.foreach(group.rights, tick),
        class_name="bare rights-group",
        key=group.title,
    )
