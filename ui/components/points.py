"""A gateway's point table on its device's page: how far it has come, its text, and each of its points to be tried."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link, may
from ui.components.pieces import body, card, done, doubt, note, problem
from ui.console import Console
from ui.islands.cells import when
from ui.islands.points_text import again, points_text
from ui.point_words import EXAMPLES, Answer, PointLine, ProblemLine, answer_of, point_lines, problem_lines

SHOWN = 100
"""So many points are on the page at first: a table may have a thousand."""
_ASK_AGAIN_MS, _LOOK_AGAIN_MS = 1_000, 4_000


class Points(Console):
    """The point table of the device of the address, its draft, and what was tried."""

    uid: str = ""
    ready: bool = False
    is_gateway: bool = False
    problem: str = ""
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
    refusals: list[ProblemLine] = []
    is_open: bool = False  # whether the text is shown
    draft: str = ""
    draft_number: int = 0  # rises when another text takes the draft's place
    problems: list[ProblemLine] = []
    check_said: str = ""
    is_checking: bool = False
    sending: int = 0  # how many points the table has that is about to be sent; 0 while nobody is asked
    send_problem: str = ""
    is_stale: bool = False
    lines: list[PointLine] = []
    is_whole: bool = False  # whether all points are shown
    answers: dict[str, Answer] = {}
    machines: dict[str, str] = {}  # the key of a device that this gateway speaks for → its id
    strangers: list[str] = []  # devices of the table that do not belong to this gateway here

    _based_on: int = 0  # the version that the draft was made from

    @rx.var
    def is_asking(self) -> bool:
        """Whether an answer of the edge is awaited."""
        return any(each.command for each in self.answers.values())

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
    async def load(self) -> None:
        """Come to the device's page."""
        uid = self.segment()
        self.ready = False
        self.uid = uid
        self._put("", 0)
        self.problem = self.said = self.text = ""
        self.version, self.lines, self.machines, self.strangers = 0, [], {}, []
        self.is_open = self.is_whole = False
        self.answers = {}
        await self._show()
        self.is_open = self.state == "REFUSED" and not self.is_local

    @rx.event
    async def look(self) -> None:
        """Ask again how far the table has come."""
        await self._show()

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
        if table["version"] == self.version:
            return
        was_changed = self.draft != self.text
        self.version, self.text, self.lines = table["version"], table["text"], point_lines(table["text"])
        self.answers = {}
        if not was_changed:  # what somebody is writing stays, and is refused as made from an older one
            self._put(self.text, self.version)

    def _put(self, draft: str, version: int) -> None:
        """Another text takes the draft's place."""
        self.draft, self._based_on = draft, version
        self.draft_number += 1
        self._unsettle()

    def _unsettle(self) -> None:
        """What was said of the draft counts no longer."""
        self.problems, self.check_said, self.sending, self.send_problem, self.is_stale = [], "", 0, "", False

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
    def write(self, draft: str) -> None:
        """Another text, as somebody writes it."""
        if draft != self.draft:
            self.draft, self.said = draft, ""
            self._unsettle()

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
        if points:
            self.check_said = f"It can be sent: {_points(points)}. The edge itself may still find something."

    @rx.event
    async def ask_to_send(self) -> Any:
        """Ask before the draft is sent; not if anything is wrong with it."""
        self._unsettle()
        self.is_checking = True
        yield
        self.sending = await self._checked()
        self.is_checking = False

    async def _checked(self) -> int:
        """How many points the draft has, 0 if it cannot be sent."""
        if not self.draft.strip():
            self.send_problem = "There is no text yet. Begin with an example, or write one."
            return 0
        try:
            found = (await self.ask("point_table_check", text=self.draft))["pointTableCheck"]
        except Refused as refusal:
            self.send_problem = refusal.words
            return 0
        self.problems = problem_lines(found["problems"])
        return 0 if self.problems else int(found["points"])

    @rx.event
    def keep(self) -> None:
        """Do not send it after all."""
        self.sending = 0

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
        await self._show()
        self.is_open = False
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


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"


def _count(number: rx.Var[int]) -> rx.Component:
    return rx.fragment(rx.cond(number == 1, "1 point", number.to_string() + " points"))


def _none() -> rx.Component:
    return rx.el.div(
        rx.el.p(rx.el.b("No table is set here.")),
        rx.cond(
            Points.said_at != "",
            rx.el.p(
                "The edge goes by the file on its own disk, which has ",
                _count(Points.running_points),
                ". The first table that is sent from here takes the place of all of them: copy ",
                rx.el.code("connections"),
                " and ",
                rx.el.code("devices"),
                " from that file if they shall stay.",
                class_name="small muted",
            ),
            rx.el.p(
                "The edge has not been heard yet. A table that is sent now waits for it.", class_name="small muted"
            ),
        ),
        class_name="stack-tight",
    )


