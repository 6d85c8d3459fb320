"""The console assembled: its pages, its style, what it says when its own line is down."""

import reflex as rx

from ui.pages.overview import Overview, overview
from ui.pages.sign_in import SignIn, sign_in


app = rx.App(
    stylesheets=["/tidegate.css"],
    html_lang="en",
    head_components=[
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.meta(name="theme-color", content="#0a6b73"),
    ],
)
app.add_page(sign_in, route="/sign-in", title="Sign in · Tidegate", on_load=SignIn.load)
app.add_page(overview, route="/", title="Overview · Tidegate", on_load=Overview.load)
