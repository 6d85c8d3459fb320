"""The importer: a table of devices, tried first, then taken; it goes from the browser straight to /graphql."""

from typing import Any

import reflex as rx

from ui.client import OPERATIONS
from ui.islands import IMPORTER, LINE_PACKAGES


class Importer(rx.NoSSRComponent):
    """`profiles`: each with `id`, `key`, `name`. Tokens never pass through the page's state."""

    library = IMPORTER.importable_path
    tag = "Importer"
    lib_dependencies: list[str] = LINE_PACKAGES
    profiles: rx.Var[list[Any]]
    query: rx.Var[str]


def importer(profiles: rx.Var[list[Any]]) -> rx.Component:
    """The importer with its operation."""
    return Importer.create(profiles=profiles, query=OPERATIONS["device_import"])
