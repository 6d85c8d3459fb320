"""Adding a device: name it, choose its profile, get its token once, watch its first message arrive."""

from dataclasses import dataclass
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, page
from ui.components.pieces import card, empty, field, problem, skeleton_rows
from ui.components.shown_once import secret
from ui.console import NEW_DEVICES, Console
from ui.first_message import coap_client, curl, mosquitto_pub
from ui.islands.cells import command, first_message
from ui.naming import KEY, Named


@dataclass(frozen=True)
class Choice:
    """A profile to choose."""

    id: str
    name: str
    words: str


class AddDevice(Named, Console):
    """What was typed so far, then the device that came of it."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("token", "command", "http_command", "coap_command", "uid")

    ready: bool = False  # before the form is emptied for this visit nobody may type into it
    problem: str = ""
    profiles: list[Choice] = []
    profile_id: str = ""
    uid: str = ""
    token: str = ""
    command: str = ""
    http_command: str = ""
    coap_command: str = ""
    is_busy: bool = False
    taken: str = ""  # the key that the platform would not take

    _metrics: dict[str, list[dict[str, Any]]] = {}

    @rx.var
    def profile_words(self) -> str:
        """What devices of the chosen profile send."""
        return next((each.words for each in self.profiles if each.id == self.profile_id), "")

    @rx.var
    def key_problem(self) -> str:
        """What is wrong with the key: seen here before the platform has to say it, or said by it."""
        if self.key and self.key == self.taken:
            return "Another device has this key, or had it once. Choose another one."
        if not self.key or KEY.fullmatch(self.key):
            return ""
        return "Only letters, digits, - and _; at most 40 of them."

    @rx.event
    async def load(self) -> Any:
        """Come to the page: an empty form, with the tenant's profiles."""
        self.ready = False
        yield
        if (away := await self.enter(NEW_DEVICES)) is not None:
            yield away
            return
        self.problem = self.name = self.key = self.taken = self.uid = self.token = self.command = ""
        self.http_command = self.coap_command = ""
        self._is_own_key = self.is_busy = False
        try:
            found = (await self.ask("profiles", first=100))["profiles"]["items"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.profiles = [
            Choice(each["id"], each["name"], ", ".join(m["label"] or m["key"] for m in each["metrics"]))
            for each in found
        ]
        self._metrics = {each["id"]: each["metrics"] for each in found}
        self.profile_id = found[0]["id"] if len(found) == 1 else ""  # of several none is likelier than another
        self.ready = True

    @rx.event
    def set_profile(self, profile_id: str) -> None:
        """The profile."""
        self.profile_id = profile_id

    @rx.event
    async def add(self) -> Any:
        """Provision the device and show its token."""
        if not self.name.strip() or not KEY.fullmatch(self.key) or not self.profile_id:
            self.problem = "Please give the device a name, a key and a profile."
            return
        self.is_busy, self.problem = True, ""
        yield
        new = {"key": self.key, "name": self.name.strip(), "profileId": self.profile_id}
        try:
            made = (await self.ask("device_provision", input=new))["deviceProvision"]
        except Refused as refusal:
            if refusal.code == "DEVICE_KEY_TAKEN":
                self.taken = self.key
                yield rx.set_focus("key")
            else:
                self.problem = refusal.words
            return
        finally:
            self.is_busy = False
        self.uid, self.token = made["device"]["id"], made["token"]
        metrics = self._metrics.get(self.profile_id, [])
        self.command = mosquitto_pub(self.tenant_key, self.key, self.token, metrics)
        self.http_command = curl(self.key, self.token, metrics)
        self.coap_command = coap_client(self.key, self.token, metrics)


def _form() -> rx.Component:
    return card(
        "The device",
        rx.el.form(
            field(
                "Name",
                rx.el.input(
                    id="name",
                    value=AddDevice.name,
                    on_change=AddDevice.set_name,
                    placeholder="Cold room north",
                    max_length=120,
                    required=True,
                    auto_focus=True,
                    class_name="input",
                ),
                "What people call it. You can change it later.",
                for_="name",
            ),
            field(
                "Key",
                rx.el.input(
                    id="key",
                    value=AddDevice.key,
                    on_change=AddDevice.set_key,
                    max_length=40,
                    required=True,
                    spell_check=False,
                    class_name="input mono",
                    custom_attrs={"aria-invalid": AddDevice.key_problem != "", "aria-describedby": "key-problem"},
                ),
                rx.cond(
                    AddDevice.key_problem != "",
                    rx.el.span(AddDevice.key_problem, id="key-problem", style={"color": "var(--bad)"}),
                    rx.el.span("The name under which the device signs in. It never changes.", id="key-problem"),
                ),
                for_="key",
            ),
            field(
                "Profile",
                rx.el.select(
                    rx.cond(AddDevice.profile_id == "", rx.el.option("choose…", value="")),
                    rx.foreach(AddDevice.profiles, lambda each: rx.el.option(each.name, value=each.id)),
                    id="profile",
                    value=AddDevice.profile_id,
                    on_change=AddDevice.set_profile,
                    required=True,
                    class_name="select",
                ),
                rx.cond(
                    AddDevice.profile_words != "",
                    rx.el.span("Sends: ", AddDevice.profile_words),
                    rx.el.span("What devices of this make send."),
                ),
                for_="profile",
            ),
            rx.el.div(
                rx.el.button("Add the device", type="submit", class_name="btn btn-primary", disabled=AddDevice.is_busy),
                link("Cancel", to="/devices", class_name="btn"),
                class_name="row",
            ),
            on_submit=AddDevice.add,
            class_name="card-body stack",
        ),
    )


def _no_profile() -> rx.Component:
    return rx.el.div(
        empty(
            "ruler",
            "First a profile",
            "It says what devices of this make send, so that a wrong value is noticed. Make one, then come back.",
            link(rx.icon("plus", size=16), "New profile", to="/profiles/new", class_name="btn btn-primary"),
        ),
        class_name="card",
    )


def _made() -> rx.Component:
    return rx.fragment(
        rx.el.ol(
            rx.el.li(
                rx.el.div(
                    rx.el.h2("Keep the token"),
                    rx.el.p("It is the device's password.", class_name="muted", style={"marginBottom": "8px"}),
                    secret(AddDevice.token, "token", "Copy token", "Shown only now; we keep only a fingerprint of it."),
                )
            ),
            rx.el.li(
                rx.el.div(
                    rx.el.h2("Send a first message"),
                    rx.el.p(
                        "Paste this line into a terminal, or let the device do the same.",
                        class_name="muted",
                        style={"marginBottom": "8px"},
                    ),
                    command(text=AddDevice.command),
                    rx.el.details(
                        rx.el.summary("Over HTTP or CoAP instead", class_name="small"),
                        rx.el.div(
                            command(
                                text=AddDevice.http_command, hint="HTTP, by curl.", label="Command that sends over HTTP"
                            ),
                            command(
                                text=AddDevice.coap_command,
                                hint="CoAP, by libcoap (libcoap3-bin; elsewhere it is called coap-client). The token "
                                "can be read on the way: only for this machine or a closed network. Anywhere else, "
                                "give the device an OSCORE context.",
                                label="Command that sends over CoAP",
                            ),
                            class_name="stack",
                        ),
                        class_name="fold",
                        style={"marginTop": "10px"},
                    ),
                )
            ),
            rx.el.li(
                rx.el.div(
                    rx.el.h2("Watch it arrive", style={"marginBottom": "8px"}),
                    first_message(device_id=AddDevice.uid),
                )
            ),
            class_name="steps card card-body",
            style={"paddingTop": "18px"},
        ),
        rx.el.div(
            link("Go to the device", to="/devices/" + AddDevice.uid, class_name="btn btn-primary"),
            rx.el.button("Add another", type="button", class_name="btn", on_click=AddDevice.load),
            class_name="row",
        ),
    )


def add_device() -> rx.Component:
    """The page."""
    return page(
        "Devices",
        heading(
            rx.cond(AddDevice.uid != "", "Connect " + AddDevice.name, "Add a device"),
            rx.cond(
                AddDevice.uid != "",
                "The device is added. Three steps to its first value.",
                "Anything that sends values over the network: a sensor, a machine, a gateway, a program.",
            ),
        ),
        problem(AddDevice.problem),
        rx.cond(
            AddDevice.uid != "",
            _made(),
            rx.cond(
                AddDevice.ready,
                rx.cond(AddDevice.profiles.length() > 0, _form(), _no_profile()),
                rx.cond(AddDevice.problem == "", rx.el.div(skeleton_rows(), class_name="card")),
            ),
        ),
        narrow=True,
        needs=NEW_DEVICES,
    )
