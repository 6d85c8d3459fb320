"""Keeps the promises about the caller, the tenant's people, their sessions, and its API tokens."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import strawberry

from engine.notifications import letters
from engine.tenants import invitations, limits, lost_factor, members, passwords, roles, second_factor, sessions
from engine.tenants import service as tenants
from engine.tenants.person import acting
from resolvers.arguments import Version
from resolvers.context import Info
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.tenants import (
    ApiToken,
    CustomRole,
    Invitation,
    Me,
    Member,
    MemberChange,
    MemberInvite,
    MemberInvited,
    MemberSecondFactorReset,
    Membership,
    PasswordChange,
    PasswordChanged,
    RoleCreate,
    RoleUpdate,
    SecondFactor,
    SecondFactorConfirm,
    SecondFactorConfirmed,
    SecondFactorEnrol,
    SecondFactorEnrolled,
    SecondFactorRemove,
    SecondFactorRenew,
    SecondFactorRenewed,
    SecondFactorReset,
    SecondFactorTaken,
    Session,
    Tenant,
    TokenIssue,
    TokenIssued,
)

RoleId = Annotated[UUID, strawberry.argument(description="The role's id.")]
MemberId = Annotated[UUID, strawberry.argument(description="The person's id.")]
NO_MEMBER = Problem(status=404, slug="member-not-found")
NO_ROLE = Problem(status=404, slug="role-not-found")
TOO_WIDE = Problem(status=403, slug="role-too-wide")
GROUPS_UNCLEAR = Problem(status=422, slug="groups-unclear")
GROUPS_UNKNOWN = Problem(status=422, slug="groups-unknown")
LAST_OWNER = Problem(status=409, slug="last-owner")
NOT_A_PERSON = Problem(status=403, slug="not-a-person")
PASSWORD_WRONG = Problem(status=403, slug="password-wrong")
CODE_WRONG = Problem(status=403, slug="code-wrong")
TOO_MANY_TRIES = Problem(status=503, slug="too-many-tries")
# What takes a password or a code is a PATCH, so that no Idempotency-Key keeps a fingerprint of the request.


@strawberry.type
class TenantQuery:
    """What can be asked about the caller, the people and the tokens."""

    @strawberry.field(
        description="Who you are, for which tenant, and what you may do.",
        directives=[Needs(), Rest(method=Method.GET, path="/me")],
    )
    async def me(self, info: Info) -> Me:
        """The caller."""
        principal, tx = info.context.principal, await info.context.tx()
        tenant = Tenant.of(await tenants.current(tx))
        if principal.kind != "user":
            return Me(
                kind=principal.kind,
                name=principal.name,
                email=None,
                user_id=None,
                role=None,
                role_name=None,
                tenant=tenant,
                scopes=sorted(principal.scopes),
                group_ids=limits.stored(principal.groups),
                memberships=[],
                has_second_factor=False,
                recovery_codes_left=0,
                needs_second_factor=False,
                second_factor_reset=None,
            )
        person, all_ = await acting(tx)
        here = next(each for each in all_ if each.tenant_id == principal.tenant_id)
        reset = person.factor_reset
        return Me(
            kind=principal.kind,
            name=person.name,
            email=person.email,
            user_id=person.id,
            role=here.role,
            role_name=here.role_name,
            tenant=tenant,
            scopes=sorted(principal.scopes),
            group_ids=limits.stored(principal.groups),
            memberships=[Membership.of(each) for each in all_ if not each.is_suspended],
            has_second_factor=person.has_second_factor,
            recovery_codes_left=person.recovery_left,
            needs_second_factor=principal.lacks_factor,
            second_factor_reset=SecondFactorReset(at=reset.at, by=reset.by) if reset else None,
        )

    @strawberry.field(
        description="The people who belong to the tenant.",
        directives=[Needs(scope="users:read"), Rest(method=Method.GET, path="/members"), Cost(expected=20)],
    )
    async def members(self, info: Info) -> list[Member]:
        """The tenant's people by name."""
        return [Member.of(member) for member in await members.listed(await info.context.tx())]

    @strawberry.field(
        description="The tenant's API tokens, newest first, revoked ones too.",
        directives=[Needs(scope="tokens:write"), Rest(method=Method.GET, path="/tokens"), Cost(expected=20)],
    )
    async def tokens(self, info: Info) -> list[ApiToken]:
        """The tenant's API tokens."""
        return [ApiToken.of(token) for token in await tenants.tokens(await info.context.tx())]

    @strawberry.field(
        description="The roles that the tenant made for itself, by name.",
        directives=[Needs(scope="users:read"), Rest(method=Method.GET, path="/roles"), Cost(expected=20)],
    )
    async def roles(self, info: Info) -> list[CustomRole]:
        """The tenant's own roles."""
        return [CustomRole.of(role) for role in await roles.listed(await info.context.tx())]

    @strawberry.field(
        description="One role of the tenant's own.",
        directives=[Needs(scope="users:read"), Rest(method=Method.GET, path="/roles/{id}"), NO_ROLE],
    )
    async def role(self, info: Info, id: RoleId) -> CustomRole:
        """One of the tenant's own roles."""
        return CustomRole.of(await roles.get(await info.context.tx(), id))

    @strawberry.field(
        description="Who was invited to join the tenant, newest first, invitations that are over too.",
        directives=[Needs(scope="users:read"), Rest(method=Method.GET, path="/invitations"), Cost(expected=20)],
    )
    async def invitations(self, info: Info) -> list[Invitation]:
        """The tenant's invitations."""
        return [Invitation.of(each) for each in await invitations.listed(await info.context.tx())]

    @strawberry.field(
        description="Where you are signed in to this tenant, last seen first; nowhere for a token.",
        directives=[Needs(), Rest(method=Method.GET, path="/sessions"), Cost(expected=20)],
    )
    async def sessions(self, info: Info) -> list[Session]:
        """The caller's own sessions."""
        return [Session.of(session) for session in await sessions.mine(await info.context.tx())]

    @strawberry.field(
        description="Where a member is signed in to this tenant, last seen first.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.GET, path="/members/{id}/sessions"),
            NO_MEMBER,
            Cost(expected=20),
        ],
    )
    async def member_sessions(self, info: Info, id: MemberId) -> list[Session]:
        """A member's sessions."""
        return [Session.of(session) for session in await sessions.of_member(await info.context.tx(), id)]


