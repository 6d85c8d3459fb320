"""One group of devices: which it holds, how they came in, and what may be changed about it."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.devices import device_table
from ui.components.frame import ALL_DEVICES, link, may, only, page
from ui.components.instead import gone
from ui.components.pieces import card, done, empty, field, pager, problem, search_box, skeleton_rows
from ui.console import Console
from ui.filters import STATUSES, Unclear, filter_of, in_words, labels_text, listed
from ui.naming import KEY, Named
from ui.pages.groups import counted
from ui.paging import PAGE_SIZE, Paged
from ui.words import DeviceLine, device_line

OFFERED = 8  # devices found at once to put in


@dataclass(frozen=True)
class Tick:
    """A box of the filter's form."""

    name: str
    words: str
    is_ticked: bool


class Group(Named, Paged, Console):
    """The group of the address, or a new one; its devices page by page."""

    uid: str = ""
    is_gone: bool = False  # or never was
    said: str = ""
    is_filtered: bool = True
    how: str = ""
    devices_words: str = ""
    devices: list[DeviceLine] = []
    is_editing: bool = False
    is_deleting: bool = False
    form_problem: str = ""
    labels_text: str = ""
    prefixes: str = ""
    profile_ticks: list[Tick] = []
    status_ticks: list[Tick] = []
    search: str = ""
    offered: list[DeviceLine] = []

    _version: int = 0

    @rx.var
    def is_new(self) -> bool:
        """Whether the group does not exist yet."""
        return self.uid == ""

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /groups/new or /groups/{id}."""
        last = self.segment()
        uid = "" if last == "new" else last
        if uid == "" or uid != self.uid:
            self.said, self.name, self.key = "", "", ""
        self.ready, self.uid, self.problem, self.form_problem, self.search = False, uid, "", "", ""
        self.is_deleting, self.is_editing, self._is_own_key, self.is_gone = False, uid == "", False, False
        self.offered, self.devices = [], []
        yield
        if (away := await self.enter("devices:read")) is not None:
            yield away
            return
        self.uid = uid
        await self._show()

    async def _show(self) -> None:
        try:
            found = (await self.ask("profiles", first=100))["profiles"]["items"]
            group = (await self.ask("device_group", id=self.uid))["deviceGroup"] if self.uid else None
        except Refused as refusal:
            self.is_gone = refusal.code in ("GROUP_NOT_FOUND", "BAD_REQUEST")
            self.problem = "" if self.is_gone else refusal.words
            return
        self._fill(group or {"filter": {}}, {each["key"]: each["name"] for each in found})
        if group is None:
            self.ready = True
            return
        self.key, self.name, self._version = group["key"], group["name"], group["version"]
        self.devices_words = counted(group["deviceCount"])
        await self.first_page()
        if not self.is_filtered:
            await self._offer()

    def _fill(self, group: dict[str, Any], profiles: dict[str, str]) -> None:
        filter_ = group["filter"]
        self.is_filtered = filter_ is not None
        document = filter_ or {}
        self.how = in_words(document, profiles)
        wanted = listed(document.get("profile"))
        names = {
            **{key: key for key in wanted},
            **profiles,
        }  # a profile that is gone stays in the filter until unticked
        self.profile_ticks = [Tick(f"profile {key}", name, key in wanted) for key, name in names.items()]
        standing = listed(document.get("status"))
        self.status_ticks = [Tick(f"status {status}", words, status in standing) for status, words in STATUSES]
        self.labels_text, self.prefixes = labels_text(document), ", ".join(listed(document.get("keyPrefix")))

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            data = (await self.ask("devices", groupId=self.uid, first=PAGE_SIZE, after=after))["devices"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.devices = [device_line(each) for each in data["items"]]
        info: dict[str, Any] = data["pageInfo"]
        return info

    def _may_follow(self) -> bool:
        return bool(self.is_new)

    @rx.event
    def set_filtered(self, is_filtered: bool) -> None:
        """Whether a new group's devices are found by a filter or put in by hand."""
        self.is_filtered, self.form_problem = is_filtered, ""

    @rx.event
    async def edit(self, is_editing: bool) -> None:
        """Open or close the form; what was typed and not saved is let go."""
        self.is_editing, self.form_problem, self.said = is_editing, "", ""
        if not is_editing:
            await self._show()

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        """Make the group, or change it unless somebody else has meanwhile."""
        self.form_problem = self.said = ""
        try:
            wanted: dict[str, Any] = {"name": self.name.strip()}
            if not wanted["name"] or not KEY.fullmatch(self.key):
                raise Unclear("Please give the group a name, and a key of letters, digits, - and _.")
            if self.is_filtered:
                wanted["filter"] = filter_of(form)
            if not self.is_new:
                await self.ask("device_group_update", id=self.uid, input=wanted, version=self._version)
            else:
                made = await self.ask("device_group_create", input={"key": self.key, **wanted})
                self.uid, self.said = made["deviceGroupCreate"]["id"], f"“{wanted['name']}” is made."
                return rx.redirect(f"/groups/{self.uid}")
        except (Unclear, Refused) as refusal:
            self.form_problem = str(refusal)
            return None
        self.is_editing, self.said = False, "Saved."
        await self._show()
        return None

    @rx.event
    async def look_for(self, text: str) -> None:
        """Find devices to put in, by name or key."""
        self.search = text.strip()
        await self._offer()

    async def _offer(self) -> None:
        """A few devices that are not in the group; those on this page of it are left out."""
        try:
            found = (await self.ask("devices", search=self.search or None, first=OFFERED + PAGE_SIZE))["devices"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        inside = {each.id for each in self.devices}
        self.offered = [device_line(each) for each in found["items"] if each["id"] not in inside][:OFFERED]

    @rx.event
    async def put_in(self, device_id: str) -> None:
        """Put one device in."""
        await self._do("device_group_add", "", deviceIds=[device_id])

    @rx.event
    async def take_out(self, device_id: str) -> None:
        """Take one device out; it stays a device."""
        await self._do(
            "device_group_remove",
            "The device is out of the group. Nothing else about it changed.",
            deviceIds=[device_id],
        )

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, id=self.uid, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.said = said
        await self._show()

    @rx.event
    def doubt(self, is_deleting: bool) -> None:
        """Ask before the group is deleted, or let it be."""
        self.is_deleting = is_deleting

    @rx.event
    async def delete(self) -> Any:
        """Delete the group; its devices stay."""
        try:
            await self.ask("device_group_delete", id=self.uid)
        except Refused as refusal:
            self.problem, self.is_deleting = refusal.words, False
            return None
        return rx.redirect("/groups")


def _may_change() -> rx.Var[bool]:
    """Groups say who sees what: who sees some of them only changes none."""
    return may("devices:write") & may(ALL_DEVICES)


def _ticks(title: str, ticks: rx.Var[list[Tick]]) -> rx.Component:
    def box(tick: rx.Var[Tick]) -> rx.Component:
        return rx.el.label(
            rx.el.input(type="checkbox", name=tick.name, default_checked=tick.is_ticked),
            rx.el.span(tick.words),
            class_name="tick",
        )

    return rx.el.fieldset(
        rx.el.legend(title, class_name="label-text"),
        rx.foreach(ticks, box),
        class_name="bare rights-group",
    )


def _filter() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            "All that you fill in must hold for a device; of several values of one thing, any. "
            "Devices that begin to fit later come in by themselves.",
            class_name="small muted",
        ),
        rx.el.div(
            _ticks("Of these profiles", Group.profile_ticks),
            _ticks("That are now", Group.status_ticks),
            class_name="pair",
        ),
        rx.el.div(
            field(
                "With these labels",
                rx.el.textarea(
                    id="group-labels",
                    name="labels",
                    default_value=Group.labels_text,
                    placeholder="site: Hamburg, Kiel",
                    rows=3,
                    spell_check=False,
                    class_name="textarea input",
                ),
                "One a line, values separated by commas.",
                for_="group-labels",
            ),
            field(
                "Whose key begins with",
                rx.el.input(
                    id="group-prefixes",
                    name="prefixes",
                    default_value=Group.prefixes,
                    placeholder="pump-",
                    spell_check=False,
                    class_name="input mono",
                ),
                "Several separated by commas.",
                for_="group-prefixes",
            ),
            class_name="pair",
        ),
        class_name="stack sheet",
    )


