"""Profiles: what devices of one make send, and within which limits it is believed."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, page
from ui.components.pieces import empty, problem, skeleton_rows
from ui.console import Console
from ui.words import unit, words

LENGTHS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
TYPE_WORDS = {"NUMBER": "number", "BOOLEAN": "yes or no", "STRING": "text", "OBJECT": "several values together"}


@dataclass(frozen=True)
class MetricRow:
    """A metric of a profile in words."""

    key: str
    label: str
    kind: str
    limits: str


@dataclass(frozen=True)
class ProfileCard:
    """A profile with its metrics."""

    id: str
    key: str
    name: str
    is_strict: bool
    metrics: list[MetricRow]
    words: str


def limits(metric: dict[str, Any]) -> str:
    """The accepted span in words: `-30 to 40 °C`."""
    low, high, name = metric["min"], metric["max"], unit(metric["unit"])
    said = f" {name}" if name else ""
    if low is not None and high is not None:
        return f"{plain_number(low)} to {plain_number(high)}{said}"
    if low is not None:
        return f"{plain_number(low)}{said} or more"
    if high is not None:
        return f"up to {plain_number(high)}{said}"
    if metric["type"] == "BOOLEAN":
        return "either"
    return f"any, in {name}" if name else "any"


def plain_number(number: float) -> str:
    """A number written out, without a needless point."""
    return f"{number:,.10g}"


def profile_card(profile: dict[str, Any]) -> ProfileCard:
    """A profile as the page shows it."""
    rows = [
        MetricRow(each["key"], each["label"] or words(each["key"]), TYPE_WORDS[each["type"]], limits(each))
        for each in profile["metrics"]
    ]
    return ProfileCard(profile["id"], profile["key"], profile["name"], profile["isStrict"], rows, more_words(profile))


def more_words(profile: dict[str, Any]) -> str:
    """What a profile says beside its values: `reports every 30 seconds · 2 commands · 1 setting`."""
    said = []
    if profile["reportingIntervalS"]:
        said.append(f"reports {every(profile['reportingIntervalS'])}")
    for count, name in ((len(profile["commands"]), "command"), (len(profile["shadow"]), "setting")):
        if count:
            said.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " · ".join(said)


def every(seconds: int) -> str:
    """An interval as people say it: `every 5 minutes`, `every hour`."""
    length, name = next((length, name) for length, name in LENGTHS if seconds % length == 0)
    count = seconds // length
    return f"every {name}" if count == 1 else f"every {count} {name}s"


class Profiles(Console):
    """The tenant's profiles."""

    ready: bool = False
    problem: str = ""
    profiles: list[ProfileCard] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        if (away := await self.enter("devices:read")) is not None:
            return away
        try:
            data = await self.ask("profiles", first=100)
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.profiles = [profile_card(each) for each in data["profiles"]["items"]]
        self.problem, self.ready = "", True
        return None


def _card(profile: rx.Var[ProfileCard]) -> rx.Component:
    def row(metric: rx.Var[MetricRow]) -> rx.Component:
        return rx.el.tr(
            rx.el.td(rx.el.b(metric.label), rx.el.span(metric.key, class_name="sub mono")),
            rx.el.td(metric.kind, custom_attrs={"data-label": "Kind"}),
            rx.el.td(metric.limits, custom_attrs={"data-label": "Accepted"}),
        )

    edit = link(
        rx.cond(may("profiles:write"), "Edit", "Look"),
        rx.el.span(" ", profile.name, class_name="sr-only"),
        to="/profiles/" + profile.id,
        class_name="btn btn-small",
    )
    words = rx.el.p(
        rx.el.code(profile.key),
        rx.cond(profile.words != "", " · " + profile.words, ""),
        rx.cond(profile.is_strict, " · values that are not named here are turned away", ""),
    )
    return rx.el.section(
        rx.el.div(rx.el.div(rx.el.h2(profile.name), words), edit, class_name="card-head"),
        rx.cond(
            profile.metrics.length() > 0,
            rx.el.table(
                rx.el.thead(rx.el.tr(*(rx.el.th(name, scope="col") for name in ("Value", "Kind", "Accepted")))),
                rx.el.tbody(rx.foreach(profile.metrics, row)),
                class_name="table table-even",
            ),
            rx.el.p("Devices of this profile may send anything.", class_name="card-body muted"),
        ),
        class_name="card",
        aria_label=profile.name,
    )


def _new() -> rx.Component:
    return rx.cond(
        may("profiles:write"),
        link(rx.icon("plus", size=16), "New profile", to="/profiles/new", class_name="btn btn-primary"),
    )


def profiles() -> rx.Component:
    """The page."""
    return page(
        "Profiles",
        heading(
            "Profiles",
            "What devices of one make send, and within which limits it is believed.",
            _new(),
            about="profile",
        ),
        problem(Profiles.problem, Profiles.load),
        rx.cond(
            Profiles.ready,
            rx.cond(
                Profiles.profiles.length() > 0,
                rx.fragment(rx.foreach(Profiles.profiles, _card)),
                rx.el.div(
                    empty(
                        "ruler",
                        "No profiles yet",
                        "A profile says what devices of one make send, in which unit and within which limits.",
                        _new(),
                    ),
                    class_name="card",
                ),
            ),
            rx.el.div(skeleton_rows(), class_name="card"),
        ),
        needs="devices:read",
    )
