"""Notifications: who is told, by which channel, and what became of it."""

import asyncio
from typing import Any, ClassVar

import reflex as rx

from ui.channels import (
    CARRIERS,
    KINDS,
    MAX_STEPS,
    REPEATS,
    SEVERITIES,
    WAITS,
    ChannelLine,
    DeliveryLine,
    LaterStep,
    PolicyLine,
    channel_line,
    contact_of,
    delivery_line,
    next_step,
    policy_line,
    policy_of,
)
from ui.client import Refused
from ui.components.frame import heading, may, page
from ui.components.pieces import answers, card, done, empty, field, pager, problem, skeleton_rows
from ui.components.shown_once import secret, shown_once
from ui.console import Console
from ui.islands.cells import when
from ui.paging import PAGE_SIZE, Paged

LOOKS = 25  # a second apart: as long as a slow mail server may take


class Notifications(Paged, Console):
    """The channels, the policies and the log; and the form that is open."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("secret",)

    said: str = ""
    form_problem: str = ""
    sends_mail: bool = True
    channels: list[ChannelLine] = []
    policies: list[PolicyLine] = []
    log: list[DeliveryLine] = []
    only: str = ""
    kind: str = ""  # of the channel that is being made
    removing: str = ""
    testing: str = ""
    tested: str = ""
    test_went: bool = True
    policy: PolicyLine | None = None  # the one that is being changed
    laters: list[LaterStep] = []  # the steps of the open form after the first
    is_planning: bool = False
    secret: str = ""
    secret_of: str = ""
    _tests: list[str] = []
    _looks: int = 0

    @rx.event
    async def load(self) -> Any:
        """Come to the page. A webhook's key is shown once: whoever comes back does not see it again."""
        self.said = self.form_problem = self.kind = self.removing = self.testing = self.tested = self.only = ""
        self.is_planning, self.policy = False, None
        if (away := await self.enter()) is not None:
            return away
        await self.first_page()
        return None

    async def _show(self) -> None:
        """Ask for everything anew, and stay on this page of the log."""
        await self._turn(self._starts)

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            found = await self.ask("notifications", state=self.only or None, first=PAGE_SIZE, after=after)
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.sends_mail = found["notificationSettings"]["sendsMail"]
        self.channels = [channel_line(each) for each in found["channels"]]
        names = {each.id: each.name for each in self.channels}
        self.policies = [policy_line(each, names) for each in found["notificationPolicies"]]
        self.log = [delivery_line(each) for each in found["deliveries"]["items"]]
        info: dict[str, Any] = found["deliveries"]["pageInfo"]
        return info

    @rx.event
    async def look_again(self) -> None:
        """See what has become of it."""
        await self._show()

    @rx.event
    async def show_only(self, state: str) -> None:
        """See the whole log, or what has come so far."""
        self.only = state
        await self.first_page()

    @rx.event
    def choose(self, kind: str) -> None:
        """Open the form for a channel of this kind; '' closes it."""
        self.kind, self.form_problem, self.said, self.secret = kind, "", "", ""
        self.is_planning, self.policy = False, None

    @rx.event
    async def make(self, form: dict[str, Any]) -> Any:
        """Make a channel, and try it at once."""
        self.form_problem = ""
        name = str(form.get("name", "")).strip()
        try:
            if not name:
                raise ValueError("Please give it a name, for example who reads it.")
            made = await self.ask("channel_create", input={"name": name, **contact_of(self.kind, form)})
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        self.kind = ""
        self.secret, self.secret_of = made["channelCreate"]["secret"] or "", name
        await self._show()
        self.said = f"“{name}” is there. Send it a test before you rely on it."

    @rx.event
    def put_away(self) -> None:
        """The key was copied; it is not needed here any more."""
        self.secret = ""

    @rx.event
    async def test(self, channel_id: str) -> Any:
        """Send a test, and look what becomes of it."""
        self.said = self.tested = ""
        self.testing, self._looks = channel_id, 0
        yield
        try:
            sent = (await self.ask("channel_test", id=channel_id))["channelTest"]
        except Refused as refusal:
            self.testing, self.problem = "", refusal.words
            return
        self._tests = [each["id"] for each in sent]
        yield Notifications.follow

    @rx.event
    async def follow(self) -> Any:
        """Look every second whether the test has arrived. In between the page is free for other things."""
        await asyncio.sleep(1)
        self._looks += 1
        try:
            found = [(await self.ask("delivery", id=each))["delivery"] for each in self._tests]
        except Refused as refusal:
            self.testing, self.problem = "", refusal.words
            return None
        if self.testing and self._looks < LOOKS and any(each["state"] in ("WAITING", "SENDING") for each in found):
            return Notifications.follow
        lost = [each for each in found if each["state"] != "DELIVERED"]
        name = next((each.name for each in self.channels if each.id == self.testing), "")
        self.test_went = not lost
        self.tested = f"The test went through to “{name}”. Has it come?"
        if lost:
            why = lost[0]["lastError"] or "It has not been sent yet; the log below tells."
            self.tested = f"The test of “{name}” did not arrive. {why}"
        self.testing = ""
        await self._show()
        return None

    @rx.event
    async def switch(self, channel_id: str, is_enabled: bool) -> None:
        """Switch a channel on or off."""
        said = "It is on again." if is_enabled else "It is switched off; what waited for it is given up."
        await self._do("channel_update", said, id=channel_id, input={"isEnabled": is_enabled})

    @rx.event
    def doubt(self, thing_id: str) -> None:
        """Ask before a channel or policy is removed; '' lets it be."""
        self.removing, self.said = thing_id, ""

    @rx.event
    async def remove_channel(self, channel_id: str) -> None:
        """Remove a channel."""
        await self._do("channel_delete", "The channel is removed.", id=channel_id)

    @rx.event
    async def remove_policy(self, policy_id: str) -> None:
        """Remove a policy."""
        await self._do("notification_policy_delete", "The policy is removed.", id=policy_id)

    @rx.event
    async def send_again(self, delivery_id: str) -> None:
        """Try again what was given up."""
        await self._do("delivery_retry", "It is on its way again.", id=delivery_id)

    @rx.event
    def plan(self, policy_id: str) -> None:
        """Open the form for a policy, a new one where no id is given."""
        self.policy = next((each for each in self.policies if each.id == policy_id), None)
        self.laters = list(self.policy.later) if self.policy and self.policy.later else [next_step([])]
        self.is_planning, self.form_problem, self.said, self.kind = True, "", "", ""

    @rx.event
    def add_step(self) -> None:
        """One more step in the open form."""
        self.laters = [*self.laters, next_step(self.laters)]

    @rx.event
    def leave_plan(self) -> None:
        """Close the form of a policy."""
        self.is_planning, self.policy, self.form_problem = False, None, ""

    @rx.event
    async def save_plan(self, form: dict[str, Any]) -> None:
        """Make a policy, or change it."""
        self.form_problem = ""
        try:
            wanted = policy_of(form)
            if self.policy is None:
                await self.ask("notification_policy_create", input=wanted)
            else:
                loud = {"alwaysLoud": wanted["quietHours"] is None}
                changes = {
                    name: value for name, value in (wanted | loud).items() if value is not None and value is not False
                }
                await self.ask(
                    "notification_policy_update", id=self.policy.id, input=changes, version=self.policy.version
                )
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        self.is_planning, self.policy = False, None
        await self._show()
        self.said = f"“{wanted['name']}” is saved. Rules can name it now."

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.removing = ""
        await self._show()
        self.said = said


