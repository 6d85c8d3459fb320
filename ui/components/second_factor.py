"""The second factor, a part of one's account: set up with an app on the telephone, kept safe, and turned off again."""

from typing import Any, ClassVar

import reflex as rx

from ui import qr
from ui.client import Refused
from ui.components.pieces import card, done, field, problem, skeleton
from ui.console import Console
from ui.islands.cells import copy

FEW_CODES = 3  # from here on we say that recovery codes run short


def spaced(secret: str) -> str:
    """A secret in fours, as people read it aloud and type it."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


class SecondFactor(Console):
    """How far setting it up has come. What is shown once is gone when one comes back to the page."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("secret", "picture", "codes")

    step: str = ""  # '', 'off', 'prove', 'scan', 'keep', 'on', 'renew', 'end'
    problem: str = ""
    said: str = ""
    left: int = 0
    secret: str = ""
    picture: str = ""
    side: str = "0 0 1 1"
    codes: list[str] = []
    form_number: int = 0  # a new form after each try: what was typed must not stay on the screen

    @rx.var
    def recovery(self) -> str:
        """All recovery codes as one text to keep."""
        return "\n".join(self.codes)

    @rx.event
    async def load(self) -> Any:
        """Come to the page; first of all, what is not to be seen again goes."""
        self.secret = self.picture = self.problem = self.said = ""
        self.codes, self.step = [], ""
        yield
        await self._show()

    async def _show(self) -> None:
        try:
            me = (await self.ask("second_factor"))["me"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.step, self.left = "on" if me["hasSecondFactor"] else "off", me["recoveryCodesLeft"]

    @rx.event
    def begin(self) -> None:
        """Ask for the password before anything is set up."""
        self.step, self.problem, self.said = "prove", "", ""

    @rx.event
    async def enrol(self, form: dict[str, Any]) -> None:
        """Get a secret for the app and show it as a picture."""
        made = await self._try("second_factor_enrol", password=form.get("password", ""))
        if made is None:
            return
        found = made["secondFactorEnrol"]
        self.secret = spaced(found["secret"])
        self.picture, side = qr.svg_path(found["uri"])
        self.side, self.step = f"0 0 {side} {side}", "scan"

    @rx.event
    async def confirm(self, form: dict[str, Any]) -> None:
        """Take the first code as proof, and show the recovery codes."""
        made = await self._try("second_factor_confirm", code="".join(str(form.get("code", "")).split()))
        if made is None:
            return
        found = made["secondFactorConfirm"]
        self.codes, self.secret, self.picture, self.step = found["recoveryCodes"], "", "", "keep"
        ended = found["endedSessions"]
        others = f" {ended} other session{'s' if ended != 1 else ''} ended." if ended else ""
        self.said = f"Signing in takes a code from now on.{others}"

    @rx.event
    def save(self) -> Any:
        """The recovery codes as a file."""
        return rx.download(data=self.recovery + "\n", filename="tidegate-recovery-codes.txt")

    @rx.event
    async def put_away(self) -> None:
        """The recovery codes are kept elsewhere; they are not needed here any more."""
        self.codes = []
        await self._show()

    @rx.event
    def ask_renewal(self) -> None:
        """Ask for password and code before the recovery codes change."""
        self.step, self.problem, self.said = "renew", "", ""

    @rx.event
    async def renew(self, form: dict[str, Any]) -> None:
        """New recovery codes in place of the old ones."""
        code = str(form.get("code", "")).strip()
        made = await self._try("second_factor_renew", password=form.get("password", ""), code=code)
        if made is not None:
            self.codes, self.step = made["secondFactorRenew"]["recoveryCodes"], "keep"
            self.said = "These codes count from now on, and the old ones no more."

    @rx.event
    def doubt(self) -> None:
        """Ask for password and code before it is turned off."""
        self.step, self.problem, self.said = "end", "", ""

    @rx.event
    async def turn_off(self, form: dict[str, Any]) -> None:
        """Sign in with the password alone again."""
        code = str(form.get("code", "")).strip()
        if await self._try("second_factor_remove", password=form.get("password", ""), code=code) is not None:
            self.said = "The second factor is off. Signing in takes only your password."
            await self._show()

    @rx.event
    async def cancel(self) -> None:
        """Leave things as they are."""
        self.secret = self.picture = self.problem = ""
        await self._show()

    async def _try(self, operation: str, **given: str) -> dict[str, Any] | None:
        self.problem = self.said = ""
        self.form_number += 1
        try:
            return await self.ask(operation, input=given)
        except Refused as refusal:
            self.problem = refusal.words
            return None


def _input(label: str, name: str, complete: str, hint: str = "", **props: Any) -> rx.Component:
    uid = f"factor-{name}"
    return field(
        label,
        rx.el.input(id=uid, name=name, auto_complete=complete, required=True, class_name="input", **props),
        hint,
        for_=uid,
    )


def _password(**props: Any) -> rx.Component:
    return _input("Your password", "password", "current-password", type="password", max_length=200, **props)


def _form(*children: rx.Component, button: str, on_submit: Any, danger: bool = False) -> rx.Component:
    return rx.el.form(
        *children,
        problem(SecondFactor.problem),
        rx.el.div(
            rx.el.button(button, type="submit", class_name="btn btn-danger-solid" if danger else "btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=SecondFactor.cancel),
            class_name="row",
        ),
        on_submit=on_submit,
        class_name="stack",
        key=SecondFactor.form_number.to_string(),
    )


def _off() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            "Signing in takes your password alone. With a second factor it takes a code from your telephone as well, "
            "so that a password which somebody has seen is not enough.",
            class_name="muted",
        ),
        rx.el.div(
            rx.el.button(
                rx.icon("smartphone", size=16),
                "Set it up",
                type="button",
                class_name="btn btn-primary",
                on_click=SecondFactor.begin,
            )
        ),
        class_name="stack",
    )


