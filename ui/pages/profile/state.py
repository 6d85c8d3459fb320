"""The profile of the address, or a new one: what is being changed about it, and what others changed before."""

from dataclasses import dataclass, replace
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.console import Console
from ui.naming import KEY, Named
from ui.pages.profile.drafts import (
    UNITS,
    CommandDraft,
    Unclear,
    ValueDraft,
    commands_of,
    days_of,
    interval_of,
    interval_words,
    metrics_of,
    shadow_of,
    value_draft,
)

SHOWN_VERSIONS = 10


@dataclass(frozen=True)
class VersionLine:
    """One version of the profile: who made it, when, and what it changed."""

    version: int
    by: str
    at: str
    changes: list[str]


class Profile(Named, Console):
    """What is being changed about a profile."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    uid: str = ""
    is_strict: bool = False
    amount: str = ""
    days: str = ""
    unit: str = "seconds"
    rows: list[ValueDraft] = []
    commands: list[CommandDraft] = []
    settings: list[ValueDraft] = []
    versions: list[VersionLine] = []
    has_older: bool = False
    version: int = 0
    is_stale: bool = False
    is_busy: bool = False
    is_gone: bool = False  # or never was

    _last_row: int = 0
    _oldest: str | None = None
    _kept: dict[str, Any] = {}  # what was typed when somebody else's change stood in the way

    @rx.var
    def is_new(self) -> bool:
        """Whether the profile does not exist yet."""
        return self.uid == ""

    @rx.var
    def silence_words(self) -> str:
        """When a device counts as silent, for the interval that is filled in."""
        try:
            seconds = interval_of(self.amount, self.unit)
        except Unclear as unclear:
            return str(unclear)
        if not seconds:
            return "Empty: no reports are expected, and no device ever counts as silent."
        amount, unit = interval_words(max(3 * seconds, seconds + 10))
        lasting = f"{amount} {unit.removesuffix('s') if amount == '1' else unit}"
        return f"A device counts as silent when three reports in a row are missing: after {lasting}."

    def _may_follow(self) -> bool:
        return bool(self.is_new)

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /profiles/new or /profiles/{id}."""
        last = self.segment()
        uid = "" if last == "new" else last
        if uid == "" or uid != self.uid:
            self.said = ""
        self.ready, self.is_stale, self.is_busy, self.uid, self.problem = False, False, False, uid, ""
        self.is_gone = False
        yield
        if (away := await self.enter("devices:read")) is not None:
            yield away
            return
        self.uid = uid
        if uid:
            await self._show()
        else:
            self._empty()

    def _empty(self) -> None:
        self.key = self.name = self.amount = self.days = ""
        self.unit, self.is_strict, self._is_own_key = "seconds", False, False
        self.rows, self.commands, self.settings, self.versions = [self._blank()], [], [], []
        self.ready = True

    async def _show(self) -> None:
        try:
            data = await self.ask("profile", id=self.uid, first=SHOWN_VERSIONS)
        except Refused as refusal:
            self.is_gone = refusal.code in ("PROFILE_NOT_FOUND", "BAD_REQUEST")
            self.problem = "" if self.is_gone else refusal.words
            return
        profile = data["profile"]
        self.key = profile["key"]
        self._fill(profile)
        self.version, self._kept = profile["version"], {}
        self.versions = []
        self._more(data["profileVersions"])
        self.problem, self.is_stale, self.ready = "", False, True

    def _fill(self, said: dict[str, Any]) -> None:
        """Put what a profile, or one of its versions, says into the form."""
        self.name, self.is_strict = said["name"], said["isStrict"]
        self.amount, self.unit = interval_words(said["reportingIntervalS"])
        self.days = str(said["retentionDays"] or "")
        self.rows = [self._draft(metric) for metric in said["metrics"]]
        self.settings = [self._draft(leaf) for leaf in said["shadow"]]
        self.commands = [
            CommandDraft(
                self._row(),
                command["key"],
                command["label"],
                command["description"],
                str(command["timeoutS"]),
                [self._draft(argument) for argument in command["arguments"]],
            )
            for command in said["commands"]
        ]

    def _more(self, page: dict[str, Any]) -> None:
        found = [
            VersionLine(each["version"], each["changedBy"], each["changedAt"], each["changes"])
            for each in page["items"]
        ]
        self.versions = [*self.versions, *found]
        self.has_older, self._oldest = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]

    def _row(self) -> str:
        self._last_row += 1
        return str(self._last_row)

    def _draft(self, said: dict[str, Any]) -> ValueDraft:
        return value_draft(int(self._row()), said)

    def _blank(self) -> ValueDraft:
        return ValueDraft(self._row())

    @rx.event
    def set_strict(self, is_strict: bool) -> None:
        """What happens to values that the profile does not name."""
        self.is_strict = is_strict

    @rx.event
    def set_amount(self, amount: str) -> None:
        """How often devices report: the number."""
        self.amount = amount.strip()

    @rx.event
    def set_days(self, days: str) -> None:
        """For how many days values are kept."""
        self.days = days.strip()

    @rx.event
    def set_unit(self, unit: str) -> None:
        """How often devices report: of what."""
        self.unit = unit if unit in UNITS else "seconds"

    @rx.event
    def add(self) -> Any:
        """One more value; the cursor goes there."""
        self.rows, self.said = [*self.rows, self._blank()], ""
        return self._go_to("key")

    @rx.event
    def remove(self, row: str) -> Any:
        """Take a row away; what was typed into the others stays, and the cursor goes on from there."""
        self.rows, self.said = [each for each in self.rows if each.row != row], ""
        return _to("add-metric")

    @rx.event
    def add_command(self) -> Any:
        """One more command; the cursor goes there."""
        self.commands, self.said = [*self.commands, CommandDraft(self._row())], ""
        return self._go_to("label")

    @rx.event
    def remove_command(self, row: str) -> Any:
        """Take a command away, with its arguments."""
        self.commands, self.said = [each for each in self.commands if each.row != row], ""
        return _to("add-command")

    @rx.event
    def add_argument(self, row: str) -> Any:
        """One more thing that the command in block `row` is told."""
        argument = self._blank()
        self.commands = [
            replace(each, arguments=[*each.arguments, argument]) if each.row == row else each for each in self.commands
        ]
        return self._go_to("label")

    @rx.event
    def remove_argument(self, row: str) -> Any:
        """Take away what a command is told."""
        held = next((each.row for each in self.commands if row in [argument.row for argument in each.arguments]), "")
        self.commands = [
            replace(each, arguments=[argument for argument in each.arguments if argument.row != row])
            for each in self.commands
        ]
        return _to(f"add-argument-{held}")

    @rx.event
    def add_setting(self) -> Any:
        """One more setting; the cursor goes there."""
        self.settings, self.said = [*self.settings, self._blank()], ""
        return self._go_to("label")

    @rx.event
    def remove_setting(self, row: str) -> Any:
        """Take a setting away."""
        self.settings, self.said = [each for each in self.settings if each.row != row], ""
        return _to("add-setting")

    def _go_to(self, name: str) -> Any:
        selector = f'[name="{name}-{self._last_row}"]'
        return rx.call_script(f"requestAnimationFrame(() => document.querySelector('{selector}')?.focus())")

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        """Create the profile, or change it if nobody else has meanwhile."""
        self.is_busy, self.problem, self.said, self.is_stale = True, "", "", False
        yield
        try:
            wanted = self._wanted(form)
        except Unclear as unclear:
            self.problem, self.is_busy = str(unclear), False
            return
        if self.is_new:
            yield await self._create({"key": self.key, **wanted})
        else:
            await self._update(wanted, self.version)
        self.is_busy = False

    def _wanted(self, form: dict[str, Any]) -> dict[str, Any]:
        """The whole form as the contract wants it; raises Unclear."""
        metrics = metrics_of(self.rows, form)
        if not self.name.strip() or (self.is_new and not KEY.fullmatch(self.key)):
            raise Unclear("Please give the profile a name, and a key of letters, digits, - and _.")
        return {
            "name": self.name.strip(),
            "isStrict": self.is_strict,
            "metrics": metrics,
            "reportingIntervalS": interval_of(self.amount, self.unit),
            "retentionDays": days_of(self.days),
            "commands": commands_of(self.commands, form),
            "shadow": shadow_of(self.settings, form),
        }

    async def _create(self, wanted: dict[str, Any]) -> Any:
        try:
            made = (await self.ask("profile_create", input=wanted))["profileCreate"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.uid, self.said = made["id"], f"“{wanted['name']}” is made. Devices can use it now."
        return rx.redirect(f"/profiles/{made['id']}")

    async def _update(self, wanted: dict[str, Any], version: int | None) -> None:
        try:
            await self.ask("profile_update", id=self.uid, input=wanted, version=version)
        except Refused as refusal:
            self.is_stale = refusal.code == "VERSION_STALE"
            self._kept = wanted if self.is_stale else {}
            self.problem = "" if self.is_stale else refusal.words
            return
        await self._show()
        self.said = "Saved. It holds for messages from now on; values already stored stay as they are."

    @rx.event
    async def take_theirs(self) -> None:
        """Show the profile as somebody else left it; what was typed here is let go."""
        await self._show()

    @rx.event
    async def insist(self) -> None:
        """Save what was typed here over the other change."""
        self.is_stale = False
        await self._update(self._kept, None)

    @rx.event
    async def show_older(self) -> None:
        """More of the versions before."""
        try:
            data = await self.ask("profile_versions", id=self.uid, first=SHOWN_VERSIONS, after=self._oldest)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self._more(data["profileVersions"])

    @rx.event
    async def bring_back(self, version: int) -> Any:
        """Put what an earlier version said into the form; nothing holds before it is saved."""
        try:
            data = await self.ask("profile_version", id=self.uid, version=version)
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self._fill(data["profileVersion"])
        self.problem = ""
        self.said = f"Version {version} is in the form. It holds again once you save it."
        return rx.call_script("window.scrollTo({top: 0, behavior: 'smooth'})")


def _to(element: str) -> Any:
    return rx.call_script(f"document.getElementById('{element}')?.focus()")
