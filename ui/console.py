"""What every page knows: who is signed in, and how to ask the contract on their behalf; and how one comes to a page.

A browser connects when a page is opened, and again whenever its connection was lost: on the train, behind a closed
lid. Reflex calls both the same, and would have the page loaded anew, so that a form lost what was written in it and not
saved. `ARRIVED` gives every page that is opened a mark, which its connections bring along (`Console.arrival`): where
one comes back with the mark that the page was loaded for, the page stays as it is.
"""

import hashlib
from typing import Any, ClassVar, TypedDict

import reflex as rx
from reflex.state import _override_base_method

from ui import client
from ui.client import Refused, SignedOut

ALL_DEVICES = "devices:all"  # no right of the contract: to see devices, and not those of some groups only
# Nor is this: to add devices. Whoever sees some groups only can add none where these are put together by hand.
NEW_DEVICES = "devices:new"

ARRIVED = 'try { sessionStorage.setItem("arrival", performance.timeOrigin); } catch {}'
"""For the head of every page. Where the browser keeps nothing, every connection counts as a new arrival."""

LOADS: dict[str, tuple[Any, ...]] = {}
"""By route: what is done, one after the other, when somebody comes to a page."""


class Organisation(TypedDict):
    """A tenant that the signed-in person belongs to."""

    key: str
    name: str


