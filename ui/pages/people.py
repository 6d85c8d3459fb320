"""People: who belongs to the organisation, what each may do, who is invited, and the end of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, page
from ui.components.member_sessions import MemberSessions, member_sessions
from ui.components.pieces import answers, card, done, doubt, empty, field, line_head, problem, skeleton_rows
from ui.components.reach import CHOOSE, Reach, reach, sees
from ui.components.shown_once import shown_once
from ui.console import Console
from ui.islands.cells import command, when
from ui.rights import GIVEN, ROLES, grouped
from ui.words import words

OWN = "CUSTOM:"


@dataclass(frozen=True)
class MemberLine:
    """A person of the organisation."""

    id: str
    name: str
    email: str
    role: str
    role_name: str
    role_words: str
    since: str
    is_me: bool
    has_factor: bool
    sees: str  # in words, where it is not all devices
    group_ids: list[str]


@dataclass(frozen=True)
class InvitationLine:
    """An invitation that nobody has accepted yet."""

    id: str
    email: str
    role_name: str
    invited_by: str
    expires_at: str
    sees: str


@dataclass(frozen=True)
class OwnRole:
    """A role of the organisation's own, to choose; its value is `CUSTOM:` and the role's id."""

    value: str
    name: str
    words: str


def own_role(role: dict[str, Any]) -> OwnRole:
    """A role of the contract as a choice."""
    rights = [right.words for group in grouped(role["scopes"]) for right in group.rights]
    more = f" and {len(rights) - 2} more" if len(rights) > 2 else ""
    return OwnRole(f"{OWN}{role['id']}", role["name"], "may " + ", ".join(map(_small, rights[:2])) + more)


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def given(role: str) -> dict[str, str]:
    """A choice as the contract's words for it."""
    return {"role": "CUSTOM", "roleId": role.removeprefix(OWN)} if role.startswith(OWN) else {"role": role}


def invitation_line(
    invitation: dict[str, Any], own: Mapping[str, str], groups: Mapping[str, str] | None = None
) -> InvitationLine:
    """An invitation of the contract as the page shows it; `own`: the names of the organisation's own roles."""
    role = ROLES.get(invitation["role"], (words(invitation["role"]), ""))[0]
    role = own.get(invitation["roleId"] or "", role)
    limit = sees(invitation["groupIds"], groups or {})
    return InvitationLine(
        invitation["id"], invitation["email"], role, invitation["invitedBy"], invitation["expiresAt"], limit
    )


def member_line(member: dict[str, Any], my_email: str, groups: Mapping[str, str] | None = None) -> MemberLine:
    """A member of the contract as the page shows it."""
    name, means = ROLES.get(member["role"], (words(member["role"]), ""))
    own = member["customRole"] or {}
    return MemberLine(
        member["id"],
        member["name"] or member["email"],
        member["email"],
        OWN + own["id"] if own else member["role"],
        own.get("name", name),
        means,
        member["since"],
        member["email"] == my_email,
        member["hasSecondFactor"],
        sees(member["groupIds"], groups or {}),
        member["groupIds"] or [],
    )


