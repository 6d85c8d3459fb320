"""Making a way in for new devices: a key, a claim certificate for a batch, or an authority of one's own."""

from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.pieces import answers, card, field, note
from ui.components.shown_once import secret
from ui.console import Console
from ui.first_message import openssl_request, openssl_server
from ui.islands.cells import command
from ui.ways import (
    DEFAULT_SPAN,
    NEWCOMER,
    SPANS,
    Choice,
    choices,
    claim_line,
    pem_of,
    proof_line,
    provision_line,
    provision_line_mqtt,
    way_of,
)

BATCH = "batch"  # the name of the files of a claim
# What each kind is called, and what speaks for it.
WAYS = (
    ("KEY", "A key", "The simplest: one secret text in the software of all devices. Whoever finds it out can use it."),
    (
        "CLAIM",
        "A claim certificate",
        "Safer: a batch of devices shares a certificate and its secret key. They show that they hold the key without "
        "sending it: nobody who listens learns it, nor do we.",
    ),
    (
        "AUTHORITY",
        "An authority of your own",
        "Safest: each device has a certificate and a key of its own from its factory, and none knows another's.",
    ),
)
TERMINAL = "Paste it into a terminal where the secrets of your devices are made."


class NewWay(Console):
    """The way in that is being made, and what came of it."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("key", "command", "command_mqtt")

    is_making: bool = False
    kind: str = "KEY"
    mode: str = "CREATE"
    form_problem: str = ""
    form_number: int = 0
    made_kind: str = ""
    made_name: str = ""
    key: str = ""
    command: str = ""
    command_mqtt: str = ""
    certificate: str = ""
    proof: str = ""
    profiles: list[Choice] = []
    groups: list[Choice] = []

    @rx.event
    async def load(self) -> None:
        """Come to the page. A key is shown once: whoever comes back does not see it again."""
        self.key = self.command = self.command_mqtt = self.certificate = self.made_kind = self.form_problem = ""
        self.is_making = False

    @rx.event
    async def begin(self) -> None:
        """Open the form, with what there is to choose from."""
        self.key = self.command = self.command_mqtt = self.certificate = self.made_kind = self.form_problem = ""
        try:
            found = await self.ask("ways_in")
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        self.profiles = choices(found["profiles"]["items"])
        by_hand = [each for each in found["deviceGroups"]["items"] if each["filter"] is None]
        self.groups = choices(by_hand)
        self.proof = proof_line(found["me"]["tenant"]["id"])
        self.kind, self.mode, self.is_making = "KEY", "CREATE", True

    @rx.event
    def leave(self) -> None:
        """Close the form."""
        self.is_making = False

    @rx.event
    def set_kind(self, kind: str) -> None:
        """By what the devices come in."""
        self.kind, self.form_problem = kind, ""

    @rx.event
    def set_mode(self, mode: str) -> None:
        """Whether it makes devices or lets registered ones in."""
        self.mode = mode

    @rx.event
    async def make(self, form: dict[str, Any]) -> None:
        """Make the way in, and show what the devices need."""
        self.form_problem = ""
        try:
            wanted = way_of({**form, "mode": self.mode})
            await self._make(wanted, form)
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            # a key that was pasted by mistake does not stay on the screen
            self.form_number += any("PRIVATE KEY" in str(each) for each in form.values())
            return
        self.made_kind, self.made_name, self.is_making = self.kind, wanted["name"], False

    async def _make(self, wanted: dict[str, Any], form: dict[str, Any]) -> None:
        if self.kind == "KEY":
            self.key = (await self.ask("provisioning_key_create", input=wanted))["provisioningKeyCreate"]["key"]
            self.command = provision_line(self.key)
            self.command_mqtt = provision_line_mqtt(self.tenant_key, self.key)
        elif self.kind == "CLAIM":
            csr = pem_of(str(form.get("csr", "")), "CERTIFICATE REQUEST")
            made = (await self.ask("claim_certificate_sign", input={**wanted, "csr": csr}))["claimCertificateSign"]
            self.certificate = made["provisioner"]["certificate"]
            self.command_mqtt = claim_line(self.tenant_key, BATCH)
        else:
            shown = {name: pem_of(str(form.get(name, "")), "CERTIFICATE") for name in ("certificate", "verification")}
            await self.ask("authority_register", input={**wanted, **shown})

    @rx.event
    def put_away(self) -> None:
        """What was shown was copied; it is not needed here any more."""
        self.key = self.command = self.command_mqtt = self.certificate = self.made_kind = ""

    @rx.event
    def save_certificate(self) -> Any:
        """The claim's certificate as a file."""
        return rx.download(data=self.certificate, filename=f"{BATCH}.crt")