def _waiting() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.el.span("Waiting for the edge", class_name="badge badge-warn"), " since ", when(at=Points.changed_at)
        ),
        rx.cond(
            Points.is_online,
            rx.el.p("The edge is connected and is given the table now.", class_name="small muted"),
            rx.el.p(
                "The edge is not connected. It gets the table when it is back, however long that takes.",
                class_name="small muted",
            ),
        ),
        _goes_on(),
        _who(),
        class_name="stack-tight",
    )


def _goes_on() -> rx.Component:
    return rx.cond(
        Points.running_points > 0,
        rx.el.p(
            "Until then it goes on with ",
            rx.cond(Points.running_version > 0, "the table before", "the file on its own disk"),
            ": ",
            _count(Points.running_points),
            ".",
            class_name="small muted",
        ),
    )


def _who() -> rx.Component:
    return rx.el.p("Set by ", Points.changed_by, " ", when(at=Points.changed_at), class_name="small muted")


def _running() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.el.span("Running", class_name="badge badge-ok"),
            " since ",
            when(at=Points.running_since),
            ", ",
            _count(Points.running_points),
        ),
        _who(),
        class_name="stack-tight",
    )


def _refused() -> rx.Component:
    words = rx.cond(
        Points.is_local,
        rx.el.p(
            "The file on the edge says ",
            rx.el.code("points: local"),
            ": its owner lets it take no table from here. Whoever looks after the edge can take that line out.",
            class_name="small",
        ),
        rx.el.p(
            "The edge cannot use this table. Put right what is named here, then send it again.", class_name="small"
        ),
    )
    why = rx.el.ul(
        rx.foreach(
            Points.refusals,
            lambda each: rx.el.li(
                rx.cond(each.line > 0, rx.el.b("Line ", each.line.to_string(), ": ")), rx.el.span(each.message)
            ),
        ),
        class_name="small",
    )
    return rx.el.div(
        rx.el.p(rx.el.span("Refused by the edge", class_name="badge badge-bad")),
        words,
        rx.cond(~Points.is_local & ~Points.is_open & (Points.refusals.length() > 0), why),
        _goes_on(),
        _who(),
        class_name="stack-tight",
    )


def _stands() -> rx.Component:
    return rx.el.div(
        rx.match(
            Points.state,
            ("NONE", _none()),
            ("WAITING", _waiting()),
            ("RUNNING", _running()),
            ("REFUSED", _refused()),
            rx.fragment(),
        ),
        rx.cond(Points.state == "WAITING", again(every=_LOOK_AGAIN_MS, on_time=Points.look)),
        role="status",
    )


def _examples() -> rx.Component:
    return rx.el.div(
        rx.el.p("Begin with a short example, and put your own addresses in:", class_name="small"),
        rx.el.div(
            *(
                rx.el.button(words, type="button", class_name="btn btn-small", on_click=Points.begin(protocol))
                for protocol, (words, _) in EXAMPLES.items()
            ),
            class_name="row",
        ),
        class_name="stack-tight",
    )


def _confirm() -> rx.Component:
    return doubt(
        "Send this table to the edge?",
        "This changes what is read from the machines, and what commands and rules may write to them: ",
        _count(Points.sending),
        ". What is not in this table is no longer read.",
        yes=("Send it", Points.send),
        no=("Not yet", Points.keep),
    )


def _editor() -> rx.Component:
    buttons = rx.el.div(
        rx.el.button(
            rx.icon("list-checks", size=15),
            rx.cond(Points.is_checking, "Checking…", "Check"),
            type="button",
            class_name="btn",
            disabled=Points.is_checking,
            on_click=Points.check,
        ),
        rx.el.button(
            rx.icon("send", size=15),
            "Send to the edge…",
            type="button",
            class_name="btn btn-primary",
            disabled=Points.is_checking,
            on_click=Points.ask_to_send,
        ),
        rx.el.button("Cancel", type="button", class_name="btn", on_click=Points.open(False)),
        class_name="row",
    )
    newer = rx.el.button(
        "Show the newer table, and drop what is written here",
        type="button",
        class_name="btn btn-small",
        on_click=Points.renew,
    )
    return rx.el.div(
        rx.cond(Points.version == 0, _examples()),
        points_text(
            text=Points.draft,
            number=Points.draft_number,
            problems=Points.unsent,
            is_read_only=False,
            label="Point table",
            on_write=Points.write,
        ),
        problem(Points.send_problem),
        rx.cond(Points.is_stale, newer),
        done(Points.check_said),
        rx.cond(Points.sending > 0, _confirm(), buttons),
        class_name="stack",
    )


