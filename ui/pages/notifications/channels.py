"""The part about channels: what there are, a new one of each kind, and a test of it."""

import reflex as rx

from ui.channels import CARRIERS, KINDS, ChannelLine
from ui.components.frame import may
from ui.components.help import help_link
from ui.components.pieces import answers, card, doubt, empty, field
from ui.components.shown_once import secret, shown_once
from ui.islands.cells import when
from ui.pages.notifications.controls import small, text
from ui.pages.notifications.state import Notifications

IS_CHANGE = Notifications.changed.is_not_none()
KEPT = "Left empty, it stays as it is."


def _hint(words: str) -> rx.Component:
    """A hint, and for a channel there is that what cannot be shown need not be written again."""
    return rx.el.span(words, rx.cond(IS_CHANGE, f" {KEPT}", ""))


def _begun(name: str) -> rx.Var[str]:
    """What the field of this name begins with."""
    return rx.cond(IS_CHANGE, Notifications.changed.begins[name], "")


def _fields(kind: str) -> list[rx.Component]:
    """What has to be known to reach somebody by this kind."""
    match kind:
        case "EMAIL":
            hint = "Several: with a comma between them. Each gets a message of its own."
            box = text("c-to", "addresses", "anna@example.com", default_value=_begun("addresses"))
            return [field("E-mail addresses", box, hint, for_="c-to")]
        case "WEBHOOK":
            hint = rx.cond(
                IS_CHANGE,
                f"{KEPT} Another address gets another key, which your program there needs; the old key ends.",
                "https, on the public internet. You get a key with which your program can tell that it is us.",
            )
            return [field("Address of your program", text("c-url", "url", "https://…"), rx.el.span(hint), for_="c-url")]
        case "SLACK":
            hint = _hint("In Slack: Apps → Incoming WebHooks → Add to Slack, choose the channel, copy the webhook URL.")
            placeholder = "https://hooks.slack.com/services/…"
            return [field("Incoming webhook", text("c-url", "url", placeholder), hint, for_="c-url")]
        case "TEAMS":
            hint = _hint("In Teams: … beside the channel → Workflows → “Post to a channel when a webhook is received”.")
            return [field("Address of the workflow", text("c-url", "url", "https://…"), hint, for_="c-url")]
        case "TELEGRAM":
            token = text("c-token", "token", type="password")
            return [
                field("The bot's token", token, _hint("BotFather shows it."), for_="c-token"),
                field(
                    "The chat",
                    text("c-chat", "chat", "-1001234567890", default_value=_begun("chat")),
                    "Its number, or the @name of a public channel. The bot has to be in it.",
                    for_="c-chat",
                ),
            ]
        case _:
            carrier = rx.el.select(
                *(rx.el.option(name, value=key) for key, name in CARRIERS),
                id="c-by",
                name="provider",
                class_name="select",
                default_value=rx.cond(IS_CHANGE, Notifications.changed.begins["provider"], CARRIERS[0][0]),
            )
            return [
                field("Carrier", carrier, for_="c-by"),
                field(
                    "Account",
                    text("c-account", "account", default_value=_begun("account")),
                    "Twilio: the account SID. ClickSend: the user name. MessageBird: leave it empty.",
                    for_="c-account",
                ),
                field(
                    "The account's key",
                    text("c-token", "token", type="password"),
                    rx.el.span(rx.cond(IS_CHANGE, f"{KEPT} Another carrier has another key.", "")),
                    for_="c-token",
                ),
                field(
                    "It comes from",
                    text("c-from", "sender", "+4915112345678", default_value=_begun("sender")),
                    "A number, or a name of 3 to 11 letters and digits.",
                    for_="c-from",
                ),
                field(
                    "Numbers",
                    text("c-to", "numbers", "+4915187654321", default_value=_begun("numbers")),
                    "With their country; several with a comma between them.",
                    for_="c-to",
                ),
            ]