class People(MemberSessions, Reach, Console):
    """The members, and the one whose part is being changed."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("link",)

    ready: bool = False
    problem: str = ""
    said: str = ""
    members: list[MemberLine] = []
    own_roles: list[OwnRole] = []
    changing: str = ""
    role: str = ""  # what the member that is being changed may become
    removing: str = ""
    withdrawing: str = ""  # the invitation about which it is being asked
    taking: str = ""  # whose second factor is about to be taken away
    invitations: list[InvitationLine] = []
    is_inviting: bool = False
    form_problem: str = ""
    link: str = ""
    is_mailed: bool = False
    invited: str = ""

    @rx.var
    def can_save(self) -> bool:
        """Whether something would change, and it is said what."""
        member = next((each for each in self.members if each.id == self.changing), None)
        if member is None or not self._is_clear():
            return False
        limit = sorted(self.picked) if self._limits() else []
        return self.role != member.role or limit != sorted(member.group_ids)

    def _limits(self) -> bool:
        return self.is_limited and self.role != "OWNER"

    def _is_clear(self) -> bool:
        return not self._limits() or bool(self.picked)

    @rx.event
    async def load(self) -> Any:
        """Come to the page. An invitation's link is shown once: whoever comes back does not see it again."""
        self.said = self.changing = self.removing = self.taking = self.withdrawing = self.link = self.form_problem = ""
        self.is_inviting = False
        yield  # first of all: what is not to be seen again is gone
        if (away := await self.enter("users:read")) is not None:
            yield away
            return
        await self._show()

    async def _show(self) -> None:
        try:
            found = await self.ask("members")
        except Refused as refusal:
            self.problem = refusal.words
            return
        await self._name_groups()
        groups = self.group_names
        self.members = [member_line(each, self.user_email, groups) for each in found["members"]]
        self.own_roles = [own_role(each) for each in found["roles"]]
        names = {each["id"]: each["name"] for each in found["roles"]}
        pending = (each for each in found["invitations"] if each["status"] == "PENDING")
        self.invitations = [invitation_line(each, names, groups) for each in pending]
        self.problem, self.ready = "", True

    @rx.event
    def write(self, is_inviting: bool) -> None:
        """Open or close the form that invites somebody."""
        self.is_inviting, self.changing, self.form_problem, self.said = is_inviting, "", "", ""
        self.link, self.role = "", "VIEWER"
        self.is_limited, self.picked = False, []

    @rx.event
    async def invite(self, form: dict[str, Any]) -> None:
        """Invite somebody and show the link to hand over."""
        email = str(form.get("email", "")).strip()
        if not self._is_clear():
            self.form_problem = CHOOSE
            return
        limit = {"groupIds": self.picked} if self._limits() else {}
        try:
            data = await self.ask("member_invite", input={"email": email, **given(self.role), **limit})
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        self.link, self.invited = "%ORIGIN%" + data["memberInvite"]["link"], email
        self.is_mailed = data["memberInvite"]["isMailed"]
        self.is_inviting, self.form_problem = False, ""
        await self._show()

    @rx.event
    def put_away(self) -> None:
        """The link was copied; it is not needed here any more."""
        self.link = ""

    @rx.event
    def doubt_invitation(self, invitation_id: str) -> None:
        """Ask before an invitation is withdrawn; '' lets it be."""
        self.withdrawing, self.said = invitation_id, ""

    @rx.event
    async def withdraw(self, invitation_id: str) -> None:
        """Make an invitation worthless."""
        self.link = ""
        await self._do(
            "invitation_withdraw", "The invitation is withdrawn; its link no longer works.", id=invitation_id
        )

    @rx.event
    def change(self, user_id: str) -> None:
        """Open the form for one member; '' closes it."""
        self.is_inviting = False
        self.changing, self.removing, self.taking, self.said, self.problem = user_id, "", "", "", ""
        member = next((each for each in self.members if each.id == user_id), None)
        self.role = member.role if member else ""
        self.is_limited = bool(member and member.sees)
        self.picked = [each for each in member.group_ids if each in self.group_names] if member else []

    @rx.event
    def set_role(self, role: str) -> None:
        """What the member would become."""
        self.role = role

    @rx.event
    def doubt(self, user_id: str) -> None:
        """Ask before somebody is removed; '' lets them be."""
        self.removing, self.taking = user_id, ""

    @rx.event
    def ask_to_take(self, user_id: str) -> None:
        """Ask for one's own password before somebody's second factor is taken away; '' lets it be."""
        self.taking, self.removing, self.problem = user_id, "", ""

    @rx.event
    async def take_factor(self, form: dict[str, Any]) -> None:
        """Take a lost second factor away: its owner signs in by password alone and sets up a new one."""
        said = f"{self._name()} signs in by password alone now, and is told who did this."
        given = {"password": form.get("password", "")}
        await self._do("member_second_factor_reset", said, id=self.taking, input=given)

    @rx.event
    async def save(self) -> None:
        """Give the member the chosen role."""
        own = {each.value: each.name for each in self.own_roles}
        name = ROLES[self.role][0] if self.role in ROLES else own.get(self.role, self.role)
        was_limited = any(each.sees for each in self.members if each.id == self.changing)
        limit: dict[str, Any] = {"allDevices": True} if was_limited else {}
        limit = {"groupIds": self.picked} if self._limits() else limit
        said = f"{self._name()} is {name} now"
        said += ", and " + sees(self.picked, self.group_names) + "." if self._limits() else "."
        await self._do("member_change", said, id=self.changing, input={**given(self.role), **limit})

    @rx.event
    async def sign_out(self) -> None:
        """End all sessions of the member, for example after a lost telephone."""
        await self._do("member_sessions_revoke", f"{self._name()} is signed out everywhere.", id=self.changing)

    @rx.event
    async def remove(self) -> None:
        """Send the member away."""
        said = f"{self._name()} does not belong to the organisation any more."
        await self._do("member_remove", said, id=self.removing)

    def _name(self) -> str:
        return next((each.name for each in self.members if each.id == self.changing), "The person")

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.said, self.changing, self.removing, self.taking, self.withdrawing = said, "", "", "", ""
        await self._show()