def _text() -> rx.Component:
    may_send = may("devices:write") & may("commands:write") & ~Points.is_over
    change = rx.el.div(
        rx.el.button(
            rx.icon("pencil", size=15),
            "Change the table…",
            type="button",
            class_name="btn",
            on_click=Points.open(True),
        ),
    )
    shown = rx.el.details(
        rx.el.summary("Show the table as text", class_name="small"),
        points_text(
            text=Points.text,
            number=Points.version,
            problems=Points.refusals,
            is_read_only=True,
            label="Point table",
        ),
        class_name="fold",
    )
    closed = rx.cond(Points.version == 0, _examples(), change)
    return rx.cond(
        may_send,
        rx.cond(Points.is_open, _editor(), closed),
        rx.cond(Points.version > 0, shown),
    )


def _answer(each: rx.Var[PointLine]) -> rx.Component:
    answer = Points.answers[each.name]
    return rx.cond(
        Points.answers.contains(each.name),
        rx.el.div(
            rx.el.span(answer.words),
            rx.cond(answer.sign != "", rx.el.span(answer.sign, class_name=answer.tone)),
            class_name="row small",
        ),
    )


def _line(each: rx.Var[PointLine]) -> rx.Component:
    is_busy = Points.answers.contains(each.name) & (Points.answers[each.name].command != "")
    device = rx.cond(
        Points.machines.contains(each.device),
        link(each.device, to="/devices/" + Points.machines[each.device]),
        rx.el.span(each.device),
    )
    attempt = rx.el.button(
        rx.cond(is_busy, "Asking…", "Try it now"),
        type="button",
        class_name="btn btn-small",
        disabled=is_busy | ~Points.is_online,
        on_click=Points.try_point(each.device, each.metric),
        custom_attrs={"aria-label": "Try " + each.name + " now"},
    )
    return rx.el.tr(
        rx.el.td(device, custom_attrs={"data-label": "Device"}),
        rx.el.td(rx.el.b(each.metric), custom_attrs={"data-label": "Metric"}),
        rx.el.td(
            each.address,
            rx.cond(each.access != "", rx.el.span(" · ", each.access, class_name="muted")),
            custom_attrs={"data-label": "Address"},
        ),
        rx.el.td(each.unit, custom_attrs={"data-label": "Unit"}),
        rx.el.td(
            rx.el.div(
                rx.cond(each.is_read & _may_try(), attempt),
                rx.el.div(_answer(each), aria_live="polite"),
                class_name="row",
            ),
            class_name="cell-wide",
        ),
        key=each.name,
    )


def _may_try() -> rx.Var[bool]:
    return may("commands:write") & may("commands:read") & Points.is_in_service


def _list() -> rx.Component:
    heads = ("Device", "Metric", "Address", "Unit")
    more = rx.el.div(
        rx.el.button(
            "Show all ",
            Points.lines.length().to_string(),
            type="button",
            class_name="btn btn-small",
            on_click=Points.show_all,
        ),
        class_name="card-body",
    )
    notes = rx.fragment(
        rx.cond(
            _may_try() & ~Points.is_online,
            note("unplug", "The edge is not connected. Its machines can be tried when it is back."),
            rx.cond(
                Points.state != "RUNNING",
                note("info", "The edge does not run this table yet: it can only try what its former one has as well."),
            ),
        ),
        rx.cond(
            Points.strangers.length() > 0,
            note(
                "triangle-alert",
                "Not yet devices of this edge: ",
                rx.el.b(Points.strangers.join(", ")),
                ". Add each under this key, with the label ",
                rx.el.code("gateway: ", Points.key),
                "; what is read of them is not accepted before.",
            ),
        ),
    )
    return rx.cond(
        Points.lines.length() > 0,
        rx.fragment(
            rx.el.div(rx.el.h3("Its points"), notes, class_name="card-body stack"),
            rx.el.div(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(
                            *(rx.el.th(words, scope="col") for words in heads),
                            rx.el.th(rx.el.span("Try it", class_name="sr-only"), scope="col"),
                        )
                    ),
                    rx.el.tbody(rx.foreach(Points.shown, _line)),
                    class_name="table",
                ),
                class_name="table-wrap",
            ),
            rx.cond(Points.lines.length() > Points.shown.length(), more),
            rx.cond(Points.is_asking, again(every=_ASK_AGAIN_MS, on_time=Points.hear)),
        ),
    )


def points() -> rx.Component:
    """The card on the device's page; for devices that may be gateways."""
    return rx.cond(
        Points.ready & Points.is_gateway,
        card(
            "Points",
            body(problem(Points.problem), done(Points.said), _stands(), _text()),
            _list(),
            words="Which values of which machines this edge reads and writes.",
        ),
    )