def channel_form() -> rx.Component:
    """The form for a channel of the chosen kind, a new one or one there is."""
    forms = [
        (
            kind,
            rx.fragment(
                rx.cond(
                    ~Notifications.sends_mail & (Notifications.kind == "EMAIL"),
                    rx.el.p("There is no mail server here yet, so nothing will arrive.", class_name="small muted"),
                ),
                *_fields(kind),
            ),
        )
        for kind in KINDS
    ]
    new = rx.match(Notifications.kind, *((kind, f"New channel: {said[0]}") for kind, said in KINDS.items()), "")
    title = rx.cond(IS_CHANGE, "Change “" + Notifications.changed.name + "”", new)
    return rx.el.section(
        rx.el.div(rx.el.h2(title), class_name="card-head"),
        rx.el.form(
            field(
                "Name",
                text(
                    "c-name",
                    "name",
                    "Night shift",
                    auto_focus=True,
                    max_length=60,
                    default_value=rx.cond(IS_CHANGE, Notifications.changed.name, ""),
                ),
                "As you want to find it in lists.",
                for_="c-name",
            ),
            rx.match(Notifications.kind, *forms, rx.fragment()),
            answers(
                rx.cond(IS_CHANGE, "Save", "Make the channel"), Notifications.choose(""), Notifications.form_problem
            ),
            key=Notifications.kind + rx.cond(IS_CHANGE, Notifications.changed.id, ""),
            on_submit=Notifications.make,
            class_name="card-body stack card-form",
        ),
        class_name="card",
        aria_label=rx.cond(IS_CHANGE, "Change a channel", "New channel"),
    )


def key() -> rx.Component:
    """The key of a webhook that is new or leads elsewhere, shown this once."""
    return shown_once(
        "The key of the webhook",
        (
            rx.el.b("The key of “", Notifications.secret_of, "” is shown this once."),
            " With it, and a library of Standard Webhooks, your program can tell that a message is ours. ",
            help_link("webhook-key"),
        ),
        secret(Notifications.secret, "channel-key", "Copy key", "Keep it as you keep a password."),
        put_away=Notifications.put_away,
    )


def _channel(line: rx.Var[ChannelLine]) -> rx.Component:
    is_testing = Notifications.testing == line.id
    buttons = rx.cond(
        may("notifications:write"),
        rx.el.span(
            small(
                rx.cond(is_testing, "Sending…", "Send a test"),
                Notifications.test(line.id),
                "Send a test to " + line.name,
                disabled=Notifications.testing != "",
            ),
            rx.cond(
                line.is_enabled,
                small("Switch off", Notifications.switch(line.id, False), "Switch off " + line.name),
                small("Switch on", Notifications.switch(line.id, True), "Switch on " + line.name, "btn-primary"),
            ),
            small("Change…", Notifications.change(line.id), "Change " + line.name),
            small("Remove…", Notifications.doubt(line.id), "Remove " + line.name, "btn-danger"),
            class_name="row push",
        ),
    )
    return rx.el.li(
        rx.el.div(
            rx.el.div(
                rx.match(
                    line.icon,
                    *((icon, rx.icon(icon, size=17)) for _, icon, _ in KINDS.values()),
                    rx.icon("bell", size=17),
                ),
                rx.el.span(
                    rx.el.b(line.name),
                    rx.el.span(
                        line.kind,
                        " · ",
                        line.target,
                        rx.cond(
                            line.last_success_at != "",
                            rx.fragment(" · last arrived ", when(at=line.last_success_at)),
                        ),
                        class_name="sub",
                    ),
                ),
                class_name="inline-choice",
            ),
            rx.cond(
                line.is_enabled,
                rx.cond(line.trouble != "", rx.el.span("in trouble", class_name="badge badge-warn")),
                rx.el.span("off", class_name="badge badge-bad"),
            ),
            buttons,
            class_name="row",
        ),
        rx.cond(line.trouble != "", rx.el.p(line.trouble, class_name="small muted")),
        rx.cond(
            Notifications.removing == line.id,
            doubt(
                "Remove this channel?",
                "Nothing more is sent there. The log stays.",
                yes=("Remove it", Notifications.remove_channel(line.id)),
                no=("Keep it", Notifications.doubt("")),
            ),
        ),
        key=line.id,
    )


def channels() -> rx.Component:
    """The channels there are, and the kinds one can add."""
    kinds = rx.el.div(
        *(
            rx.el.button(
                rx.icon(icon, size=17),
                rx.el.span(rx.el.b(name), rx.el.span(words, class_name="sub")),
                type="button",
                class_name="btn",
                on_click=Notifications.choose(kind),
            )
            for kind, (name, icon, words) in KINDS.items()
        ),
        class_name="channel-kinds",
        role="group",
        aria_label="Add a channel",
    )
    return card(
        "Channels",
        rx.cond(
            Notifications.channels.length() > 0,
            rx.el.ul(rx.foreach(Notifications.channels, _channel), class_name="list"),
            empty("bell", "No channel yet", "Choose below how somebody is to be reached.", small=True),
        ),
        rx.cond(
            may("notifications:write"),
            rx.el.div(rx.el.h3("Add a channel"), kinds, class_name="card-body stack list-below"),
        ),
        about="channel",
        words="The ways to reach people and programs. A channel alone sends nothing: a policy says when.",
    )
