"""What the console's words mean: each concept with an example, what belongs to it, and where it is found."""

from typing import Any

import reflex as rx

from ui.components.frame import heading, link, page
from ui.console import Console
from ui.help_words import CONCEPTS, PARTS, Concept


class Concepts(Console):
    """Whoever reads is signed in; the words themselves are the same for everybody."""

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        return await self.enter()


def _see(keys: tuple[str, ...]) -> list[rx.Component]:
    names = [rx.el.a(CONCEPTS[key].name, href=f"#{key}") for key in keys]
    return [part for name in names for part in (name, " · ")][:-1]


def _concept(concept: Concept) -> rx.Component:
    place = concept.place
    return rx.el.section(
        rx.el.h3(concept.name),
        rx.el.p(concept.words),
        rx.el.p(concept.example, class_name="help-example") if concept.example else rx.fragment(),
        rx.el.p("See also: ", *_see(concept.see), class_name="small muted") if concept.see else rx.fragment(),
        rx.el.p("In the console: ", link(place[0], to=place[1]), class_name="small muted") if place else rx.fragment(),
        id=concept.key,
        class_name="help-concept",
    )


def concepts() -> rx.Component:
    """All concepts, with their names as a list in front."""
    contents = [
        rx.el.li(rx.el.b(title), rx.el.p(*_see(tuple(each.key for each in part)), class_name="small"))
        for title, part in PARTS
    ]
    return page(
        "Help",
        heading("What it all means", "The words of rules, alerts and devices, each in a few sentences."),
        rx.el.nav(rx.el.ul(*contents, class_name="help-contents"), class_name="card card-body", aria_label="Concepts"),
        *(
            rx.el.section(
                rx.el.div(rx.el.h2(title), class_name="card-head"),
                rx.el.div(*(_concept(each) for each in part), class_name="help-part"),
                class_name="card",
                aria_label=title,
            )
            for title, part in PARTS
        ),
    )
