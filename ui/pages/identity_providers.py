"""Identity providers: letting people sign in with the account of their company."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, may, page
from ui.components.pieces import answers, card, done, doubt, empty, field, line_head, problem, skeleton_rows
from ui.components.reach import Reach, reach
from ui.console import Console
from ui.islands.cells import command
from ui.providers import CALLBACK, NEWCOMERS, OWN, Provider, input_of, provider_line


class IdentityProviders(Reach, Console):
    """The organisation's providers, and the one that is being registered or changed."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    providers: list[Provider] = []
    own_roles: list[tuple[str, str]] = []
    writing: str = ""  # the provider that is being changed, or "new"
    now: dict[str, str] = {}  # what its form begins with
    form_problem: str = ""
    checked: str = ""
    is_checking: bool = False
    doubting: str = ""  # the provider about whose removal it is being asked
    pausing: str = ""  # the one that may be switched off

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said = self.writing = self.form_problem = self.checked = self.doubting = self.pausing = ""
        self.is_checking = False
        if (away := await self.enter("tenant:read")) is not None:
            return away
        return await self._show()

    async def _show(self) -> None:
        try:
            found = (await self.ask("identity_providers"))["identityProviders"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        roles = await self._roles()
        await self._name_groups()
        self.own_roles = [(OWN + uid, name) for uid, name in roles.items()]
        self.providers = [provider_line(each, roles, self.group_names) for each in found]
        self.problem, self.ready = "", True

    async def _roles(self) -> dict[str, str]:
        if "users:read" not in self.scopes:
            return {}
        try:
            return {each["id"]: each["name"] for each in (await self.ask("roles"))["roles"]}
        except Refused:
            return {}  # the lines say the role's kind then

    @rx.event
    def write(self, which: str) -> None:
        """Open the form for one provider or a "new" one; '' closes it."""
        self.writing, self.form_problem, self.checked, self.said = which, "", "", ""
        self.doubting = self.pausing = ""
        found = next((each for each in self.providers if each.id == which), None)
        self.now = {
            "name": found.name if found else "",
            "issuer": found.issuer if found else "",
            "client": found.client_id if found else "",
            "domains": found.domains if found else "",
            "newcomers": found.newcomers if found else "",
        }
        self.is_limited = bool(found and found.is_limited)
        self.picked = [each for each in found.group_ids if each in self.group_names] if found else []

    @rx.event
    def set_newcomers(self, newcomers: str) -> None:
        """What somebody new is to become; '': nobody comes in uninvited, so there is nobody to limit."""
        self.now = {**self.now, "newcomers": newcomers}

    @rx.event
    def set_issuer(self, issuer: str) -> None:
        """The issuer's address, as far as it is typed."""
        self.now = {**self.now, "issuer": issuer.strip()}
        self.checked = ""

    @rx.event
    async def check(self, issuer: str) -> Any:
        """Ask an issuer whether people could sign in by it."""
        self.is_checking, self.checked, self.form_problem, self.said, self.problem = True, "", "", "", ""
        yield
        try:
            found = (await self.ask("identity_provider_check", issuer=issuer))["identityProviderCheck"]
        except Refused as refusal:
            self.form_problem, self.problem = (refusal.words, "") if self.writing else ("", refusal.words)
        else:
            said = f"It answers. People will sign in at {found['authorizationEndpoint'].split('?')[0]}."
            self.checked, self.said = (said, "") if self.writing else ("", said)
        self.is_checking = False

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Register or change a provider."""
        self.form_problem = ""
        is_new = self.writing == "new"
        try:
            given = input_of(form, is_new=is_new, groups=sorted(self.picked) if self.is_limited else None)
            if is_new:
                await self.ask("identity_provider_register", input=given)
            else:
                version = next((each.version for each in self.providers if each.id == self.writing), None)
                await self.ask("identity_provider_update", id=self.writing, input=given, version=version)
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        self.writing = ""
        await self._show()
        how = "Try it with the link below before you tell others." if is_new else ""
        self.said = f"“{given['name']}” is {'registered' if is_new else 'changed'}. {how}".strip()

    @rx.event
    def hesitate(self, provider_id: str) -> None:
        """Ask before a provider is switched off; '' lets it be."""
        self.pausing, self.doubting, self.said, self.writing = provider_id, "", "", ""

    @rx.event
    async def switch(self, provider_id: str, is_enabled: bool) -> None:
        """Let people sign in by a provider, or not any more."""
        said = "People can sign in by it." if is_enabled else "Nobody signs in by it any more. Its sessions have ended."
        await self._do("identity_provider_update", said, id=provider_id, input={"isEnabled": is_enabled})

    @rx.event
    def doubt(self, provider_id: str) -> None:
        """Ask before a provider is removed; '' lets it be."""
        self.doubting, self.pausing, self.said, self.writing = provider_id, "", "", ""

    @rx.event
    async def remove(self, provider_id: str) -> None:
        """Forget a provider."""
        said = "The provider is removed. Sessions that it opened have ended; the people stay members."
        await self._do("identity_provider_remove", said, id=provider_id)

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.doubting = self.pausing = ""
        await self._show()
        self.said = said


def _input(name: str, **props: Any) -> rx.Component:
    given = {"class_name": "input", "default_value": IdentityProviders.now[name], **props}
    return rx.el.input(id=f"provider-{name}", name=name, **given)


def _at_the_provider() -> rx.Component:
    """What is done in the provider's own console, first."""
    return rx.el.div(
        rx.el.h3("1. At your provider"),
        rx.el.p(
            "Add a “web application” (OpenID Connect) there, for example in Microsoft Entra, Google, Okta or Keycloak, "
            "and give it this redirect URI:",
            class_name="small muted",
        ),
        command(
            text="%ORIGIN%" + CALLBACK, label="Redirect URI", hint="Exactly as it stands here.", button="Copy address"
        ),
        class_name="stack-tight",
    )


def _where() -> rx.Component:
    check = rx.el.button(
        rx.cond(IdentityProviders.is_checking, "Asking…", "Check it"),
        type="button",
        class_name="btn nowrap",
        disabled=(IdentityProviders.now["issuer"] == "") | IdentityProviders.is_checking,
        on_click=IdentityProviders.check(IdentityProviders.now["issuer"]),
    )
    return rx.fragment(
        field(
            "Issuer",
            rx.el.div(
                _input(
                    "issuer",
                    type="url",
                    required=True,
                    max_length=400,
                    placeholder="https://login.example.com",
                    spell_check=False,
                    on_change=IdentityProviders.set_issuer.debounce(300),
                ),
                check,
                class_name="row nowrap-row",
            ),
            "The address under which the provider publishes “/.well-known/openid-configuration”.",
            for_="provider-issuer",
        ),
        done(IdentityProviders.checked),
        rx.el.div(
            field(
                "Client ID",
                _input("client", required=True, max_length=400, auto_complete="off", spell_check=False),
                "The provider shows it, and the secret, once the application is added there.",
                for_="provider-client",
            ),
            field(
                "Client secret",
                _secret(required=True),
                "Kept sealed and never shown again.",
                for_="provider-secret",
            ),
            class_name="pair",
        ),
    )


def _secret(**props: Any) -> rx.Component:
    return rx.el.input(
        id="provider-secret",
        name="secret",
        type="password",
        max_length=400,
        auto_complete="new-password",
        class_name="input",
        **props,
    )


def _who() -> rx.Component:
    def option(pair: Any) -> rx.Component:
        return rx.el.option(pair[1], value=pair[0])

    return rx.el.div(
        field(
            "Who comes for the first time becomes",
            rx.el.select(
                *(rx.el.option(words, value=role) for role, words in NEWCOMERS),
                rx.el.option("Administrator", value="ADMIN"),
                rx.foreach(IdentityProviders.own_roles, option),
                id="provider-newcomers",
                name="newcomers",
                default_value=IdentityProviders.now["newcomers"],
                on_change=IdentityProviders.set_newcomers,
                class_name="select",
            ),
            "Members keep what they are.",
            for_="provider-newcomers",
        ),
        field(
            "Domains of your addresses",
            _input("domains", max_length=2000, placeholder="example.com, example.org", spell_check=False),
            "Nobody with another address gets in by it. Empty: any address that was invited.",
            for_="provider-domains",
        ),
        class_name="pair",
    )


def _reach() -> rx.Component:
    return reach(
        IdentityProviders,
        "Which devices may they see?",
        "They look after the devices of these groups, and everything else stays closed to them, whatever the role "
        "says. Members keep what they see.",
    )


def _form() -> rx.Component:
    is_new = IdentityProviders.writing == "new"
    name = field(
        "Name on the button",
        _input("name", required=True, max_length=60, placeholder="Acme account"),
        "It reads “Sign in with …”.",
        for_="provider-name",
    )
    new = rx.fragment(_at_the_provider(), rx.el.h3("2. Here"), name, _where())
    secret = field("New client secret", _secret(), "Empty: the one it has stays.", for_="provider-secret")
    return card(
        rx.cond(is_new, "A new identity provider", "Change the provider"),
        rx.el.form(
            rx.cond(is_new, new, rx.fragment(name, secret)),
            _who(),
            rx.cond(IdentityProviders.now["newcomers"] != "", _reach()),
            answers(
                rx.cond(is_new, "Register it", "Save"), IdentityProviders.write(""), IdentityProviders.form_problem
            ),
            on_submit=IdentityProviders.save,
            class_name="card-body stack",
            key=IdentityProviders.writing,
        ),
        words="Whoever runs the provider decides who somebody is: register only one that you trust with everything "
        "here. It asks for the second factor, not Tidegate.",
    )


def _confirm(line: rx.Var[Provider]) -> rx.Component:
    return doubt(
        "Remove this provider?",
        "Sessions that “",
        line.name,
        "” opened end at once. The people stay members; those without a password here need another provider, or a new "
        "invitation.",
        yes=("Remove it", IdentityProviders.remove(line.id)),
        no=("Keep it", IdentityProviders.doubt("")),
    )


def _pause(line: rx.Var[Provider]) -> rx.Component:
    return doubt(
        "Switch this provider off?",
        *("Sessions that “", line.name, "” opened end at once, and nobody signs in by it until it is on again."),
        yes=("Switch it off", IdentityProviders.switch(line.id, False)),
        no=("Leave it on", IdentityProviders.hesitate("")),
    )


def _buttons(line: rx.Var[Provider]) -> rx.Component:
    def button(words: Any, verb: str, on_click: Any, looks: str = "") -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            class_name=f"btn btn-small {looks}".strip(),
            on_click=on_click,
            custom_attrs={"aria-label": rx.Var.create(f"{verb} ") + line.name},
        )

    return rx.el.span(
        button("Check", "Check", IdentityProviders.check(line.issuer)),
        button("Change…", "Change", IdentityProviders.write(line.id)),
        rx.cond(
            line.is_enabled,
            button("Switch off…", "Switch off", IdentityProviders.hesitate(line.id)),
            button("Switch on", "Switch on", IdentityProviders.switch(line.id, True)),
        ),
        button("Remove…", "Remove", IdentityProviders.doubt(line.id), "btn-danger"),
        class_name="row",
    )


