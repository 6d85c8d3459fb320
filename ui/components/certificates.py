"""A device's certificates: from its request to a signed one, the lines to paste, and taking one back."""

from datetime import UTC, datetime
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link, may
from ui.components.pieces import answers, card, done, doubt, empty, field, note, problem
from ui.console import Console
from ui.credentials import CredentialLine, credential_line, signs
from ui.first_message import mosquitto_pub_tls, openssl_request, openssl_server
from ui.islands.cells import command, when

SPANS = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("398", "398 days, the longest"))
DEFAULT_DAYS = "365"
TERMINAL = "Paste it into a terminal on the device, or where its files are made."


def request_of(text: str) -> str:
    """The request in what was pasted; raises ValueError with words to show, and never lets a key through."""
    if "PRIVATE KEY" in text:
        raise ValueError(
            "That is the device's private key. It was not sent, and must stay on the device: paste the request, "
            "the part that begins with BEGIN CERTIFICATE REQUEST."
        )
    start, end = text.find("-----BEGIN"), text.rfind("-----END")
    if start < 0 or end < start or "REQUEST-----" not in text:
        raise ValueError("That is no request: it begins with BEGIN CERTIFICATE REQUEST and ends with END.")
    return text[start:].strip() + "\n"


class Certificates(Console):
    """The certificates of the device whose page it is, and the one that was just signed."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    uid: str = ""
    is_over: bool = False
    lines: list[CredentialLine] = []
    is_asking: bool = False
    form_problem: str = ""
    form_number: int = 0
    revoking: str = ""
    made: str = ""
    is_shortened: bool = False
    request_line: str = ""
    server_line: str = ""
    publish_line: str = ""
    file_name: str = ""
    authority: str = ""
    authority_name: str = ""
    authority_sign: str = ""
    authority_ends: str = ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.uid, self.ready, self.is_asking = self.segment(), False, False
        self.said = self.made = self.revoking = self.form_problem = ""
        await self._show()

    async def _show(self) -> None:
        try:
            device = (await self.ask("device_certificates", id=self.uid))["device"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        now = datetime.now(UTC)
        key, metrics = device["key"], device["profile"]["metrics"]
        self.lines = [
            credential_line(each, now, ran_out="expired") for each in device["credentials"] if each["kind"] == "x509"
        ]
        self.is_over, self.file_name = device["status"] in ("DECOMMISSIONED", "QUARANTINED"), f"{key}.crt"
        self.request_line, self.server_line = openssl_request(key), openssl_server()
        self.publish_line = mosquitto_pub_tls(self.tenant_key, key, metrics)
        await self._show_authority()
        self.problem, self.ready = "", True

    async def _show_authority(self) -> None:
        try:
            found = (await self.ask("authority"))["certificateAuthority"]
        except Refused:
            self.authority = ""  # there is none before the first certificate
            return
        self.authority, self.authority_ends = found["certificate"], found["expiresAt"]
        self.authority_name, self.authority_sign = found["subject"], signs(found["fingerprint"])

    @rx.event
    def begin(self, is_asking: bool) -> None:
        """Open or close the form that takes a request."""
        self.is_asking, self.form_problem, self.said = is_asking, "", ""
        if is_asking:
            self.made = ""

    @rx.event
    async def sign(self, form: dict[str, Any]) -> None:
        """Have the request signed and show what to do with the certificate."""
        self.form_problem = ""
        try:
            csr = request_of(str(form.get("csr", "")))
            given = {"deviceId": self.uid, "csr": csr, "days": int(form.get("days") or DEFAULT_DAYS)}
            signed = (await self.ask("certificate_sign", **given))["certificateSign"]
            self.made, self.is_shortened = signed["certificate"], signed["isShortened"]
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            self.form_number += "PRIVATE KEY" in str(form.get("csr", ""))  # a key does not stay on the screen
            return
        self.is_asking = False
        await self._show()

    @rx.event
    def put_away(self) -> None:
        """The certificate is where it belongs."""
        self.made = ""

    @rx.event
    def doubt(self, credential_id: str) -> None:
        """Ask before a certificate is revoked; '' lets it be."""
        self.revoking, self.said = credential_id, ""

    @rx.event
    async def revoke(self, credential_id: str) -> None:
        """Take a certificate back; a connection that uses it is cut."""
        try:
            await self.ask("credential_revoke", id=credential_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.revoking = self.made = ""
        self.said = "The certificate no longer works. A connection that used it is cut."
        await self._show()

    @rx.event
    def save_certificate(self) -> Any:
        """The certificate that was just signed, as a file."""
        return rx.download(data=self.made, filename=self.file_name)

    @rx.event
    def save_authority(self) -> Any:
        """The authority's certificate as a file."""
        return rx.download(data=self.authority, filename=f"{self.tenant_key}-authority.crt")

    @rx.event
    async def save_revocations(self) -> Any:
        """The list of certificates taken back, signed now, as a file."""
        try:
            found = (await self.ask("revocations"))["certificateRevocations"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        return rx.download(data=found["pem"], filename=f"{self.tenant_key}-revoked.crl.pem")


def _step(title: str, words: str, *children: rx.Component) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.h3(title),
            rx.el.p(words, class_name="small muted", style={"marginBottom": "8px"}) if words else rx.fragment(),
            *children,
        )
    )


