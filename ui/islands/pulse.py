"""How much arrives: messages a minute now, and the last 24 hours as bars."""

import reflex as rx

from ui.client import OPERATIONS
from ui.islands import LINE_PACKAGES, PULSE


class Pulse(rx.NoSSRComponent):
    """The card with the message counters; asks /graphql every five seconds."""

    library = PULSE.importable_path
    tag = "Pulse"
    lib_dependencies: list[str] = LINE_PACKAGES
    query: rx.Var[str]


def pulse() -> rx.Component:
    """The card, with its question."""
    return Pulse.create(query=OPERATIONS["ingest_counts"])