class Console(rx.State):
    """The signed-in user and tenant; page states are its children and ask through it."""

    user_id: str = ""
    user_name: str = ""
    user_email: str = ""
    tenant_name: str = ""
    tenant_key: str = ""
    elsewhere: list[Organisation] = []  # where else this person belongs
    scopes: list[str] = []
    is_limited_to_groups: bool = False  # whether they see some devices only, and nothing that is about all of them
    adds_devices: bool = False
    open_alerts: int = 0
    must_set_up: bool = False  # whether nothing else can be done before there is a second factor
    factor_taken_by: str = ""  # who took this person's lost second factor away, until there is a new one

    # The vars of a page that hold a secret which is shown once; they are emptied before anybody can see them again.
    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ()

    arrival: str = rx.SessionStorage("", name="arrival")  # the browser's mark of the page it opened
    is_here: bool = False  # whether the page has been loaded, to its end

    _session: str = ""  # a hash of the cookie this state was filled for
    _place: str = ""  # the page that was loaded, and for whom
    _comes: bool = False  # whether the browser has connected since, with a new page or the one it had
    _aside: dict[str, dict[str, Any]] = {}  # by page: what it showed once, while it is not known which of the two

    def secret(self) -> str:
        """The visitor's session secret, from the cookie the browser sent with its socket; never kept in the state."""
        return client.session_secret(self.router.headers.cookie)

    async def ask(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Run one operation of the contract as this user; raises Refused with words to show.

        What it would leave to a right that the user lacks it does not ask for: see `client.READS`.
        """
        reads = {name: scope in self.scopes for name, scope in client.READS[operation].items()}
        return await client.ask(self.secret(), operation, {**variables, **reads})

    @rx.event
    async def come(self, route: str) -> Any:
        """Come to a page; or back to it as it was left, where it was only the connection that was lost."""
        is_back = self._comes and self._place != "" and self._place == self._here()
        aside, self._comes, self._aside = self._aside, False, {}
        if is_back:
            for page in self._pages():
                for name, shown in aside.get(page.get_name(), {}).items():
                    setattr(page, name, shown)
            self.is_here = True
            return None
        if self._session != self._who():
            self._empty()
        self._place, self.is_here = "", False
        return [*LOADS[route], Console.arrived]

    @rx.event
    def arrived(self) -> None:
        """The page that one came to is complete."""
        self._place, self.is_here = self._here(), True

    def _here(self) -> str:
        """Which page this is, opened when, and for whom; empty where that is not known."""
        return f"{self._who()} {self.arrival} {self.router.url.path}" if self.arrival else ""

    def _who(self) -> str:
        return hashlib.sha256(self.secret().encode()).hexdigest()

    def _pages(self) -> list["Console"]:
        return [each for each in self.substates.values() if isinstance(each, Console)]

    def _forget(self) -> dict[str, Any]:
        """Empty what this page shows once; returns what that was."""
        shown = {name: value for name in self.SHOWN_ONCE if (value := getattr(self, name))}
        for name in shown:
            setattr(self, name, self.get_fields()[name].default_value())
        return shown

    @_override_base_method
    def _reset_client_storage(self) -> None:
        # Reflex calls this just before it sends all it knows to a browser that has connected, and for each page.
        if type(self) is Console:
            if self._session != self._who():
                self._empty()
            self._comes, self.is_here = True, False
            self._aside = {page.get_name(): shown for page in self._pages() if (shown := page._forget())}
        super()._reset_client_storage()

    def _forget_all(self) -> None:
        """Empty what any page shows once: whoever comes to a page, or back to it, does not see it again."""
        for page in self._pages():
            page._forget()

    async def enter(self, needs: str = "") -> Any:
        """Come to a page: make sure somebody is signed in. Returns None, or what the page does instead of loading.

        That is the way to the sign-in page; or nothing, for whoever lacks the right that the page `needs`: the page
        says so, and a question would only be noted as denied.
        """
        self._forget_all()  # Reflex calls this on the console itself, whichever page asks
        return await self.recognise(needs)

    async def recognise(self, needs: str = "") -> Any:
        """The same for whoever is on the page already: what it shows once stays."""
        if self._session != self._who():
            self._empty()
        try:
            data = await self.ask("me")
        except SignedOut:
            self._empty()
            return rx.redirect(f"/sign-in?next={self.router.url.path}")
        except Refused:
            return None  # the page's own question will say what is wrong
        me = data["me"]
        self.user_id = me["userId"] or ""
        self.user_name = me["name"]
        self.user_email = me["email"] or ""
        self.tenant_name = me["tenant"]["name"]
        self.tenant_key = me["tenant"]["key"]
        self.elsewhere = [
            {"key": each["tenantKey"], "name": each["tenantName"]}
            for each in me["memberships"]
            if each["tenantKey"] != self.tenant_key
        ]
        self.scopes = me["scopes"]
        self.is_limited_to_groups = me["groupIds"] is not None
        self.adds_devices = "devices:write" in self.scopes and await self._has_room()
        self.must_set_up = me["needsSecondFactor"]
        self.factor_taken_by = (me["secondFactorReset"] or {}).get("by", "")
        if self.must_set_up and self.router.url.path.rstrip("/") != "/account":
            return rx.redirect("/account")
        await self._count()
        return [] if needs and self._lacks(needs) else None

    def _empty(self) -> None:
        """With another person's cookie in the same tab nothing of the first one may stay."""
        arrival = self.arrival
        self.reset()
        self.arrival, self._session = arrival, self._who()

    def _lacks(self, right: str) -> bool:
        """What `frame.only` says without words: who has no rights at all is let in, as it is not known who they are."""
        if right == ALL_DEVICES:
            return bool(self.scopes) and ("devices:read" not in self.scopes or self.is_limited_to_groups)
        if right == NEW_DEVICES:
            return bool(self.scopes) and not self.adds_devices
        return bool(self.scopes) and right not in self.scopes

    async def _has_room(self) -> bool:
        """Whether a new device can lie where this person sees it: anywhere, or in a group that holds what fits it."""
        if not self.is_limited_to_groups:
            return True
        try:
            groups = (await self.ask("group_names"))["deviceGroups"]["items"]
        except Refused:
            return True  # what cannot be known is left to the platform
        return any(each["filter"] for each in groups)

    @rx.event
    async def count_alerts(self) -> None:
        """Something happened to an alert: count the open ones anew, for the badge in the navigation."""
        await self._count()

    async def _count(self) -> None:
        if "alerts:read" not in self.scopes:
            return
        try:
            data = await self.ask("open_alerts")
        except Refused:
            return  # the page itself says when the platform is silent
        self.open_alerts = len(data["alerts"]["items"])

    def segment(self, index: int = -1) -> str:
        """One part of the address, for example the id in /devices/{id}."""
        parts = [part for part in self.router.url.path.split("/") if part]
        return parts[index] if parts else ""
