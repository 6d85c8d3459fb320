"""Erasing what a decommissioned device has sent, and how far that is."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import card, field, problem
from ui.console import Console
from ui.islands.cells import when
from ui.words import words


class Erasure(Console):
    """The erasure of the device whose page it is."""

    uid: str = ""
    is_shown: bool = False
    status: str = ""
    by: str = ""
    asked_at: str = ""
    finished_at: str = ""
    gone: list[str] = []
    is_asking: bool = False
    problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.uid, self.status, self.is_asking, self.problem, self.is_shown = self.segment(), "", False, "", False
        await self.look()

    @rx.event
    async def look(self) -> None:
        """Ask how far it is."""
        try:
            found = (await self.ask("device_erasure", deviceId=self.uid))["deviceErasure"]
        except Refused as refusal:
            self.status, self.is_shown = "", refusal.code == "ERASURE_NOT_FOUND"
            return
        self.status, self.by, self.is_shown = found["status"], found["requestedBy"], True
        self.asked_at, self.finished_at = found["requestedAt"], found["finishedAt"] or ""
        self.gone = [f"{words(each['kind'])}: {each['rows']:,}" for each in found["erased"] if each["rows"]]

    @rx.event
    def begin(self, is_asking: bool) -> None:
        """Ask for the device's key before anything is erased, or let it be."""
        self.is_asking, self.problem = is_asking, ""

    @rx.event
    async def erase(self, key: str, form: dict[str, Any]) -> None:
        """Erase everything, once the key was typed."""
        if str(form.get("key", "")).strip() != key:
            self.problem = "That is not the device's key. Nothing was erased."
            return
        try:
            await self.ask("device_erase", id=self.uid)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.is_asking, self.problem = False, ""
        await self.look()


def _ask(key: rx.Var[str]) -> rx.Component:
    return rx.el.form(
        rx.el.p(
            "Readings, newest values, counts, alerts and messages not accepted go for good, its name and labels too. "
            "What the audit log says of it stays."
        ),
        field(
            rx.el.span("To be sure, type its key: ", rx.el.code(key)),
            rx.el.input(
                id="erase-key",
                name="key",
                required=True,
                auto_focus=True,
                auto_complete="off",
                spell_check=False,
                class_name="input",
            ),
            for_="erase-key",
        ),
        problem(Erasure.problem),
        rx.el.div(
            rx.el.button("Erase everything it has sent", type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Keep it", type="button", class_name="btn", on_click=Erasure.begin(False)),
            class_name="row",
        ),
        on_submit=Erasure.erase(key),
        class_name="card-body stack",
        aria_label="Erase its data?",
    )


def _progress() -> rx.Component:
    return rx.el.div(
        rx.cond(
            Erasure.finished_at != "",
            rx.el.p(rx.el.b("Everything is erased"), ", since ", when(at=Erasure.finished_at), "."),
            rx.el.div(
                rx.el.p(rx.el.b("It is being erased"), ", in small steps."),
                rx.el.button("Look again", type="button", class_name="btn btn-small", on_click=Erasure.look),
                class_name="row",
            ),
        ),
        rx.el.p("Asked for by ", Erasure.by, " ", when(at=Erasure.asked_at), class_name="small muted"),
        rx.el.div(rx.foreach(Erasure.gone, lambda each: rx.el.span(each, class_name="badge")), class_name="row"),
        class_name="card-body stack-tight",
        role="status",
    )


def erasure(key: rx.Var[str]) -> rx.Component:
    """The part of a decommissioned device's page; `key`: the device's."""
    offer = rx.el.div(
        rx.el.p("What it has sent is still here, as long as your history is kept.", class_name="muted"),
        rx.cond(
            may("devices:erase"),
            rx.el.button(
                "Erase it now…",
                type="button",
                class_name="btn btn-small btn-danger push",
                on_click=Erasure.begin(True),
            ),
        ),
        class_name="card-body row",
    )
    return rx.cond(
        Erasure.is_shown,
        card("Its data", rx.cond(Erasure.status != "", _progress(), rx.cond(Erasure.is_asking, _ask(key), offer))),
    )