def _save(label: Any, on_click: Any) -> rx.Component:
    return rx.el.button(
        rx.icon("download", size=15), label, type="button", class_name="btn btn-small", on_click=on_click
    )


def _form() -> rx.Component:
    paste = rx.el.form(
        field(
            "The request",
            rx.el.textarea(
                id="csr",
                name="csr",
                rows=6,
                required=True,
                max_length=16384,
                spell_check=False,
                placeholder="-----BEGIN CERTIFICATE REQUEST-----",
                class_name="textarea input mono",
            ),
            for_="csr",
        ),
        field(
            "Valid for",
            rx.el.select(
                *(rx.el.option(words, value=days) for days, words in SPANS),
                id="csr-days",
                name="days",
                default_value=DEFAULT_DAYS,
                class_name="select",
            ),
            "Before it ends, sign a new one: both work side by side.",
            for_="csr-days",
        ),
        answers("Sign it", Certificates.begin(False), Certificates.form_problem),
        on_submit=Certificates.sign,
        class_name="stack",
        key=Certificates.form_number.to_string(),
    )
    return rx.el.ol(
        _step(
            "Make a key and a request",
            "The key is made where you paste this, and stays there: it is the device's secret.",
            command(text=Certificates.request_line, hint=TERMINAL, label="Command that makes key and request"),
        ),
        _step("Paste the request here", "What the last command showed, with its BEGIN and END lines.", paste),
        class_name="steps card-body",
    )


def _made() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.icon("check", size=17),
            rx.el.span(rx.el.b("Signed."), " The device may sign in with it from now on, without a password."),
            class_name="note note-ok",
            role="status",
        ),
        rx.cond(
            Certificates.is_shortened,
            note(
                "triangle-alert",
                "It ends earlier than you asked, with your certificate authority. ",
                link("Renew the authority", to="/ways-in", class_name="strong"),
                ", then sign a new one.",
            ),
        ),
        rx.el.ol(
            _step(
                "Put the certificate beside the key",
                "It is no secret.",
                rx.el.div(
                    _save(rx.el.span("Save ", Certificates.file_name), Certificates.save_certificate),
                    class_name="row",
                ),
                rx.el.details(
                    rx.el.summary("Show it", class_name="small"),
                    rx.el.pre(Certificates.made, class_name="code", id="certificate"),
                    class_name="fold",
                ),
            ),
            _step(
                "Get to know the platform, once",
                "Fetches the certificate with which this platform shows who it is. Not needed where a public "
                "authority has signed that.",
                command(text=Certificates.server_line, hint=TERMINAL, label="Command that fetches the certificate"),
            ),
            _step(
                "Send a message",
                "",
                command(
                    text=Certificates.publish_line,
                    hint="In the folder with the files. The value appears above.",
                    label="Command that sends with the certificate",
                ),
            ),
            class_name="steps",
        ),
        rx.el.div(
            rx.el.button("Done", type="button", class_name="btn btn-primary", on_click=Certificates.put_away),
        ),
        class_name="card-body stack",
    )


