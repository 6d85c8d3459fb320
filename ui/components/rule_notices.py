"""What should be known about rules at the moment: one that does too much and is muted, or cannot do what it should."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link
from ui.console import Console
from ui.islands.cells import told, when

SAID: Mapping[str, str] = {
    "STORM": "Too much at once.",
    "QUOTA": "Too many rules.",
    "LOOP": "A loop.",
    "REFUSED": "Not done.",
}
SHOWN = 5
"""More notices than this are a number: whoever has mended the first ones sees the next."""


@dataclass(frozen=True)
class NoticeLine:
    """A notice as one line."""

    rule_id: str
    title: str
    words: str
    since: str
    times: int


def notice_line(notice: Mapping[str, Any]) -> NoticeLine:
    """A notice of the contract as the console shows it."""
    title = SAID.get(notice["kind"], "Note.")
    return NoticeLine(notice["ruleId"] or "", title, notice["message"], notice["since"], notice["times"])


class RuleNotices(Console):
    """The notices that hold: of one rule on its page, of all on the list."""

    lines: list[NoticeLine] = []
    more: int = 0
    is_of_one: bool = False

    @rx.event
    async def load(self) -> Any:
        """Look what holds now; on the page of a new rule there is nothing to know yet."""
        last = self.segment()
        self.lines, self.more, self.is_of_one = [], 0, last != "rules"
        if last == "new":
            return None
        try:
            found = (await self.ask("rule_notices", ruleId=last if self.is_of_one else None))["ruleNotices"]
        except Refused:
            return None  # the page itself says when the platform is silent; who sees some groups only is told nothing
        self.lines = [notice_line(each) for each in found[:SHOWN]]
        self.more = len(found) - len(self.lines)
        return None


def rule_notices() -> rx.Component:
    """A coloured box for each notice; nothing while there is none."""
    return rx.el.div(
        rx.foreach(RuleNotices.lines, _line),
        rx.cond(
            RuleNotices.more > 0,
            rx.el.p("And ", RuleNotices.more.to_string(), " more like these.", class_name="small muted"),
        ),
        style={"display": "contents"},  # where there is none it takes no room
    )


def _line(notice: rx.Var[NoticeLine]) -> rx.Component:
    return rx.el.div(
        rx.icon("triangle-alert", size=17),
        rx.el.span(
            rx.el.strong(notice.title),
            " ",
            told(text=notice.words, at=notice.since),
            " ",
            rx.el.span(
                when(at=notice.since),
                rx.cond(notice.times > 1, ", " + notice.times.to_string() + " times since", ""),
                class_name="small muted",
            ),
        ),
        rx.cond(
            (notice.rule_id != "") & ~RuleNotices.is_of_one,
            link("See the rule", to="/rules/" + notice.rule_id, class_name="btn btn-small"),
        ),
        class_name="note note-warn",
        role="status",
    )
