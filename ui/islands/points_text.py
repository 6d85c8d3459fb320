"""A point table as a text with numbered lines, and a bell that rings while the page waits for the edge."""

import reflex as rx
from reflex.event import no_args_event_spec, passthrough_event_spec

from ui.islands import POINTS_TEXT


class PointsText(rx.NoSSRComponent):
    """`number` rises when another text takes its place; `on_write` brings what was written; children stand below it."""

    library = POINTS_TEXT.importable_path
    tag = "PointsText"
    text: rx.Var[str]
    number: rx.Var[int]
    problems: rx.Var[list[object]]
    are_old: rx.Var[bool]
    is_read_only: rx.Var[bool]
    label: rx.Var[str]
    on_write: rx.EventHandler[passthrough_event_spec(str)]


class Again(rx.NoSSRComponent):
    """Shows nothing; `on_time` every so many milliseconds while it is on the page."""

    library = POINTS_TEXT.importable_path
    tag = "Again"
    every: rx.Var[int]
    on_time: rx.EventHandler[no_args_event_spec]


points_text = PointsText.create
again = Again.create