def _text(id_: str, name: str, placeholder: str = "", **more: Any) -> rx.Component:
    return rx.el.input(id=id_, name=name, placeholder=placeholder, class_name="input", auto_complete="off", **more)


def _secret_text(id_: str, name: str) -> rx.Component:
    return _text(id_, name, type="password")


def _fields(kind: str) -> list[rx.Component]:
    """What has to be known to reach somebody by this kind."""
    match kind:
        case "EMAIL":
            hint = "Several: with a comma between them. Each gets a message of its own."
            return [field("E-mail addresses", _text("c-to", "addresses", "anna@example.com"), hint, for_="c-to")]
        case "WEBHOOK":
            hint = "https, on the public internet. You get a key with which your program can tell that it is us."
            return [field("Address of your program", _text("c-url", "url", "https://…"), hint, for_="c-url")]
        case "SLACK":
            hint = "In Slack: Apps → Incoming WebHooks → Add to Slack, choose the channel, copy the webhook URL."
            placeholder = "https://hooks.slack.com/services/…"
            return [field("Incoming webhook", _text("c-url", "url", placeholder), hint, for_="c-url")]
        case "TEAMS":
            hint = "In Teams: … beside the channel → Workflows → “Post to a channel when a webhook is received”."
            return [field("Address of the workflow", _text("c-url", "url", "https://…"), hint, for_="c-url")]
        case "TELEGRAM":
            return [
                field("The bot's token", _secret_text("c-token", "token"), "BotFather shows it.", for_="c-token"),
                field(
                    "The chat",
                    _text("c-chat", "chat", "-1001234567890"),
                    "Its number, or the @name of a public channel. The bot has to be in it.",
                    for_="c-chat",
                ),
            ]
        case _:
            carriers = (rx.el.option(name, value=key) for key, name in CARRIERS)
            return [
                field("Carrier", rx.el.select(*carriers, id="c-by", name="provider", class_name="select"), for_="c-by"),
                field(
                    "Account",
                    _text("c-account", "account"),
                    "Twilio: the account SID. ClickSend: the user name. MessageBird: leave it empty.",
                    for_="c-account",
                ),
                field("The account's key", _secret_text("c-token", "token"), for_="c-token"),
                field("It comes from", _text("c-from", "sender", "+4915112345678"), for_="c-from"),
                field(
                    "Numbers",
                    _text("c-to", "numbers", "+4915187654321"),
                    "With their country; several with a comma between them.",
                    for_="c-to",
                ),
            ]