def _line(line: rx.Var[Provider]) -> rx.Component:
    return rx.el.li(
        line_head(
            rx.el.b(line.name, class_name="wrap"),
            rx.cond(
                line.is_enabled,
                rx.el.span("on", class_name="badge badge-ok"),
                rx.el.span("off", class_name="badge"),
            ),
            action=rx.cond(may("tenant:write"), _buttons(line)),
        ),
        rx.el.p(line.newcomers_words, class_name="small"),
        rx.el.p(line.issuer, " · client ", line.client_id, class_name="small muted wrap"),
        rx.cond(
            line.is_enabled,
            command(
                text=line.link,
                label="Link to sign in by it",
                hint="Hand this to your people, or let them name your organisation on the sign-in page.",
                button="Copy link",
            ),
        ),
        rx.cond(IdentityProviders.doubting == line.id, _confirm(line)),
        rx.cond(IdentityProviders.pausing == line.id, _pause(line)),
        key=line.id,
    )


def identity_providers() -> rx.Component:
    """The page."""
    new = rx.cond(
        may("tenant:write") & (IdentityProviders.writing == ""),
        rx.el.button(
            rx.icon("plus", size=16),
            "Register a provider",
            type="button",
            class_name="btn btn-primary",
            on_click=IdentityProviders.write("new"),
        ),
    )
    none_yet = empty(
        "fingerprint",
        "Everybody signs in with a password",
        "Register your company's identity provider, and people sign in with the account that they have already.",
        new,
    )
    return page(
        "Identity providers",
        heading("Identity providers", "How people sign in with the account of their company.", new),
        problem(IdentityProviders.problem, IdentityProviders.load),
        done(IdentityProviders.said),
        rx.cond(IdentityProviders.writing != "", _form()),
        rx.cond(
            IdentityProviders.ready,
            rx.cond(
                (IdentityProviders.providers.length() > 0) | (IdentityProviders.writing == ""),
                rx.el.section(
                    rx.cond(
                        IdentityProviders.providers.length() > 0,
                        rx.el.ul(rx.foreach(IdentityProviders.providers, _line), class_name="list"),
                        none_yet,
                    ),
                    class_name="card",
                    aria_label="Registered providers",
                ),
            ),
            rx.el.div(skeleton_rows(), class_name="card"),
        ),
        narrow=True,
        needs="tenant:read",
    )
