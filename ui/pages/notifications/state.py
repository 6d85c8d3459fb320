"""What the page knows of channels, policies and the log, and the form that is open."""

import asyncio
from typing import Any, ClassVar

import reflex as rx

from ui.channels import (
    ChannelLine,
    DeliveryLine,
    LaterStep,
    PolicyLine,
    changes_of,
    channel_line,
    contact_of,
    delivery_line,
    next_step,
    policy_line,
    policy_of,
)
from ui.client import Refused
from ui.console import Console
from ui.paging import PAGE_SIZE, Paged

WENT_OUT = "went-out"  # the part of the page about that, in the addresses that lead to it
LOOKS = 25  # a second apart: as long as a slow mail server may take
LOOKS_EVERY_S = 1.0


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
    marked: str = ""  # the delivery that the address leads to
    kind: str = ""  # of the channel that is being made or changed
    changed: ChannelLine | None = None  # the channel that is being changed
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
        self.is_planning, self.policy, self.changed = False, None, None
        if (away := await self.enter("notifications:read")) is not None:
            return away
        asked = self.router.url.query_parameters
        self.marked = asked.get("delivery", "")
        await self.first_page()
        if self.marked and all(each.id != self.marked for each in self.log):
            await self._find()
        if self.marked:
            return rx.scroll_to(f"sent-{self.marked}")
        return rx.scroll_to(WENT_OUT) if asked.get("show") == WENT_OUT else None

    async def _find(self) -> None:
        """What the address leads to stands first, however old; what is no more there is not marked."""
        try:
            found = (await self.ask("delivery", id=self.marked))["delivery"]
        except Refused as refusal:
            self.marked, self.problem = "", refusal.words
            return
        self.log = [delivery_line(found), *self.log]

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
        self.is_planning, self.policy, self.changed = False, None, None

    @rx.event
    def change(self, channel_id: str) -> None:
        """Open the form of a channel there is."""
        found = next((each for each in self.channels if each.id == channel_id), None)
        self.kind, self.form_problem, self.said, self.secret = found.of if found else "", "", "", ""
        self.is_planning, self.policy, self.changed, self.removing = False, None, found, ""

    @rx.event
    async def make(self, form: dict[str, Any]) -> Any:
        """Make a channel, or change one."""
        self.form_problem = ""
        if self.changed is not None:
            await self._save(self.changed, form)
            return
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

    async def _save(self, channel: ChannelLine, form: dict[str, Any]) -> None:
        """Change a channel, unless somebody else has meanwhile. A webhook that leads elsewhere has another key."""
        secret = ""
        try:
            changes = changes_of(channel, form)
            if changes:
                told = await self.ask("channel_update", id=channel.id, input=changes, version=channel.version)
                secret = told["channelUpdate"]["secret"] or ""
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        name = changes.get("name", channel.name)
        self.kind, self.changed, self.secret, self.secret_of = "", None, secret, name
        await self._show()
        leads_elsewhere = bool(set(changes) - {"name"})
        self.said = f"“{name}” is changed. Send it a test before you rely on it." if leads_elsewhere else "Saved."

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
        await asyncio.sleep(LOOKS_EVERY_S)
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
        self.is_planning, self.form_problem, self.said, self.kind, self.changed = True, "", "", "", None

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