def _kind(value: str, title: str, words: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="kind",
            value=value,
            checked=NewWay.kind == value,
            on_change=NewWay.set_kind(value),
        ),
        rx.el.span(rx.el.b(title), rx.el.span(" ", words, class_name="muted")),
        class_name="tick",
    )


def _mode(value: str, title: str, words: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="mode",
            value=value,
            checked=NewWay.mode == value,
            on_change=NewWay.set_mode(value),
        ),
        rx.el.span(rx.el.b(title), rx.el.span(" ", words, class_name="muted")),
        class_name="tick",
    )


def _pem(name: str, label: str, hint: str, placeholder: str) -> rx.Component:
    return field(
        label,
        rx.el.textarea(
            id=f"way-{name}",
            name=name,
            rows=4,
            required=True,
            max_length=16384,
            spell_check=False,
            placeholder=placeholder,
            class_name="textarea input mono",
        ),
        hint,
        for_=f"way-{name}",
    )


def _claim() -> rx.Component:
    return rx.el.div(
        command(text=openssl_request(BATCH), hint=TERMINAL, label="Command that makes the batch's key and request"),
        _pem(
            "csr",
            "The request",
            "What the command showed. The key stays with you, and goes onto every device of the batch.",
            "-----BEGIN CERTIFICATE REQUEST-----",
        ),
        class_name="stack",
    )


def _authority() -> rx.Component:
    return rx.el.div(
        _pem("certificate", "The authority's certificate", "", "-----BEGIN CERTIFICATE-----"),
        rx.el.p(
            "Then show that you hold its key, so that nobody can register an authority that is not theirs. This line "
            "signs a certificate with a name made just for this; the authority's files are called ca.crt and ca.key:",
            class_name="small muted",
        ),
        command(text=NewWay.proof, hint=TERMINAL, label="Command that proves whose authority it is"),
        _pem("verification", "The proof", "What the command showed.", "-----BEGIN CERTIFICATE-----"),
        class_name="stack",
    )


def _select(name: str, label: str, options: Any, hint: str = "", **props: Any) -> rx.Component:
    control = rx.el.select(*options, id=f"way-{name}", name=name, class_name="select", **props)
    return field(label, control, hint, for_=f"way-{name}")


def _terms() -> rx.Component:
    def option(each: rx.Var[Choice]) -> rx.Component:
        return rx.el.option(each.name, value=each.id)

    return rx.el.div(
        rx.cond(
            NewWay.mode == "CREATE",
            _select("profile", "New devices are of this profile", [rx.foreach(NewWay.profiles, option)]),
        ),
        _select(
            "group",
            "They are put into the group",
            [rx.el.option("none", value=""), rx.foreach(NewWay.groups, option)],
        ),
        field(
            "How many may come in?",
            rx.el.input(
                id="way-most", name="most", input_mode="numeric", placeholder="any number", class_name="input num"
            ),
            "The number of the batch is best.",
            for_="way-most",
        ),
        _select(
            "days",
            "It closes",
            [rx.el.option(words, value=days) for days, words in SPANS],
            default_value=DEFAULT_SPAN,
        ),
        rx.el.label(
            rx.el.input(type="checkbox", name="approval"),
            rx.el.span(
                "Somebody has to say yes to each device",
                rx.el.span("They wait on this page.", class_name="sub"),
            ),
            class_name="tick",
        ),
        class_name="pair",
    )


