"""From when until when, in the viewer's own time zone, as part of a form."""

import reflex as rx

from ui.islands import SPANS


class Spans(rx.NoSSRComponent):
    """Spans to choose from (hour, morning, night, weekend, week) or one's own; sends `from_at` and `until_at`."""

    library = SPANS.importable_path
    tag = "Spans"
    name: rx.Var[str]
    legend: rx.Var[str]
    offers: rx.Var[list[str]]
    has_start: rx.Var[bool]


spans = Spans.create