def _way(is_filtered: bool, title: str, words: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="way",
            default_checked=Group.is_filtered == is_filtered,
            on_change=Group.set_filtered(is_filtered),
        ),
        rx.el.span(rx.el.b(title), rx.el.span(" ", words, class_name="muted")),
        class_name="tick",
    )


def _form() -> rx.Component:
    ways = rx.el.fieldset(
        rx.el.legend("How do devices come in?", class_name="label-text"),
        _way(True, "By a filter", "you say what they have in common"),
        _way(False, "By hand", "you put each one in"),
        class_name="bare rights-group",
    )
    return rx.el.section(
        rx.el.form(
            rx.el.div(
                field(
                    "Name",
                    rx.el.input(
                        id="group-name",
                        value=Group.name,
                        on_change=Group.set_name,
                        placeholder="Site Hamburg",
                        max_length=120,
                        required=True,
                        auto_focus=True,
                        class_name="input",
                    ),
                    for_="group-name",
                ),
                field(
                    "Key",
                    rx.el.input(
                        id="group-key",
                        value=Group.key,
                        on_change=Group.set_key,
                        max_length=40,
                        read_only=~Group.is_new,
                        spell_check=False,
                        class_name="input mono",
                    ),
                    rx.el.span(
                        rx.cond(Group.is_new, "Programs know the group by it. Chosen once.", "It never changes.")
                    ),
                    for_="group-key",
                ),
                class_name="pair",
            ),
            rx.cond(Group.is_new, ways),
            rx.cond(Group.is_filtered, _filter()),
            problem(Group.form_problem),
            rx.el.div(
                rx.el.button(
                    rx.cond(Group.is_new, "Make the group", "Save"), type="submit", class_name="btn btn-primary"
                ),
                rx.cond(
                    Group.is_new,
                    link("Cancel", to="/groups", class_name="btn"),
                    rx.el.button("Cancel", type="button", class_name="btn", on_click=Group.edit(False)),
                ),
                class_name="row",
            ),
            on_submit=Group.save,
            class_name="card-body stack",
        ),
        class_name="card",
        aria_label="The group",
    )


