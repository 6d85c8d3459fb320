"""What signing in and managing access refuse."""

from engine.errors import Conflict, EngineError, Expired, Forbidden, Invalid, NotFound, Unavailable


class BadCredentials(Forbidden):
    """The e-mail address or the password is not right."""

    code = "BAD_CREDENTIALS"


class TenantSuspended(Forbidden):
    """This tenant is suspended: ask whoever runs the platform. Nothing was deleted, and it comes back as it was."""

    code = "TENANT_SUSPENDED"


class TenantNotFound(NotFound):
    """There is no such tenant."""

    code = "TENANT_NOT_FOUND"


class TenantKeyTaken(Conflict):
    """Another tenant has this key; keys are never given twice."""

    code = "TENANT_KEY_TAKEN"


class TenantMalformed(Invalid):
    """A tenant needs a key of 1 to 20 lower-case letters, digits and dashes, and a name of 1 to 120 characters."""

    code = "TENANT_MALFORMED"


class TimeZoneUnknown(Invalid):
    """A time zone is named as in the IANA database, for example Europe/Berlin or UTC."""

    code = "TIME_ZONE_UNKNOWN"


class TenantOwned(Conflict):
    """This tenant has an owner, who invites its people; the platform's operator cannot."""

    code = "TENANT_OWNED"


class TooManyTries(Unavailable):
    """Too many attempts to sign in; wait a minute and try again."""

    code = "TOO_MANY_TRIES"


class SigningInBusy(Unavailable):
    """Too many people are signing in just now; try again in a few seconds."""

    code = "SIGNING_IN_BUSY"


class TokenNotFound(NotFound):
    """There is no such token, or none that you may see."""

    code = "TOKEN_NOT_FOUND"


class ScopesTooWide(Forbidden):
    """A token cannot be given rights that you do not have yourself."""

    code = "SCOPES_TOO_WIDE"


class ScopesUnknown(Invalid):
    """A token needs at least one right, each from the list of known rights."""

    code = "SCOPES_UNKNOWN"


class TokenMalformed(Invalid):
    """A token needs a name of 1 to 120 characters and, if it expires, an expiry in the future."""

    code = "TOKEN_MALFORMED"


class NotAPerson(Forbidden):
    """Only a person who signed in can do that, not an API token."""

    code = "NOT_A_PERSON"


class NotAMember(Forbidden):
    """You do not belong to that organisation, or signed in by a way that is good for this one only."""

    code = "NOT_A_MEMBER"


class MemberNotFound(NotFound):
    """There is no such person here, or none that you may see."""

    code = "MEMBER_NOT_FOUND"


class RoleTooWide(Forbidden):
    """You cannot give, change or take away rights that you do not have yourself."""

    code = "ROLE_TOO_WIDE"


class LimitedToGroups(Forbidden):
    """You may only see the devices of some groups, and this is about the whole organisation."""

    code = "LIMITED_TO_GROUPS"


class LimitTooWide(Forbidden):
    """You cannot let others see devices that you do not see yourself."""

    code = "LIMIT_TOO_WIDE"


class GroupsUnclear(Invalid):
    """A limit names 1 to 50 groups of devices, or all devices; owners always see all devices."""

    code = "GROUPS_UNCLEAR"


class GroupsUnknown(Invalid):
    """One of these groups does not exist, or you may not see it."""

    code = "GROUPS_UNKNOWN"


class LastOwner(Conflict):
    """A tenant keeps at least one owner; make somebody else an owner first."""

    code = "LAST_OWNER"


class SessionNotFound(NotFound):
    """There is no such session, or none that you may end."""

    code = "SESSION_NOT_FOUND"


class PasswordWrong(Forbidden):
    """The present password is not right."""

    code = "PASSWORD_WRONG"


class PasswordWeak(Invalid):
    """A password has 12 to 200 characters, is not your e-mail address and none that everybody tries first."""

    code = "PASSWORD_WEAK"


class RoleNotFound(NotFound):
    """There is no such role, or none that you may see."""

    code = "ROLE_NOT_FOUND"


class RoleUnclear(Invalid):
    """Say either one of the platform's roles, or CUSTOM together with the id of one of the tenant's own."""

    code = "ROLE_UNCLEAR"


class EmailMalformed(Invalid):
    """That is no e-mail address."""

    code = "EMAIL_MALFORMED"


class AlreadyMember(Conflict):
    """This person belongs to the tenant already."""

    code = "ALREADY_MEMBER"


class InvitationNotFound(NotFound):
    """There is no such invitation, or none that you may see."""

    code = "INVITATION_NOT_FOUND"


class InvitationOver(Expired):
    """This invitation is over: it was accepted, withdrawn, or is more than 7 days old. Ask for a new one."""

    code = "INVITATION_OVER"


class InvitedTooOften(EngineError):
    """Too many invitations within 24 hours: 5 to one address, 200 in all. Wait, or hand over the link you have."""

    code = "INVITED_TOO_OFTEN"


class PersonUnnamed(Invalid):
    """Say what you are called, in 1 to 120 characters."""

    code = "PERSON_UNNAMED"


class SecondFactorNeeded(Forbidden):
    """The password is right; now the code of your authenticator app, or a recovery code, is needed."""

    code = "SECOND_FACTOR_NEEDED"


class SecondFactorRequired(Forbidden):
    """Operators of the platform need a second factor. Set one up first; until then you can do nothing else."""

    code = "SECOND_FACTOR_REQUIRED"


class CodeWrong(Forbidden):
    """That code is not right, or was used before."""

    code = "CODE_WRONG"


class SecondFactorPresent(Conflict):
    """You have a second factor already; remove it before you set up another."""

    code = "SECOND_FACTOR_PRESENT"


class NoSecondFactor(Conflict):
    """There is no second factor to confirm or to remove."""

    code = "NO_SECOND_FACTOR"


class OwnSecondFactor(Forbidden):
    """Nobody resets their own second factor: use a recovery code, or ask somebody who may."""

    code = "OWN_SECOND_FACTOR"


class BelongsElsewhere(Conflict):
    """This account is not your tenant's alone, so only the platform's operator can reset its second factor."""

    code = "BELONGS_ELSEWHERE"


class PersonNotFound(NotFound):
    """Nobody has this e-mail address."""

    code = "PERSON_NOT_FOUND"


class RoleMalformed(Invalid):
    """A role needs a name of 1 to 60 characters."""

    code = "ROLE_MALFORMED"


class RoleNameTaken(Conflict):
    """Another role of the tenant already has this name."""

    code = "ROLE_NAME_TAKEN"


class RoleInUse(Conflict):
    """Somebody has this role, or is invited to it; give them another one first."""

    code = "ROLE_IN_USE"


class RoleStale(Conflict):
    """The role has changed since you saw it; look at it again."""

    code = "VERSION_STALE"