def _confirm(line: rx.Var[CredentialLine]) -> rx.Component:
    return doubt(
        "Revoke this certificate?",
        "The device cannot sign in with it any more, from this moment on. This is for good.",
        yes=("Revoke it", Certificates.revoke(line.id)),
        no=("Keep it", Certificates.doubt("")),
    )


def _line(line: rx.Var[CredentialLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.code(line.sign, class_name="wrap"),
            rx.cond(
                line.ended_at != "",
                rx.el.span(line.ended_how, " ", when(at=line.ended_at), class_name="small muted push"),
                rx.cond(
                    may("devices:write"),
                    rx.el.button(
                        "Revoke…",
                        type="button",
                        class_name="btn btn-small btn-danger push",
                        on_click=Certificates.doubt(line.id),
                        custom_attrs={"aria-label": "Revoke certificate " + line.sign},
                    ),
                ),
            ),
            class_name="row",
        ),
        rx.el.p(
            "Signed ",
            when(at=line.created_at),
            rx.cond(line.ended_at == "", rx.el.span(" · ends ", when(at=line.expires_at)), rx.fragment()),
            class_name="small muted",
        ),
        rx.cond(Certificates.revoking == line.id, _confirm(line)),
        key=line.id,
    )


def _authority() -> rx.Component:
    return rx.el.details(
        rx.el.summary("Your authority", class_name="small"),
        rx.el.p(
            "It signs your organisation's devices and nothing else. Whoever checks certificates elsewhere needs it, "
            "and the list of those taken back; Tidegate itself refuses a revoked one at once.",
            class_name="small muted",
        ),
        rx.el.dl(
            rx.el.dt("Name"),
            rx.el.dd(Certificates.authority_name),
            rx.el.dt("Ends"),
            rx.el.dd(when(at=Certificates.authority_ends)),
            rx.el.dt("SHA-256"),
            rx.el.dd(rx.el.code(Certificates.authority_sign)),
            class_name="kv",
            style={"margin": "8px 0 12px"},
        ),
        rx.el.div(
            _save("Save the authority", Certificates.save_authority),
            _save("Save the revocation list", Certificates.save_revocations),
            class_name="row",
        ),
        rx.cond(
            ~Certificates.is_limited_to_groups,
            rx.el.p(
                "To renew it, or to see those before it: ",
                link("Ways in", to="/ways-in", class_name="strong"),
                class_name="small muted",
                style={"marginTop": "12px"},
            ),
        ),
        class_name="fold card-body",
    )


def certificates() -> rx.Component:
    """The part of the device's page."""
    sign = rx.cond(
        may("devices:write") & ~Certificates.is_over & ~Certificates.is_asking & (Certificates.made == ""),
        rx.el.button(
            rx.icon("file-badge", size=16),
            "Sign a certificate…",
            type="button",
            class_name="btn",
            on_click=Certificates.begin(True),
        ),
        rx.fragment(),
    )
    none_yet = empty(
        "file-badge",
        "No certificates",
        "Instead of a token the device may show a certificate, over an encrypted line. Its key never leaves it.",
        small=True,
    )
    notes = rx.cond(
        (Certificates.problem != "") | (Certificates.said != ""),
        rx.el.div(problem(Certificates.problem, Certificates.load), done(Certificates.said), class_name="card-body"),
    )
    return rx.cond(
        Certificates.ready | (Certificates.problem != ""),
        card(
            "Certificates",
            notes,
            rx.cond(
                Certificates.is_asking,
                _form(),
                rx.cond(
                    Certificates.made != "",
                    _made(),
                    rx.cond((Certificates.lines.length() == 0) & Certificates.ready, none_yet),
                ),
            ),
            rx.cond(
                Certificates.lines.length() > 0,
                rx.el.ul(rx.foreach(Certificates.lines, _line), class_name="list list-below"),
            ),
            rx.cond(Certificates.authority != "", _authority()),
            aside=sign,
        ),
    )