def _out(device: rx.Var[DeviceLine]) -> rx.Component:
    return rx.el.button(
        "Take out",
        type="button",
        class_name="btn btn-small above",
        on_click=Group.take_out(device.id),
        custom_attrs={"aria-label": "Take out " + device.name},
    )


def _members() -> rx.Component:
    none_yet = rx.cond(
        Group.is_filtered,
        empty("list-filter", "No device fits", "As soon as one does, it is here by itself.", small=True),
        empty("boxes", "Empty", "Put devices in with the list below.", small=True),
    )
    by_hand = ~Group.is_filtered & _may_change()
    return rx.el.section(
        rx.cond(
            Group.devices.length() > 0,
            rx.fragment(
                rx.cond(by_hand, device_table(Group.devices, _out), device_table(Group.devices)),
                pager(Group.number, Group.has_next, Group.previous_page, Group.next_page),
            ),
            none_yet,
        ),
        class_name="card",
        aria_label="Devices of this group",
    )


def _put_in() -> rx.Component:
    def line(device: rx.Var[DeviceLine]) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.el.div(
                    rx.el.b(device.name),
                    rx.el.span(rx.el.span(device.key, class_name="mono"), " · ", device.profile, class_name="sub"),
                    class_name="rule-words",
                ),
                rx.el.button(
                    rx.icon("plus", size=14),
                    "Put in",
                    type="button",
                    class_name="btn btn-small push",
                    on_click=Group.put_in(device.id),
                    custom_attrs={"aria-label": "Put in " + device.name},
                ),
                class_name="row nowrap-row",
            ),
            key=device.id,
        )

    return card(
        "Put devices in",
        rx.el.div(
            search_box("Search devices to put in", Group.look_for),
            class_name="card-body",
        ),
        rx.cond(
            Group.offered.length() > 0,
            rx.el.ul(rx.foreach(Group.offered, line), class_name="list list-below"),
            rx.el.p("No other device of that name.", class_name="card-body muted"),
        ),
    )


