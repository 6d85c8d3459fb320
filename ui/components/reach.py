"""Which devices somebody or something may see: all of them, or those of some groups only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import reflex as rx

from ui.client import Refused
from ui.components.frame import link
from ui.console import Console

CHOOSE = "Choose at least one group, or all devices."


@dataclass(frozen=True)
class GroupChoice:
    """A group of devices that somebody may be limited to."""

    id: str
    name: str
    is_chosen: bool


def sees(group_ids: Sequence[str] | None, groups: Mapping[str, str]) -> str:
    """Which devices somebody sees, in words; nothing to say where it is all of them. `groups`: their names."""
    if group_ids is None:
        return ""
    names = sorted(groups[each] for each in group_ids if each in groups)
    gone = len(group_ids) - len(names)
    if gone:
        names.append("a group that is gone" if gone == 1 else f"{gone} groups that are gone")
    return "sees only the devices of " + ", ".join(names)


class Reach(rx.State, mixin=True):
    """The choice of groups in a form; the page that uses it is a `Console` and names the groups as it loads."""

    group_names: dict[str, str] = {}
    is_limited: bool = False  # whether some groups only
    picked: list[str] = []  # which ones

    @rx.var
    def group_choices(self) -> list[GroupChoice]:
        """The groups to choose from."""
        return [GroupChoice(id_, name, id_ in self.picked) for id_, name in self.group_names.items()]

    async def _name_groups(self) -> None:
        """Whoever may not see groups limits nobody to them."""
        assert isinstance(self, Console)
        if "devices:read" not in self.scopes:
            return
        try:
            found = await self.ask("group_names")
        except Refused:
            return
        self.group_names = {each["id"]: each["name"] for each in found["deviceGroups"]["items"]}

    @rx.event
    def limit(self, is_limited: bool) -> None:
        """All devices, or some groups only."""
        self.is_limited = is_limited

    @rx.event
    def pick(self, group_id: str, is_chosen: bool) -> None:
        """One group more or less."""
        self.picked = [each for each in self.picked if each != group_id] + ([group_id] if is_chosen else [])


def reach(state: type[Reach], question: str, meaning: str) -> rx.Component:
    """The choice; `meaning` says what a limit takes away beside other devices."""

    def choice(is_limited: bool, name: str, means: str) -> rx.Component:
        return rx.el.label(
            rx.el.input(
                type="radio",
                name="reach",
                value="some" if is_limited else "all",
                default_checked=state.is_limited if is_limited else ~state.is_limited,  # type: ignore[operator]
                on_change=state.limit(is_limited),
            ),
            rx.el.span(rx.el.b(name), rx.el.span(" ", means, class_name="muted")),
            class_name="tick",
        )

    def box(group: rx.Var[GroupChoice]) -> rx.Component:
        return rx.el.label(
            rx.el.input(
                type="checkbox",
                default_checked=group.is_chosen,  # the browser's own: it must not wait for us to show the tick
                on_change=lambda chosen: state.pick(group.id, chosen),
            ),
            rx.el.span(group.name),
            class_name="tick",
            key=group.id,
        )

    return rx.el.fieldset(
        rx.el.legend(question, class_name="label-text"),
        choice(False, "All devices", "also those that come later"),
        choice(True, "Only these groups", "and nothing that is about the whole organisation"),
        rx.cond(
            state.is_limited,
            rx.el.div(
                rx.cond(
                    state.group_choices.length() > 0,
                    rx.el.div(
                        rx.foreach(state.group_choices, box),
                        class_name="rights-group",
                        style={"maxHeight": "260px", "overflowY": "auto"},  # there may be hundreds
                    ),
                    rx.el.p("There are no groups yet. ", link("Make one first", to="/groups")),
                ),
                rx.el.p(meaning, class_name="small muted"),
                class_name="stack",
                style={"paddingInlineStart": "26px"},
            ),
        ),
        class_name="bare rights-group",
    )
