"""How much arrives, and how much of it is turned away: the last 24 hours as figures and bars."""

import reflex as rx

from ui.client import OPERATIONS
from ui.islands import LINE_PACKAGES, PULSE


class Pulse(rx.NoSSRComponent):
    """The card with the message counters; asks /graphql every five seconds."""

    library = PULSE.importable_path
    tag = "Pulse"
    lib_dependencies: list[str] = LINE_PACKAGES
    query: rx.Var[str]
    inbox: rx.Var[str]


class TurnedAway(rx.NoSSRComponent):
    """What became of the messages of the last 24 hours, hour by hour, of one device or of all."""

    library = PULSE.importable_path
    tag = "TurnedAway"
    lib_dependencies: list[str] = LINE_PACKAGES
    query: rx.Var[str]
    device_id: rx.Var[str]


def pulse(inbox: rx.Var[str] | str = "") -> rx.Component:
    """The card, with its question; `inbox` is where what was not accepted can be read, '' for those who may not."""
    return Pulse.create(query=OPERATIONS["ingest_counts"], inbox=inbox)


def turned_away(device_id: rx.Var[str]) -> rx.Component:
    """The counts above the inbox."""
    return TurnedAway.create(query=OPERATIONS["turned_away"], device_id=device_id)