def _new_channel() -> rx.Component:
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
    title = rx.match(Notifications.kind, *((kind, f"New channel: {said[0]}") for kind, said in KINDS.items()), "")
    return rx.el.section(
        rx.el.div(rx.el.h2(title), class_name="card-head"),
        rx.el.form(
            field(
                "Name",
                _text("c-name", "name", "Night shift", auto_focus=True, max_length=60),
                "As you want to find it in lists.",
                for_="c-name",
            ),
            rx.match(Notifications.kind, *forms, rx.fragment()),
            answers("Make the channel", Notifications.choose(""), Notifications.form_problem),
            key=Notifications.kind,
            on_submit=Notifications.make,
            class_name="card-body stack card-form",
        ),
        class_name="card",
        aria_label="New channel",
    )


def _key() -> rx.Component:
    return shown_once(
        "The key of the new webhook",
        (
            rx.el.b("The key of “", Notifications.secret_of, "” is shown this once."),
            " With it, and a library of Standard Webhooks, your program can tell that a message is ours.",
        ),
        secret(Notifications.secret, "channel-key", "Copy key", "Keep it as you keep a password."),
        put_away=Notifications.put_away,
    )


def _small(words: str | rx.Var[str], on_click: Any, label: Any, look: str = "", **more: Any) -> rx.Component:
    return rx.el.button(
        words,
        type="button",
        class_name=f"btn btn-small {look}",
        on_click=on_click,
        custom_attrs={"aria-label": label},
        **more,
    )


def _sure(words: str, yes: Any) -> rx.Component:
    return rx.el.div(
        rx.el.span(words),
        rx.el.span(
            rx.el.button("Remove it", type="button", class_name="btn btn-small btn-danger-solid", on_click=yes),
            rx.el.button("Keep it", type="button", class_name="btn btn-small", on_click=Notifications.doubt("")),
            class_name="row",
        ),
        class_name="row sheet",
        role="alert",
    )


def _channel(line: rx.Var[ChannelLine]) -> rx.Component:
    is_testing = Notifications.testing == line.id
    buttons = rx.cond(
        may("notifications:write"),
        rx.el.span(
            _small(
                rx.cond(is_testing, "Sending…", "Send a test"),
                Notifications.test(line.id),
                "Send a test to " + line.name,
                disabled=Notifications.testing != "",
            ),
            rx.cond(
                line.is_enabled,
                _small("Switch off", Notifications.switch(line.id, False), "Switch off " + line.name),
                _small("Switch on", Notifications.switch(line.id, True), "Switch on " + line.name, "btn-primary"),
            ),
            _small("Remove…", Notifications.doubt(line.id), "Remove " + line.name, "btn-danger"),
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
            _sure("Nothing more is sent there. The log stays.", Notifications.remove_channel(line.id)),
        ),
        key=line.id,
    )


def _channels() -> rx.Component:
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
        words="The ways to reach people and programs. A channel alone sends nothing: a policy says when.",
    )


def _tick(prefix: Any, value: Any, words: Any, is_on: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=prefix + value, default_checked=is_on), rx.el.span(words), class_name="tick"
    )


def _ticks(prefix: Any, chosen: rx.Var[list[str]]) -> rx.Component:
    return rx.el.div(
        rx.foreach(Notifications.channels, lambda each: _tick(prefix, each.id, each.name, chosen.contains(each.id))),
        class_name="ticks",
    )


def _clock(id_: str, name: str, value: rx.Var[str]) -> rx.Component:
    return rx.el.input(id=id_, name=name, type="time", default_value=value, class_name="input")