def _scan(on_change: Any) -> rx.Component:
    picture = rx.el.svg(
        rx.el.path(d=SecondFactor.picture),
        view_box=SecondFactor.side,
        class_name="qr",
        role="img",
        custom_attrs={"aria-label": "QR code for the authenticator app", "shapeRendering": "crispEdges"},
    )
    typed = rx.el.details(
        rx.el.summary("It cannot be scanned?", class_name="small"),
        rx.el.p("Choose “enter a key” in the app and type this, time-based, six digits:", class_name="small muted"),
        rx.el.div(SecondFactor.secret, class_name="code", id="factor-secret", style={"margin": "6px 0"}),
        copy(text=SecondFactor.secret, label="Copy key"),
        class_name="fold",
    )
    code = _input(
        "The six digits that the app shows",
        "code",
        "one-time-code",
        input_mode="numeric",
        max_length=9,
        auto_focus=True,
        placeholder="123 456",
    )
    return rx.el.ol(
        rx.el.li(
            rx.el.div(
                rx.el.h3("Open an authenticator app on your telephone"),
                rx.el.p(
                    "Any will do: Google Authenticator, Microsoft Authenticator, Aegis, 1Password.",
                    class_name="small muted",
                ),
            )
        ),
        rx.el.li(
            rx.el.div(
                rx.el.h3("Scan this picture with it"),
                rx.el.div(picture, typed, class_name="qr-row"),
            )
        ),
        rx.el.li(
            rx.el.div(
                rx.el.h3("Prove that it works", style={"marginBottom": "8px"}),
                _form(code, button="Turn it on", on_submit=[SecondFactor.confirm, on_change]),
            )
        ),
        class_name="steps",
    )


def _keep() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.icon("life-buoy", size=17),
            rx.el.span(
                rx.el.b("These recovery codes are shown this once."),
                " Each signs you in one time without the telephone. Print them, or put them into your password keeper: "
                "without them a lost telephone locks you out.",
            ),
            class_name="note note-warn",
            role="status",
        ),
        rx.el.ul(
            rx.foreach(SecondFactor.codes, lambda code: rx.el.li(code)),
            class_name="code recovery",
            id="recovery-codes",
        ),
        rx.el.div(
            rx.el.button(
                "I have kept them", type="button", class_name="btn btn-primary", on_click=SecondFactor.put_away
            ),
            copy(text=SecondFactor.recovery, label="Copy all"),
            rx.el.button(
                rx.icon("download", size=15),
                "Save as a file",
                type="button",
                class_name="btn btn-small",
                on_click=SecondFactor.save,
            ),
            class_name="row",
        ),
        class_name="stack",
    )


def _on() -> rx.Component:
    few = rx.el.p("Soon you have none left. Get new ones now.", class_name="note note-warn")
    return rx.el.div(
        rx.el.p(
            rx.el.span("On", class_name="badge badge-ok"),
            rx.el.span(
                SecondFactor.left.to_string(),
                rx.cond(SecondFactor.left == 1, " recovery code is left.", " recovery codes are left."),
                class_name="muted",
            ),
            class_name="row",
        ),
        rx.cond(SecondFactor.left < FEW_CODES, few),
        rx.el.div(
            rx.el.button("New recovery codes…", type="button", class_name="btn", on_click=SecondFactor.ask_renewal),
            rx.el.button("Turn it off…", type="button", class_name="btn btn-danger", on_click=SecondFactor.doubt),
            class_name="row",
        ),
        class_name="stack",
    )


def _end() -> rx.Component:
    return _form(
        rx.el.p("Afterwards your password alone signs you in. Prove that it is you:", class_name="muted"),
        _password(auto_focus=True),
        _input("A code of the app, or a recovery code", "code", "one-time-code", max_length=40),
        button="Turn it off",
        on_submit=SecondFactor.turn_off,
        danger=True,
    )


def _renew() -> rx.Component:
    return _form(
        rx.el.p("The codes you have become worthless. Prove that it is you:", class_name="muted"),
        _password(auto_focus=True),
        _input("A code of the app, or a recovery code", "code", "one-time-code", max_length=40),
        button="Get new codes",
        on_submit=SecondFactor.renew,
    )


def second_factor(on_change: Any) -> rx.Component:
    """The part of the account page; `on_change` follows when other sessions may have ended."""
    prove = _form(
        rx.el.p("First your password, to be sure that it is you.", class_name="muted"),
        _password(auto_focus=True),
        button="Go on",
        on_submit=SecondFactor.enrol,
    )
    return card(
        "Second factor",
        rx.el.div(
            done(SecondFactor.said),
            rx.match(
                SecondFactor.step,
                ("off", _off()),
                ("prove", prove),
                ("scan", _scan(on_change)),
                ("keep", _keep()),
                ("on", _on()),
                ("renew", _renew()),
                ("end", _end()),
                rx.cond(SecondFactor.problem != "", problem(SecondFactor.problem, SecondFactor.load), skeleton(18)),
            ),
            class_name="card-body stack",
        ),
    )