def _ending() -> rx.Component:
    ask = rx.el.div(
        rx.el.p("The group goes; its devices stay as they are. People whose rights end at this group lose them."),
        rx.el.div(
            rx.el.button(
                "Delete ", Group.name, type="button", class_name="btn btn-danger-solid", on_click=Group.delete
            ),
            rx.el.button("Keep it", type="button", class_name="btn", auto_focus=True, on_click=Group.doubt(False)),
            class_name="row",
        ),
        class_name="card card-body stack",
        role="group",
        aria_label="Delete this group?",
    )
    return rx.cond(
        _may_change(),
        rx.el.div(
            rx.cond(
                Group.is_deleting,
                ask,
                rx.el.button(
                    "Delete this group…",
                    type="button",
                    class_name="btn btn-ghost btn-danger",
                    on_click=Group.doubt(True),
                ),
            )
        ),
    )


def _heading() -> rx.Component:
    about = rx.el.div(
        rx.el.code(Group.key),
        rx.el.span(Group.devices_words, class_name="badge"),
        rx.cond(
            Group.is_filtered,
            rx.el.span(
                rx.icon("list-filter", size=14), rx.el.span(Group.how, class_name="cap"), class_name="muted with-icon"
            ),
            rx.el.span(rx.icon("hand", size=14), "Put in by hand", class_name="muted with-icon"),
        ),
        class_name="row small",
        style={"marginTop": "6px"},
    )
    edit = rx.el.button(rx.icon("pencil", size=15), "Edit", type="button", class_name="btn", on_click=Group.edit(True))
    return rx.el.div(
        rx.el.div(
            link(rx.icon("arrow-left", size=15), "Groups", to="/groups", class_name="crumb"),
            rx.el.h1(rx.cond(Group.is_new, "New group", rx.cond(Group.name != "", Group.name, "Group"))),
            rx.cond(Group.is_new | ~Group.ready, rx.el.p("Devices that belong together."), about),
        ),
        rx.el.div(
            rx.cond(Group.ready & ~Group.is_editing & _may_change(), edit),
            class_name="actions",
        ),
        class_name="head",
    )


def _body() -> rx.Component:
    """The group, or the form for a new one."""
    by_hand = ~Group.is_filtered & _may_change()
    return rx.fragment(
        _heading(),
        problem(Group.problem, Group.load),
        done(Group.said),
        rx.cond(
            Group.ready,
            rx.fragment(
                rx.cond(Group.is_editing & _may_change(), _form()),
                rx.cond(
                    ~Group.is_new,
                    rx.fragment(_members(), rx.cond(by_hand & ~Group.is_editing, _put_in()), _ending()),
                ),
            ),
            rx.cond(Group.problem == "", rx.el.div(skeleton_rows(), class_name="card")),
        ),
    )


def group() -> rx.Component:
    """The page."""
    is_begun = Group.is_new & Group.ready
    return page(
        "Groups",
        rx.cond(
            Group.is_gone,
            gone("group", "See all groups", "/groups"),
            only("devices:write", only(ALL_DEVICES, _body(), where=is_begun), where=is_begun),
        ),
        needs="devices:read",
    )
