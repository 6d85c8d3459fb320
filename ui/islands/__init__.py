"""React components that talk to /graphql from the browser itself: live values, charts, the rule editor, the importer.

All files are handed to Reflex from this one module: it links them side by side, so `./live.js` is found by each.
"""

from concurrent.futures import ThreadPoolExecutor

import reflex as rx
from reflex.assets import AssetPathStr


def _shared(name: str) -> AssetPathStr:
    return rx.asset(name, shared=True)


NAMES = (
    "live.js",
    "cells.jsx",
    "pulse.jsx",
    "news.jsx",
    "chart.jsx",
    "rule_model.js",
    "rule_editor.jsx",
    "importer.jsx",
    "spans.jsx",
    "clock_field.jsx",
    "points_text.jsx",
)
# What only these files import: a style, numbers in words, and the parts of the rule designer.
PARTS = (
    "points_text.css",
    "numbers.js",
    "trust.js",
    "zones.js",
    "clock.js",
    "rule_words.js",
    "rule_desk.js",
    "rule_hooks.js",
    "rule_pieces.jsx",
    "rule_area.js",
    "rule_known.jsx",
    "rule_area.jsx",
    "rule_condition.jsx",
    "rule_actions.jsx",
    "rule_sentence.jsx",
    "rule_gallery.jsx",
    "rule_given.js",
    "rule_limits.js",
    "rule_ask.js",
    "rule_keep.js",
    "rule_why.jsx",
    "rule_time.js",
    "rule_point.jsx",
    "rule_timeline.jsx",
    "rule_chart.css",
    "rule_chart.jsx",
    "rule_backtest.jsx",
    "rule_trial.jsx",
    "rule_publish.jsx",
    "rule_canvas_words.js",
    "rule_canvas_layout.js",
    "rule_canvas_panel.jsx",
    "rule_canvas.css",
    "rule_canvas.jsx",
    "rule_canvas_view.jsx",
)
# To learn who asks, Reflex reads the source of every function on the stack: of thirty here, deep inside an import. That
# took half a second of each start; on a thread of its own there are few.
with ThreadPoolExecutor(1) as one:
    LIVE, CELLS, PULSE, NEWS, CHART, RULE_MODEL, RULE_EDITOR, IMPORTER, SPANS, *FIELDS = one.map(_shared, NAMES)
    list(one.map(_shared, PARTS))
CLOCK_FIELD, POINTS_TEXT = FIELDS

LINE_PACKAGES = ["graphql-ws@6.4.2", "graphql@16.11.0"]