def _later(step: rx.Var[LaterStep]) -> rx.Component:
    return rx.el.fieldset(
        rx.el.legend(
            rx.cond(step.number == "2", "And who, if nobody has acknowledged the alert?", "And then?"),
            class_name="label-text",
        ),
        rx.el.div(
            rx.el.label("After ", html_for="p-wait" + step.number),
            rx.el.select(
                *(rx.el.option(words, value=value) for value, words in WAITS),
                rx.cond(step.odd != "", rx.el.option(step.odd, value=step.wait)),
                id="p-wait" + step.number,
                name="wait" + step.number,
                default_value=step.wait,
                class_name="select",
            ),
            class_name="inline-choice",
        ),
        _ticks("later" + step.number + ":", step.chosen),
        class_name="bare",
        key=step.number,
    )


def _plan() -> rx.Component:
    mine = Notifications.policy
    return rx.el.section(
        rx.el.div(rx.el.h2(rx.cond(mine, "Change the policy", "New policy")), class_name="card-head"),
        rx.el.form(
            field(
                "Name",
                _text("p-name", "name", "On call", auto_focus=True, max_length=60, default_value=mine.name),
                for_="p-name",
            ),
            rx.el.fieldset(
                rx.el.legend("Which alerts?", class_name="label-text"),
                rx.el.div(
                    *(
                        _tick("severity:", key, name, rx.cond(mine, mine.chosen.contains(key), key != "INFO"))
                        for key, name in SEVERITIES
                    ),
                    class_name="ticks",
                ),
                class_name="bare",
            ),
            rx.el.fieldset(
                rx.el.legend("Who is told at once?", class_name="label-text"),
                _ticks("now:", mine.first),
                class_name="bare",
            ),
            rx.foreach(Notifications.laters, _later),
            rx.el.span(
                "Times count from the alert. Tick nobody in a step that is not needed.", class_name="small muted"
            ),
            rx.cond(
                Notifications.laters.length() < MAX_STEPS - 1,
                rx.el.div(_small("And after that…", Notifications.add_step, "Add another step")),
            ),
            field(
                "And if still nobody has acknowledged it",
                rx.el.select(
                    *(rx.el.option(words, value=value) for value, words in REPEATS),
                    rx.cond(
                        mine
                        & (mine.repeats != "")
                        & ~rx.Var.create([value for value, _ in REPEATS]).contains(mine.repeat),
                        rx.el.option("again every " + mine.repeat + " minutes", value=mine.repeat),
                    ),
                    id="p-repeat",
                    name="repeat",
                    default_value=rx.cond(mine, mine.repeat, "0"),
                    class_name="select",
                ),
                "Only the last step comes again.",
                for_="p-repeat",
            ),
            rx.el.fieldset(
                rx.el.legend("Quiet hours", class_name="label-text"),
                rx.el.div(
                    field("From", _clock("p-start", "quiet_start", mine.quiet_start), for_="p-start"),
                    field("To", _clock("p-end", "quiet_end", mine.quiet_end), for_="p-end"),
                    field(
                        "Time zone",
                        _text("p-zone", "zone", "Europe/Berlin", default_value=mine.zone),
                        for_="p-zone",
                    ),
                    class_name="trio",
                ),
                rx.el.span(
                    "Only critical alerts come through then; the others come when it is over. Empty: never quiet.",
                    class_name="small muted",
                ),
                class_name="bare",
            ),
            answers("Save the policy", Notifications.leave_plan, Notifications.form_problem),
            key=rx.cond(mine, mine.id, "new"),
            on_submit=Notifications.save_plan,
            class_name="card-body stack card-form",
        ),
        class_name="card",
        aria_label="Notification policy",
    )


def _policy(line: rx.Var[PolicyLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(rx.el.b(line.name), " ", rx.el.code(line.key)),
            rx.cond(
                may("notifications:write"),
                rx.el.span(
                    _small("Change…", Notifications.plan(line.id), "Change " + line.name),
                    _small("Remove…", Notifications.doubt(line.id), "Remove " + line.name, "btn-danger"),
                    class_name="row push",
                ),
            ),
            class_name="row",
        ),
        rx.el.p(line.severities, rx.cond(line.quiet != "", " · " + line.quiet, ""), class_name="small muted"),
        rx.el.ul(
            rx.foreach(line.steps, lambda step: rx.el.li(step)),
            rx.cond(line.repeats != "", rx.el.li(line.repeats)),
            class_name="told small",
        ),
        rx.cond(
            Notifications.removing == line.id,
            _sure("Rules that name it tell nobody from then on.", Notifications.remove_policy(line.id)),
        ),
        key=line.id,
    )


