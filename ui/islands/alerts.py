"""Hears of alerts as they happen, so that a page can ask for its list again."""

import reflex as rx
from reflex.event import no_args_event_spec

from ui.client import OPERATIONS
from ui.islands import ALERTS, LINE_PACKAGES


class AlertNews(rx.NoSSRComponent):
    """Shows nothing; `on_news` fires when an alert is raised, acknowledged or cleared."""

    library = ALERTS.importable_path
    tag = "AlertNews"
    lib_dependencies: list[str] = LINE_PACKAGES
    query: rx.Var[str]
    on_news: rx.EventHandler[no_args_event_spec]


def alert_news(on_news: object) -> rx.Component:
    """Calls `on_news` when any alert of the tenant changes."""
    return AlertNews.create(query=OPERATIONS["alert_events"], on_news=on_news)