def _roles() -> rx.Component:
    def choice(role: Any, name: Any, means: Any) -> rx.Component:
        return rx.el.label(
            rx.el.input(
                type="radio",
                name="role",
                value=role,
                default_checked=People.role == role,
                on_change=People.set_role(role),
            ),
            rx.el.span(rx.el.b(name), rx.el.span(" ", means, class_name="muted")),
            class_name="tick",
        )

    return rx.el.fieldset(
        rx.el.legend("What may this person do?", class_name="label-text"),
        *(choice(*each) for each in GIVEN),
        rx.foreach(People.own_roles, lambda own: choice(own.value, own.name, own.words)),
        link("Look at the roles, or make one", to="/access/roles", class_name="small"),
        class_name="bare rights-group",
    )


def _reach() -> rx.Component:
    return reach(
        People,
        "Which devices may this person see?",
        "They look after the devices of these groups. People, roles, tokens, the audit log, and changes to "
        "rules and profiles stay closed to them, whatever the role says.",
    )


def _confirm(member: rx.Var[MemberLine]) -> rx.Component:
    return doubt(
        "Remove this person?",
        *(member.name, " is signed out at once and may not come back. What they made stays."),
        yes=(rx.fragment("Remove ", member.name), People.remove),
        no=("Keep them", People.doubt("")),
    )


def _take(member: rx.Var[MemberLine]) -> rx.Component:
    return rx.el.form(
        rx.el.p(
            "Make sure that it is really ",
            member.name,
            " who asks, best in person. They are signed out everywhere, sign in by password alone, and are told that "
            "you did this.",
        ),
        field(
            "Your own password",
            rx.el.input(
                id="take-password",
                name="password",
                type="password",
                auto_complete="current-password",
                max_length=200,
                required=True,
                auto_focus=True,
                class_name="input",
            ),
            for_="take-password",
        ),
        rx.el.div(
            rx.el.button("Take it away", type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Leave it", type="button", class_name="btn", on_click=People.ask_to_take("")),
            class_name="row",
        ),
        on_submit=People.take_factor,
        class_name="note note-warn confirm",
        aria_label="Take the second factor away?",
    )


def _form(member: rx.Var[MemberLine]) -> rx.Component:
    return rx.el.div(
        _roles(),
        rx.cond(People.role != "OWNER", _reach()),
        problem(People.problem),
        rx.el.div(
            rx.el.button(
                "Save",
                type="button",
                class_name="btn btn-primary",
                disabled=~People.can_save,
                on_click=People.save,
            ),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=People.change("")),
            rx.el.button("Remove…", type="button", class_name="btn btn-danger push", on_click=People.doubt(member.id)),
            class_name="row",
        ),
        rx.cond(People.removing == member.id, _confirm(member)),
        rx.cond(People.taking == member.id, _take(member)),
        member_sessions(People, member.name, end_all=People.sign_out),
        rx.cond(
            member.has_factor & (People.taking == ""),
            rx.el.div(
                rx.el.button(
                    "Lost their second factor?",
                    type="button",
                    class_name="btn btn-small",
                    on_click=People.ask_to_take(member.id),
                )
            ),
        ),
        class_name="stack sheet",
        role="group",
        aria_label="Change what this person may do",
    )


def _line(member: rx.Var[MemberLine]) -> rx.Component:
    change = rx.el.button(
        "Change…",
        type="button",
        class_name="btn btn-small",
        on_click=[People.change(member.id), People.find_sessions(member.id)],
        custom_attrs={"aria-label": "Change " + member.name},
    )
    mine = link("Your account", to="/account", class_name="btn btn-small")
    return rx.el.li(
        line_head(
            rx.el.b(member.name, class_name="wrap"),
            rx.cond(member.is_me, rx.el.span("you", class_name="badge badge-accent")),
            rx.el.span(member.role_name, class_name="badge"),
            rx.cond(member.sees != "", rx.el.span("some devices", class_name="badge")),
            rx.cond(member.has_factor, rx.el.span("second factor", class_name="badge badge-ok")),
            action=rx.cond(member.is_me, mine, rx.cond(may("users:write") & (People.changing != member.id), change)),
        ),
        rx.el.p(
            rx.el.span(member.email, class_name="wrap"),
            " · ",
            member.role_words,
            " · joined ",
            when(at=member.since),
            rx.cond(member.sees != "", rx.fragment(" · ", member.sees)),
            class_name="small muted",
        ),
        rx.cond(People.changing == member.id, _form(member)),
        key=member.id,
    )