def _form(on_made: Any) -> rx.Component:
    return card(
        "A new way in",
        rx.el.form(
            rx.el.fieldset(
                rx.el.legend("By what do devices come in?", class_name="label-text"),
                *(_kind(*each) for each in WAYS),
                class_name="bare rights-group",
            ),
            field(
                "What is it for?",
                rx.el.input(
                    id="way-name",
                    name="name",
                    placeholder="Fans, delivery of May",
                    max_length=120,
                    required=True,
                    class_name="input",
                ),
                for_="way-name",
            ),
            rx.match(NewWay.kind, ("CLAIM", _claim()), ("AUTHORITY", _authority()), rx.fragment()),
            rx.el.fieldset(
                rx.el.legend("What may a device do that shows it?", class_name="label-text"),
                _mode("CREATE", "Register itself", "under a key that it names and that nobody has yet"),
                _mode("PREREGISTERED", "Come in", "if you have added it before, for example by import"),
                class_name="bare rights-group",
            ),
            _terms(),
            answers(
                rx.match(NewWay.kind, ("KEY", "Make the key"), ("CLAIM", "Sign the claim"), "Register the authority"),
                NewWay.leave,
                NewWay.form_problem,
            ),
            on_submit=[NewWay.make, on_made],
            class_name="card-body stack",
            key=NewWay.form_number.to_string(),
        ),
    )


def _key() -> rx.Component:
    return rx.fragment(
        note(
            "key-round",
            rx.el.b("The key of “", NewWay.made_name, "” is shown this once."),
            " Copy it now to where the devices get it from; we keep only a fingerprint of it.",
        ),
        secret(NewWay.key, "way-key", "Copy key", "Whoever holds it may bring devices in."),
        rx.el.div(
            rx.el.h3("What a device does with it", style={"marginBottom": "6px"}),
            command(
                text=NewWay.command,
                label="Command that brings a device in",
                hint="It answers with the device's username and token, or with a ticket while it waits for a yes.",
            ),
            command(
                text=NewWay.command_mqtt,
                label="Command that does it over MQTT",
                hint="The same for devices that speak MQTT only: one question, one answer, then it is put out.",
            ),
            class_name="stack",
        ),
    )


def _signed() -> rx.Component:
    return rx.fragment(
        note(
            "check",
            rx.el.b("The claim “", NewWay.made_name, "” is signed."),
            " Put the certificate, which is no secret, and the key that you made onto every device of the batch.",
            look="ok",
        ),
        rx.el.div(
            rx.el.button(
                rx.icon("download", size=15),
                f"Save {BATCH}.crt",
                type="button",
                class_name="btn btn-small",
                on_click=NewWay.save_certificate,
            ),
            class_name="row",
        ),
        rx.el.div(
            rx.el.h3("What a device does with it", style={"marginBottom": "6px"}),
            command(text=openssl_server(), hint=TERMINAL, label="Command that fetches the certificate to trust"),
            command(text=openssl_request(NEWCOMER), hint=TERMINAL, label="Command that makes its own key and request"),
            command(
                text=NewWay.command_mqtt,
                label="Command that introduces it by the claim",
                hint="It shows the claim over TLS, and is answered with a certificate for the device's own key.",
            ),
            class_name="stack",
        ),
        rx.el.p(
            "Behind a balancer that ends TLS, it signs a claim with that key instead and sends it with its request to ",
            rx.el.code("/ingest/v1/provision/claim"),
            "; it gets back a ticket that is good once, and with that a certificate of its own.",
            class_name="small muted",
        ),
    )


def _registered() -> rx.Component:
    return note(
        "check",
        rx.el.b("The authority “", NewWay.made_name, "” is registered."),
        " A device that shows a certificate signed by it introduces itself at its first connection over TLS, under the "
        "key in its certificate's name (CN).",
        look="ok",
    )


def new_way(on_made: Any) -> rx.Component:
    """The form, or what came of it; nothing while nobody wants one. `on_made`: what follows."""
    made = rx.el.section(
        rx.el.div(
            rx.match(NewWay.made_kind, ("KEY", _key()), ("CLAIM", _signed()), _registered()),
            rx.el.div(
                rx.el.button(
                    rx.cond(NewWay.made_kind == "KEY", "I have copied it", "Done"),
                    type="button",
                    class_name="btn btn-primary",
                    on_click=NewWay.put_away,
                )
            ),
            class_name="card-body stack",
        ),
        class_name="card",
        aria_label="The new way in",
    )
    is_shown = (NewWay.made_kind != "") & ((NewWay.made_kind != "KEY") | (NewWay.key != ""))
    return rx.fragment(rx.cond(NewWay.is_making, _form(on_made)), rx.cond(is_shown, made))