def _policies() -> rx.Component:
    add = rx.cond(
        may("notifications:write") & (Notifications.channels.length() > 0),
        rx.el.button(
            rx.icon("plus", size=16), "New policy", type="button", class_name="btn", on_click=Notifications.plan("")
        ),
    )
    return card(
        "Policies",
        rx.cond(
            Notifications.policies.length() > 0,
            rx.el.ul(rx.foreach(Notifications.policies, _policy), class_name="list"),
            empty(
                "list-ordered",
                "No policy yet",
                rx.cond(
                    Notifications.channels.length() > 0,
                    "Say who is told at once, and who if nobody answers.",
                    "Add a channel first.",
                ),
                small=True,
            ),
        ),
        aside=add,
        words="Who is told of what, and who is next if nobody answers. Rules name a policy.",
    )


def _delivery(line: rx.Var[DeliveryLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(when(at=line.created_at), class_name="muted"),
        rx.el.td(rx.el.b(line.title), rx.el.span(line.where, class_name="sub")),
        rx.el.td(
            rx.el.div(
                rx.el.span(line.state, class_name=line.badge),
                rx.cond(line.trouble != "", rx.el.span(line.trouble, class_name="sub")),
                rx.cond(
                    line.next_at != "",
                    rx.el.span(
                        "Next try ",
                        when(at=line.next_at),
                        rx.cond(line.tries != "", " · " + line.tries, ""),
                        class_name="sub",
                    ),
                ),
            ),
            custom_attrs={"data-label": "State"},
        ),
        rx.el.td(
            rx.cond(
                line.can_retry & may("notifications:write"),
                _small("Send again", Notifications.send_again(line.id), "Send again: " + line.title),
            ),
        ),
        key=line.id,
    )


def _log() -> rx.Component:
    filters = rx.el.div(
        rx.el.select(
            rx.el.option("Everything", value=""),
            rx.el.option("Arrived", value="DELIVERED"),
            rx.el.option("Will be tried again", value="RETRYING"),
            rx.el.option("Given up", value="GIVEN_UP"),
            value=Notifications.only,
            on_change=Notifications.show_only,
            class_name="select",
            custom_attrs={"aria-label": "What to show of the log"},
        ),
        rx.el.button(
            rx.icon("refresh-cw", size=16),
            rx.el.span("Look again", class_name="sr-only"),
            type="button",
            class_name="btn btn-icon",
            on_click=Notifications.look_again,
        ),
        class_name="inline-choice",
    )
    return card(
        "What went out",
        rx.cond(
            Notifications.log.length() > 0,
            rx.fragment(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(*(rx.el.th(name, scope="col") for name in ("When", "What and where", "State", ""))),
                    ),
                    rx.el.tbody(rx.foreach(Notifications.log, _delivery)),
                    class_name="table table-log",
                ),
                pager(
                    Notifications.number,
                    Notifications.has_next,
                    Notifications.previous_page,
                    Notifications.next_page,
                    "Pages of what went out",
                ),
            ),
            empty("inbox", "Nothing here", "Whatever is sent is listed here for 30 days.", small=True),
        ),
        aside=filters,
        words="What does not arrive is tried again for three days, ever more rarely.",
    )


def _no_mail() -> rx.Component:
    return rx.cond(
        ~Notifications.sends_mail,
        rx.el.div(
            rx.icon("mail-warning", size=17),
            rx.el.span(
                "This platform has no mail server, so e-mail reaches nobody and invitations are links to hand over. "
                "Whoever runs it sets ",
                rx.el.code("TIDEGATE_SMTP_URL"),
                " and ",
                rx.el.code("TIDEGATE_MAIL_FROM"),
                ".",
            ),
            class_name="note",
            role="note",
        ),
    )


def _test_result() -> rx.Component:
    return rx.cond(
        Notifications.tested != "",
        rx.cond(Notifications.test_went, done(Notifications.tested), problem(Notifications.tested)),
    )


def notifications() -> rx.Component:
    """The page."""
    return page(
        "Notifications",
        heading("Notifications", "Who is told when something is wrong, by which way, and whether it arrived."),
        problem(Notifications.problem, Notifications.load),
        done(Notifications.said),
        _test_result(),
        rx.cond(
            Notifications.ready,
            rx.fragment(
                _no_mail(),
                rx.cond(Notifications.secret != "", _key()),
                rx.cond(Notifications.kind != "", _new_channel(), _channels()),
                rx.cond(Notifications.is_planning, _plan(), _policies()),
                _log(),
            ),
            rx.cond(Notifications.problem == "", rx.el.div(skeleton_rows(6), class_name="card")),
        ),
    )