def _invite() -> rx.Component:
    return card(
        "Invite somebody",
        rx.el.form(
            field(
                "E-mail",
                rx.el.input(
                    id="invite-email",
                    name="email",
                    type="email",
                    max_length=254,
                    required=True,
                    auto_focus=True,
                    auto_complete="off",
                    placeholder="somebody@example.org",
                    class_name="input",
                ),
                for_="invite-email",
            ),
            _roles(),
            rx.cond(People.role != "OWNER", _reach()),
            answers("Make the invitation", People.write(False), People.form_problem),
            on_submit=People.invite,
            class_name="card-body stack",
        ),
        words="You get a link to hand over. It works once, for 7 days.",
    )


def _invited() -> rx.Component:
    return shown_once(
        "The new invitation",
        (
            rx.el.b("The link for ", People.invited, " is shown this once."),
            rx.cond(
                People.is_mailed,
                " We have also mailed it to them, so you need not do anything.",
                " Copy it now and hand it over yourself: there is no mail server here, so no e-mail is sent.",
            ),
        ),
        command(
            text=People.link,
            label="Link to hand over",
            button="Copy link",
            hint="Whoever opens it joins your organisation.",
        ),
        put_away=People.put_away,
    )


def _invitation(invitation: rx.Var[InvitationLine]) -> rx.Component:
    return rx.el.li(
        line_head(
            rx.el.b(invitation.email, class_name="wrap"),
            rx.el.span(invitation.role_name, class_name="badge"),
            action=rx.cond(
                may("users:write"),
                rx.el.button(
                    "Withdraw…",
                    type="button",
                    class_name="btn btn-small btn-danger",
                    on_click=People.doubt_invitation(invitation.id),
                    custom_attrs={"aria-label": "Withdraw the invitation of " + invitation.email},
                ),
            ),
        ),
        rx.el.p(
            "invited by ",
            invitation.invited_by,
            " · ends ",
            when(at=invitation.expires_at),
            rx.cond(invitation.sees != "", rx.fragment(" · ", invitation.sees)),
            class_name="small muted",
        ),
        rx.cond(
            People.withdrawing == invitation.id,
            doubt(
                "Withdraw this invitation?",
                *("The link that ", invitation.email, " has becomes worthless. You can invite them again at any time."),
                yes=("Withdraw it", People.withdraw(invitation.id)),
                no=("Let it stand", People.doubt_invitation("")),
            ),
        ),
        key=invitation.id,
    )


def people() -> rx.Component:
    """The page."""
    return page(
        "People",
        heading(
            "People",
            "Who belongs to your organisation, and what each may do.",
            link("Roles", to="/access/roles", class_name="btn"),
            rx.cond(
                may("users:write") & ~People.is_inviting,
                rx.el.button(
                    rx.icon("plus", size=16),
                    "Invite somebody",
                    type="button",
                    class_name="btn btn-primary",
                    on_click=People.write(True),
                ),
            ),
        ),
        rx.cond(People.changing == "", problem(People.problem, People.load)),
        done(People.said),
        rx.cond(People.is_inviting, _invite()),
        rx.cond(People.link != "", _invited()),
        rx.el.section(
            rx.cond(
                People.ready,
                rx.fragment(
                    rx.el.ul(rx.foreach(People.members, _line), class_name="list"),
                    rx.cond(
                        (People.members.length() == 1) & (People.invitations.length() == 0) & ~People.is_inviting,
                        empty(
                            "users",
                            "You are alone here",
                            "Invite whoever looks after the devices with you. Each may do just what their role says.",
                            small=True,
                        ),
                    ),
                ),
                skeleton_rows(3),
            ),
            class_name="card",
            aria_label="Members",
        ),
        rx.cond(
            People.invitations.length() > 0,
            card("Invited, not here yet", rx.el.ul(rx.foreach(People.invitations, _invitation), class_name="list")),
        ),
        narrow=True,
        needs="users:read",
    )
