"""What the page knows of a gateway's point table, its draft, and what is being asked of its edge."""

import json
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.console import Console
from ui.point_words import (
    EXAMPLES,
    UNSETTLED,
    Answer,
    PointLine,
    ProblemLine,
    Proposal,
    Unfit,
    answer_of,
    connections,
    ended,
    point_lines,
    problem_lines,
    proposals,
    read,
    wanted,
    with_points,
)

SHOWN = 100
"""So many points are on the page at first: a table may have a thousand."""


class Points(Console):
    """The point table of the device of the address, its draft, and what was tried."""

    uid: str = ""
    ready: bool = False
    is_gateway: bool = False
    said: str = ""
    key: str = ""
    is_online: bool = False
    is_in_service: bool = False
    is_over: bool = False
    state: str = ""
    changed_by: str = ""
    changed_at: str = ""
    said_at: str = ""
    running_version: int = 0
    running_points: int = 0
    running_since: str = ""
    is_local: bool = False
    version: int = 0
    text: str = ""
    file_text: str = ""  # the table of the edge's own file, while it runs that
    refusals: list[ProblemLine] = []
    is_open: bool = False  # whether the text is shown
    draft: str = ""
    draft_number: int = 0  # rises when another text takes the draft's place
    problems: list[ProblemLine] = []
    are_old: bool = False  # whether the draft was changed since these were found
    check_said: str = ""
    is_checking: bool = False
    sending: int = -1  # how many points the table has that is about to be sent; -1 while nobody is asked
    send_problem: str = ""
    is_stale: bool = False
    lines: list[PointLine] = []
    is_whole: bool = False  # whether all points are shown
    answers: dict[str, Answer] = {}
    machines: dict[str, str] = {}  # the key of a device that this gateway speaks for → its id
    strangers: list[str] = []  # devices of the table that do not belong to this gateway here

    connections: dict[str, str] = {}  # of the table, each with its protocol
    is_looking: bool = False  # whether the form to look around is open
    behind: str = ""  # the connection behind which it is looked
    look: str = ""  # the question's id while the edge looks around
    look_problem: str = ""
    proposals: list[Proposal] = []
    found: int = 0  # how many the edge found, of which some may not have fitted into its answer
    is_answered: bool = False

    _listed: str = ""  # the text whose points are shown
    _found: str = "[]"  # what the edge found, as JSON: what a state holds as values comes back in wrappers
    _looked_behind: str = ""
    _wanted: str = "{}"  # what narrowed the look, as JSON
    _based_on: int = 0  # the version that the draft was made from

    @rx.var
    def is_asking(self) -> bool:
        """Whether an answer of the edge is awaited."""
        return bool(self.look) or any(each.command for each in self.answers.values())

    @rx.var
    def protocol(self) -> str:
        """The protocol of the connection behind which it is looked."""
        return self.connections.get(self.behind, "")

    @rx.var
    def runs_file(self) -> bool:
        """Whether what is shown is the table of the edge's own file."""
        return bool(self.file_text) and (self.version == 0 or self.is_local)

    @rx.var
    def is_changed(self) -> bool:
        """Whether the draft is another text than the table."""
        return self.draft != self.text

    @rx.var
    def shown(self) -> list[PointLine]:
        """The points on the page."""
        return self.lines if self.is_whole else self.lines[:SHOWN]

    @rx.var
    def unsent(self) -> list[ProblemLine]:
        """What is wrong with the text that is shown: as the check says, or as the edge said of this very text."""
        return self.problems or ([] if self.is_changed else self.refusals)

    @rx.event
    def come(self) -> None:
        """First of all on a device's page: the table of another device is gone, so that nobody changes that one."""
        self.ready = self.ready and self.segment() == self.uid

    @rx.event
    async def load(self) -> None:
        """Come to the device's page, or back to it: also where the browser's connection broke for a moment."""
        uid = self.segment()
        is_writing = uid == self.uid and self.is_open and self.is_changed
        self.ready = False
        self.uid = uid
        if not is_writing:
            self._put("", 0)
            self.text, self.version, self.is_open = "", 0, False
        self.said = "What you were writing is still here. It is not sent yet." if is_writing else ""
        self.file_text = self._listed = ""
        self.lines, self.machines, self.strangers = [], {}, []
        self.is_whole = False
        self.answers, self.connections, self.behind, self.is_looking = {}, {}, "", False
        self._forget_look()
        await self._show()
        self._open_if_refused()

    def _open_if_refused(self) -> None:
        """What the edge found wrong stands beside the text, which can be put right at once."""
        self.is_open = self.is_open or (self.state == "REFUSED" and not self.is_local)

    @rx.event
    async def show_again(self) -> None:
        """Ask again how far the table has come."""
        was_waiting = self.state == "WAITING"
        await self._show()
        if was_waiting and self.state != "WAITING":
            self.said = "The edge runs the new table." if self.state == "RUNNING" else ""
            self._open_if_refused()

    async def _show(self) -> None:
        try:
            data = await self.ask("device_points", id=self.uid)
        except Refused:
            return  # no such device, or nothing they may see: the page says so by itself
        device, table = data["device"], data["pointTable"]
        self.key, self.is_online = device["key"], device["isOnline"]
        self.is_over = device["status"] == "DECOMMISSIONED"
        self.is_in_service = device["status"] not in ("SUSPENDED", "QUARANTINED", "DECOMMISSIONED")
        self._fill(table)
        await self._find_machines()
        can_read = any(each["key"] == "edge-read" for each in device["profile"]["commands"])
        self.is_gateway = bool(self.version or self.said_at or self.machines or can_read)
        self.ready = True

    def _fill(self, table: dict[str, Any]) -> None:
        self.state, self.is_local = table["state"], table["isLocal"]
        self.changed_by, self.changed_at = table["changedBy"] or "", table["changedAt"] or ""
        self.said_at, self.running_since = table["saidAt"] or "", table["runningSince"] or ""
        self.running_version, self.running_points = table["runningVersion"] or 0, table["runningPoints"] or 0
        self.refusals = problem_lines(table["problems"]) if self.state == "REFUSED" else []
        self.file_text = table["fileText"] or ""
        self._list(self.file_text if table["version"] == 0 or self.is_local else table["text"])
        if table["version"] == self.version:
            return
        was_changed = self.draft != self.text
        self.version, self.text = table["version"], table["text"]
        if not was_changed:  # what somebody is writing stays, and is refused as made from an older one
            self._put(self.text, self.version)

    def _list(self, text: str) -> None:
        """Show the points of this text."""
        if text == self._listed:
            return
        table = read(text)  # once: of thousands of points it takes half a second
        self._listed, self.lines, self.answers, self.connections = text, point_lines(table), {}, connections(table)
        self.behind = self.behind if self.behind in self.connections else next(iter(self.connections), "")

    def _put(self, draft: str, version: int) -> None:
        """Another text takes the draft's place."""
        self.draft, self._based_on = draft, version
        self.draft_number += 1
        self._unsettle()

    def _unsettle(self) -> None:
        """What was said of the draft counts no longer."""
        self.problems, self.are_old = [], False
        self.check_said, self.sending, self.send_problem, self.is_stale = "", -1, "", False

    async def _find_machines(self) -> None:
        try:
            found = (await self.ask("point_machines", labels=[f"gateway={self.key}"]))["devices"]
        except Refused:
            self.machines, self.strangers = {}, []
            return
        self.machines = {each["key"]: each["id"] for each in found["items"]}
        named = dict.fromkeys(each.device for each in self.lines)
        self.strangers = [] if found["pageInfo"]["hasNextPage"] else [key for key in named if key not in self.machines]

    @rx.event
    def open(self, is_open: bool) -> None:
        """Show or hide the text; hiding it gives up what was changed."""
        self.is_open, self.said = is_open, ""
        if not is_open:
            self._put(self.text, self.version)

    @rx.event
    def begin(self, protocol: str) -> None:
        """Begin with the example of a protocol."""
        self.is_open = True
        self._put(EXAMPLES[protocol][1], self.version)

    @rx.event
    def take_over(self) -> None:
        """Begin with the table of the edge's own file."""
        self.is_open = True
        self._put(self.file_text, self.version)

    @rx.event
    def write(self, draft: str) -> None:
        """Another text, as somebody writes it."""
        if draft != self.draft:
            found, stale = self.unsent, self.send_problem if self.is_stale else ""
            self.draft = draft
            self._unsettle()
            self.problems, self.are_old = found, bool(found)  # to be gone through one by one, until the next check
            self.send_problem, self.is_stale = stale, bool(stale)

    @rx.event
    async def renew(self) -> None:
        """Take the table that somebody else has set meanwhile in place of the draft."""
        await self._show()
        self._put(self.text, self.version)

    @rx.event
    async def check(self) -> Any:
        """Ask what is wrong with the draft."""
        self._unsettle()
        self.is_checking = True
        yield
        points = await self._checked()
        self.is_checking = False
        if points >= 0:
            self.check_said = f"It can be sent: {in_points(points)}. The edge itself may still find something."

    @rx.event
    async def ask_to_send(self) -> Any:
        """Ask before the draft is sent; not if anything is wrong with it."""
        self._unsettle()
        self.is_checking = True
        yield
        self.sending = await self._checked()
        self.is_checking = False

    async def _checked(self) -> int:
        """How many points the draft has, -1 if it cannot be sent."""
        if not self.draft.strip():
            self.send_problem = "There is no text yet. Begin with an example, or write one."
            return -1
        try:
            found = (await self.ask("point_table_check", text=self.draft))["pointTableCheck"]
        except Refused as refusal:
            self.send_problem = refusal.words
            return -1
        self.problems = problem_lines(found["problems"])
        return -1 if self.problems else int(found["points"])

    @rx.event
    def keep(self) -> None:
        """Do not send it after all."""
        self.sending = -1

    @rx.event
    async def send(self) -> None:
        """Let the edge run the draft."""
        draft = self.draft
        self._unsettle()
        try:
            await self.ask("point_table_set", deviceId=self.uid, text=draft, version=self._based_on)
        except Refused as refusal:
            self.send_problem, self.is_stale = refusal.words, refusal.code == "POINT_TABLE_STALE"
            return
        self.text = draft  # so that the draft does not count as changed
        self.is_open = False
        await self.sent()

    @rx.event
    async def sent(self) -> None:
        """Another table is set."""
        await self._show()
        self.said = "It is on its way to the edge." if self.is_online else "It is kept for the edge until it is back."

    @rx.event
    def show_all(self) -> None:
        """Show every point."""
        self.is_whole = True

    @rx.event
    async def try_point(self, device: str, metric: str) -> None:
        """Let the edge read a point now."""
        name = f"{device}/{metric}"
        try:
            asked = await self.ask("point_read", deviceId=self.uid, child=device, metric=metric)
        except Refused as refusal:
            self.answers[name] = Answer(refusal.words, "no value", "badge badge-bad")
            return
        self.answers[name] = Answer("Asking the machine…", command=asked["pointRead"]["id"])

    @rx.event
    async def hear(self) -> None:
        """Ask what came of the points that are being tried."""
        for name, answer in list(self.answers.items()):
            if not answer.command:
                continue
            try:
                command = (await self.ask("point_answer", id=answer.command))["command"]
            except Refused as refusal:
                self.answers[name] = Answer(refusal.words, "no value", "badge badge-bad")
                continue
            self.answers[name] = answer_of(command, answer.command)
        if self.look:
            await self._hear_look()

    def _forget_look(self) -> None:
        """What was found counts no longer."""
        self.look, self.look_problem, self.proposals, self.found, self.is_answered = "", "", [], 0, False
        self._found = "[]"

    @rx.event
    def open_look(self, is_looking: bool) -> None:
        """Open or close the form to look around."""
        self.is_looking, self.said = is_looking, ""
        self._forget_look()

    @rx.event
    def choose(self, connection: str) -> None:
        """Look behind another connection: its own fields."""
        self.behind = connection
        self._forget_look()

    @rx.event
    async def look_around(self, form: dict[str, Any]) -> None:
        """Let the edge look what there is behind a connection."""
        self._forget_look()
        try:
            narrowed = wanted(self.protocol, form)
        except Unfit as unfit:
            self.look_problem = str(unfit)
            return
        self._wanted, self._looked_behind = json.dumps(narrowed), self.behind
        await self._ask_around(narrowed)

    @rx.event
    async def look_further(self) -> None:
        """Let the edge tell more of what it found, which did not fit into its answer."""
        await self._ask_around({**json.loads(self._wanted), "skip": len(self.proposals)})

    async def _ask_around(self, narrowed: dict[str, Any]) -> None:
        self.look_problem = ""
        try:
            asked = await self.ask("point_discover", deviceId=self.uid, connection=self._looked_behind, wanted=narrowed)
        except Refused as refusal:
            self.look_problem = refusal.words
        else:
            self.look = asked["pointDiscover"]["id"]

    async def _hear_look(self) -> None:
        try:
            command = (await self.ask("point_answer", id=self.look))["command"]
        except Refused as refusal:
            self.look, self.look_problem = "", refusal.words
            return
        if command["status"] in UNSETTLED:
            return
        self.look = ""
        if command["status"] != "SUCCEEDED" or not isinstance(command["result"], dict):
            self.look_problem = ended(command)
            return
        told = [each for each in command["result"].get("points", []) if isinstance(each, dict)]
        found = [*json.loads(self._found), *told]
        self._found = json.dumps(found)
        self.proposals, self.is_answered = proposals(found), True
        self.look_problem = str(command["result"].get("stopped") or "")
        self.found = max(len(found), int(command["result"].get("found") or 0))

    @rx.event
    def add(self, form: dict[str, Any]) -> None:
        """Put the ticked points into the draft; nothing is sent."""
        ticked = [each for number, each in enumerate(json.loads(self._found)) if form.get(f"tick-{number}")]
        self.look_problem = self.said = ""
        if not ticked:
            self.look_problem = "Tick the points to be added first."
            return
        device, draft = str(form.get("device", "")).strip(), self.draft or self._listed
        named: dict[str, list[dict[str, Any]]] = {}
        for each in ticked:
            named.setdefault(device or str(each.get("device", "")), []).append(each)
        try:
            for key, found in named.items():
                draft = with_points(draft, self._looked_behind, key, found)
        except Unfit as unfit:
            self.look_problem = str(unfit)
            return
        if draft == self.draft:
            self.look_problem = "The table has these points already."
            return
        self._put(draft, self._based_on)
        self.is_open, self.is_looking = True, False
        self._forget_look()
        self.said = "They are in the text below, to be read only. Nothing is sent before you send it."


def may_try() -> rx.Var[bool]:
    """Whether whoever looks may ask the edge something, and hear its answer."""
    return may("commands:write") & may("commands:read") & Points.is_in_service


def in_points(number: int) -> str:
    """How many points, in words."""
    return "1 point" if number == 1 else f"{number} points"


def count(number: rx.Var[int]) -> rx.Component:
    """The same of a var."""
    return rx.fragment(rx.cond(number == 1, "1 point", number.to_string() + " points"))
