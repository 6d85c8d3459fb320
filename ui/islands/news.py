"""Hears of alerts, commands and devices coming and going, so that a page can ask again."""

from typing import Any

import reflex as rx
from reflex.event import no_args_event_spec

from ui.client import OPERATIONS
from ui.islands import LINE_PACKAGES, NEWS


class News(rx.NoSSRComponent):
    """Shows nothing; `on_news` fires when something happens on the subscription."""

    library = NEWS.importable_path
    tag = "News"
    lib_dependencies: list[str] = LINE_PACKAGES
    query: rx.Var[str]
    field: rx.Var[str]
    device_id: rx.Var[str]
    on_news: rx.EventHandler[no_args_event_spec]


def alert_news(on_news: Any) -> rx.Component:
    """Calls `on_news` when any alert of the tenant is raised, acknowledged or cleared."""
    return News.create(query=OPERATIONS["alert_events"], field="alerts", on_news=on_news)


def status_news(on_news: Any) -> rx.Component:
    """Calls `on_news` when any device of the tenant comes or goes."""
    return News.create(query=OPERATIONS["status_events"], field="deviceStatus", on_news=on_news)


def command_news(device_id: rx.Var[str], on_news: Any) -> rx.Component:
    """Calls `on_news` when a command to this device is issued, moves or is answered."""
    return News.create(query=OPERATIONS["command_events"], field="commands", device_id=device_id, on_news=on_news)
