"""The console assembled: its pages, its style, its frame."""

import reflex as rx

def index() -> rx.Component:
    return rx.el.main("hello", rx.icon("gauge", size=16))

app = rx.App(stylesheets=["/tidegate.css"])
app.add_page(index, route="/")