@strawberry.type
class TenantMutation:
    """What can be done to API tokens."""

    @strawberry.mutation(
        description="Lets times of day go by another clock: schedules, hours and quiet hours of rules that do not name "
        "a time zone, for devices that do not either (attribute timezone). They are looked at anew at once.",
        directives=[
            Needs(scope="profiles:write"),
            Rest(method=Method.PATCH, path="/tenant"),
            Problem(status=422, slug="time-zone-unknown"),
        ],
    )
    async def tenant_time_zone_set(
        self,
        info: Info,
        time_zone: Annotated[
            str,
            strawberry.argument(
                description="Its IANA name, for example Europe/Berlin.", directives=[Constraint(max_length=64)]
            ),
        ],
    ) -> Tenant:
        """The tenant after the change."""
        return Tenant.of(await tenants.set_time_zone(await info.context.tx(), time_zone))

    @strawberry.mutation(
        description="Issues an API token. Its secret is shown this once.",
        directives=[
            Needs(scope="tokens:write"),
            Rest(method=Method.POST, path="/tokens", status=201),
            Problem(status=403, slug="scopes-too-wide"),
            Problem(status=422, slug="scopes-unknown"),
            GROUPS_UNCLEAR,
            GROUPS_UNKNOWN,
        ],
    )
    async def token_issue(
        self, info: Info, input: Annotated[TokenIssue, strawberry.argument(description="What the token is for.")]
    ) -> TokenIssued:
        """A new token."""
        token, secret = await tenants.issue_token(
            await info.context.tx(),
            name=input.name,
            scopes=input.scopes,
            expires_at=input.expires_at,
            groups=input.group_ids,
        )
        return TokenIssued(token=ApiToken.of(token), secret=secret)

    @strawberry.mutation(
        description="Makes an API token worthless at once; streams that use it are cut.",
        directives=[
            Needs(scope="tokens:write"),
            Rest(method=Method.DELETE, path="/tokens/{id}"),
            Problem(status=404, slug="token-not-found"),
        ],
    )
    async def token_revoke(
        self, info: Info, id: Annotated[UUID, strawberry.argument(description="The token's id.")]
    ) -> ApiToken:
        """The token at its end."""
        return ApiToken.of(await tenants.revoke_token(await info.context.tx(), id))

    @strawberry.mutation(
        description="Gives a member another role, or limits them to groups of devices. Nobody can give or take rights "
        "that they do not have themselves. The member's open streams are cut and come back with the new rights.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.PATCH, path="/members/{id}"),
            NO_MEMBER,
            TOO_WIDE,
            LAST_OWNER,
            NO_ROLE,
            Problem(status=422, slug="role-unclear"),
            GROUPS_UNCLEAR,
            GROUPS_UNKNOWN,
        ],
    )
    async def member_change(
        self,
        info: Info,
        id: MemberId,
        input: Annotated[MemberChange, strawberry.argument(description="What the member becomes.")],
    ) -> Member:
        """The member after the change."""
        changed = await members.change_role(
            await info.context.tx(),
            id,
            input.role,
            input.role_id,
            groups=input.group_ids,
            all_devices=input.all_devices,
        )
        return Member.of(changed)

    @strawberry.mutation(
        description="Sends a member away: their sessions in this tenant end at once. What they made stays, and so do "
        "the API tokens they issued, which are the tenant's.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.DELETE, path="/members/{id}"),
            NO_MEMBER,
            TOO_WIDE,
            LAST_OWNER,
        ],
    )
    async def member_remove(self, info: Info, id: MemberId) -> Member:
        """The member as they were."""
        return Member.of(await members.remove(await info.context.tx(), id))

    @strawberry.mutation(
        description="Invites somebody by e-mail address. The link works once, for 7 days, and is shown this once; an "
        "open invitation for the same address ends. Where the platform has a mail server, they get it by e-mail too. "
        "At most 5 invitations to one address within 24 hours, and 200 in all.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.POST, path="/invitations", status=201),
            TOO_WIDE,
            NO_ROLE,
            Problem(status=409, slug="already-member"),
            Problem(status=422, slug="email-malformed"),
            Problem(status=422, slug="role-unclear"),
            GROUPS_UNCLEAR,
            GROUPS_UNKNOWN,
            Problem(status=409, slug="too-many-waiting"),
            Problem(status=429, slug="invited-too-often"),
            Cost(weight=4_000),  # a few a second at most: it may send mail to any address
        ],
    )
    async def member_invite(
        self, info: Info, input: Annotated[MemberInvite, strawberry.argument(description="Whom, and as what.")]
    ) -> MemberInvited:
        """A new invitation."""
        tx, services = await info.context.tx(), info.context.services
        invitation, secret = await invitations.invite(
            tx,
            email=input.email,
            role=input.role,
            role_id=input.role_id,
            groups=input.group_ids,
        )
        link = f"/auth/accept?{urlencode({'token': secret})}"
        if services.sends_mail:
            name = (await tenants.current(tx)).name
            await letters.invite(
                tx, services.vault, to=invitation.email, tenant=name, until=invitation.expires_at, link=link
            )
        return MemberInvited(
            invitation=Invitation.of(invitation), secret=secret, link=link, is_mailed=services.sends_mail
        )

    @strawberry.mutation(
        description="Makes an invitation worthless.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.DELETE, path="/invitations/{id}"),
            Problem(status=404, slug="invitation-not-found"),
            Problem(status=410, slug="invitation-over"),
        ],
    )
    async def invitation_withdraw(
        self, info: Info, id: Annotated[UUID, strawberry.argument(description="The invitation's id.")]
    ) -> Invitation:
        """The invitation at its end."""
        return Invitation.of(await invitations.withdraw(await info.context.tx(), id))

    @strawberry.mutation(
        description="Makes a role of the tenant's own. Nobody can give it rights that they do not have themselves.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.POST, path="/roles", status=201),
            TOO_WIDE,
            Problem(status=409, slug="role-name-taken"),
            Problem(status=422, slug="role-malformed"),
            Problem(status=422, slug="scopes-unknown"),
        ],
    )
    async def role_create(
        self, info: Info, input: Annotated[RoleCreate, strawberry.argument(description="The new role.")]
    ) -> CustomRole:
        """A new role."""
        return CustomRole.of(await roles.create(await info.context.tx(), name=input.name, scopes=input.scopes))

    @strawberry.mutation(
        description="Changes a role for everybody who has it. Their open streams are cut and come back with the new "
        "rights.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.PATCH, path="/roles/{id}"),
            NO_ROLE,
            TOO_WIDE,
            Problem(status=409, slug="version-stale"),
            Problem(status=409, slug="role-name-taken"),
            Problem(status=422, slug="role-malformed"),
            Problem(status=422, slug="scopes-unknown"),
        ],
    )
    async def role_update(
        self,
        info: Info,
        id: RoleId,
        input: Annotated[RoleUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> CustomRole:
        """The role after the change."""
        changed = await roles.update(
            await info.context.tx(), id, name=input.name, scopes=input.scopes, expected_version=version
        )
        return CustomRole.of(changed)

    @strawberry.mutation(
        description="Removes a role that nobody has and nobody is invited to.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.DELETE, path="/roles/{id}"),
            NO_ROLE,
            TOO_WIDE,
            Problem(status=409, slug="role-in-use"),
        ],
    )
    async def role_delete(self, info: Info, id: RoleId) -> CustomRole:
        """The role as it was."""
        return CustomRole.of(await roles.delete(await info.context.tx(), id))

    @strawberry.mutation(
        description="Ends a session at once: one of your own, or a member's if you may change members.",
        directives=[
            Needs(),
            Rest(method=Method.DELETE, path="/sessions/{id}"),
            Problem(status=404, slug="session-not-found"),
            TOO_WIDE,
        ],
    )
    async def session_revoke(
        self, info: Info, id: Annotated[UUID, strawberry.argument(description="The session's id.")]
    ) -> Session:
        """The session at its end."""
        return Session.of(await sessions.end(await info.context.tx(), id))

    @strawberry.mutation(
        description="Ends all your sessions in this tenant but the one that asks.",
        directives=[Needs(), Rest(method=Method.DELETE, path="/sessions"), NOT_A_PERSON],
    )
    async def sessions_revoke_others(self, info: Info) -> list[Session]:
        """The sessions that ended."""
        return [Session.of(session) for session in await sessions.end_others(await info.context.tx())]

    @strawberry.mutation(
        description="Ends all sessions of a member in this tenant.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.DELETE, path="/members/{id}/sessions"),
            NO_MEMBER,
            TOO_WIDE,
        ],
    )
    async def member_sessions_revoke(self, info: Info, id: MemberId) -> list[Session]:
        """The sessions that ended."""
        return [Session.of(session) for session in await sessions.end_all_of(await info.context.tx(), id)]

    @strawberry.mutation(
        description="Gives you a new password. All your other sessions end, in every tenant you belong to.",
        directives=[
            Needs(),
            Rest(method=Method.PATCH, path="/me/password"),
            NOT_A_PERSON,
            PASSWORD_WRONG,
            TOO_MANY_TRIES,
            Problem(status=422, slug="password-weak"),
        ],
    )
    async def password_change(
        self,
        info: Info,
        input: Annotated[PasswordChange, strawberry.argument(description="The new password and the present one.")],
    ) -> PasswordChanged:
        """How many sessions ended."""
        ended = await passwords.change(await info.context.tx(), current=input.current, new=input.new)
        return PasswordChanged(ended_sessions=ended)

    @strawberry.mutation(
        description="Begins to set up a second factor: a secret for an authenticator app (TOTP, RFC 6238), shown this "
        "once. It counts when secondFactorConfirm has seen its first code.",
        directives=[
            Needs(),
            Rest(method=Method.PATCH, path="/me/second-factor"),
            NOT_A_PERSON,
            PASSWORD_WRONG,
            TOO_MANY_TRIES,
            Problem(status=409, slug="second-factor-present"),
        ],
    )
    async def second_factor_enrol(
        self,
        info: Info,
        input: Annotated[SecondFactorEnrol, strawberry.argument(description="The password, as proof.")],
    ) -> SecondFactorEnrolled:
        """A secret for an app."""
        vault = info.context.services.vault
        secret, uri = await second_factor.enrol(await info.context.tx(), vault, password=input.password)
        return SecondFactorEnrolled(secret=secret, uri=uri)

    @strawberry.mutation(
        description="Turns the second factor on: from now on signing in takes a code. Your other sessions end, in "
        "every tenant you belong to. Answers with recovery codes, shown this once.",
        directives=[
            Needs(),
            Rest(method=Method.PATCH, path="/me/second-factor/confirm"),
            NOT_A_PERSON,
            CODE_WRONG,
            TOO_MANY_TRIES,
            Problem(status=409, slug="second-factor-present"),
            Problem(status=409, slug="no-second-factor"),
        ],
    )
    async def second_factor_confirm(
        self, info: Info, input: Annotated[SecondFactorConfirm, strawberry.argument(description="The first code.")]
    ) -> SecondFactorConfirmed:
        """The recovery codes."""
        vault = info.context.services.vault
        codes, ended = await second_factor.confirm(await info.context.tx(), vault, code=input.code)
        return SecondFactorConfirmed(recovery_codes=codes, ended_sessions=ended)

    @strawberry.mutation(
        description="Turns the second factor off. Takes the password and a code, of the app or for recovery.",
        directives=[
            Needs(),
            Rest(method=Method.PATCH, path="/me/second-factor/remove"),
            NOT_A_PERSON,
            PASSWORD_WRONG,
            CODE_WRONG,
            TOO_MANY_TRIES,
            Problem(status=409, slug="no-second-factor"),
        ],
    )
    async def second_factor_remove(
        self,
        info: Info,
        input: Annotated[SecondFactorRemove, strawberry.argument(description="The password and a code, as proof.")],
    ) -> SecondFactor:
        """No second factor any more."""
        vault = info.context.services.vault
        await second_factor.remove(await info.context.tx(), vault, password=input.password, code=input.code)
        return SecondFactor(is_on=False)

    @strawberry.mutation(
        description="Gives you new recovery codes, shown this once; the ones before are worthless. Takes the password "
        "and a code, of the app or for recovery.",
        directives=[
            Needs(),
            Rest(method=Method.PATCH, path="/me/second-factor/recovery-codes"),
            NOT_A_PERSON,
            PASSWORD_WRONG,
            CODE_WRONG,
            TOO_MANY_TRIES,
            Problem(status=409, slug="no-second-factor"),
        ],
    )
    async def second_factor_renew(
        self,
        info: Info,
        input: Annotated[SecondFactorRenew, strawberry.argument(description="The password and a code, as proof.")],
    ) -> SecondFactorRenewed:
        """New recovery codes."""
        vault = info.context.services.vault
        codes = await second_factor.renew_recovery(
            await info.context.tx(), vault, password=input.password, code=input.code
        )
        return SecondFactorRenewed(recovery_codes=codes)

    @strawberry.mutation(
        description="Takes a member's lost second factor away, so that they sign in by password alone and set up a new "
        "one. All their sessions end, and they are told who did it (me.secondFactorReset) until they have a new one. "
        "Takes your own password. Nobody does this to themselves, to somebody with more rights, or to an account that "
        "is not this tenant's alone.",
        directives=[
            Needs(scope="users:write"),
            Rest(method=Method.PATCH, path="/members/{id}/second-factor/reset"),
            NO_MEMBER,
            TOO_WIDE,
            NOT_A_PERSON,
            PASSWORD_WRONG,
            TOO_MANY_TRIES,
            Problem(status=403, slug="own-second-factor"),
            Problem(status=409, slug="no-second-factor"),
            Problem(status=409, slug="belongs-elsewhere"),
        ],
    )
    async def member_second_factor_reset(
        self,
        info: Info,
        id: MemberId,
        input: Annotated[MemberSecondFactorReset, strawberry.argument(description="Your password, as proof.")],
    ) -> SecondFactorTaken:
        """How many sessions ended."""
        tx, services = await info.context.tx(), info.context.services
        ended = await lost_factor.of_member(tx, id, password=input.password)
        if services.sends_mail:
            await letters.factor_taken(tx, services.vault, to=(await members.get(tx, id)).user.email)
        return SecondFactorTaken(ended_sessions=ended)
