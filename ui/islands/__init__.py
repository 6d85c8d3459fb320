"""React components that talk to /graphql from the browser itself: live values, charts, the rule editor, the importer.

All files are handed to Reflex from this one module: it links them side by side, so `./live.js` is found by each.
"""

import reflex as rx

LIVE = rx.asset("live.js", shared=True)
CELLS = rx.asset("cells.jsx", shared=True)
PULSE = rx.asset("pulse.jsx", shared=True)
NEWS = rx.asset("news.jsx", shared=True)
CHART = rx.asset("chart.jsx", shared=True)
RULE_MODEL = rx.asset("rule_model.js", shared=True)
RULE_EDITOR = rx.asset("rule_editor.jsx", shared=True)
IMPORTER = rx.asset("importer.jsx", shared=True)

LINE_PACKAGES = ["graphql-ws@6.4.2", "graphql@16.11.0"]
