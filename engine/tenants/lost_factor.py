"""A lost second factor, taken away by somebody else: an admin of the only tenant, or the platform's operator."""

from uuid import UUID

from engine.store.tx import Tx
from engine.tenants import errors, members
from engine.tenants.passwords import ask_password
from engine.tenants.person import Person, known, myself, take_factor


async def of_member(tx: Tx, user_id: UUID, *, password: str) -> int:
    """Take a member's second factor away; how many of their sessions that ended. ``password`` is that of who acts.

    The member is told of it whenever they look, until they have a new one. Raises NotAPerson, PasswordWrong,
    TooManyTries, MemberNotFound, RoleTooWide, OwnSecondFactor, NoSecondFactor, and BelongsElsewhere for who is in other
    tenants too: one second factor guards them all.
    """
    me, _ = await myself(tx)
    member = await members.refuse_above(tx, user_id)
    await ask_password(me, password)
    found = await known(tx, member.user.email)
    if found is None or found[0].id != user_id:  # a person of the tenant's own, who signs in by its provider
        raise errors.NoSecondFactor
    if any(each.tenant_id != tx.principal.tenant_id for each in found[1]):
        raise errors.BelongsElsewhere
    return await _take(tx, found[0], me)


async def of_anybody(tx: Tx, email: str, *, password: str) -> int:
    """As the platform's operator, of whoever has this address; the log of each of their tenants says so.

    Raises as ``of_member`` does, and PersonNotFound, also for who belongs to no tenant.
    """
    me, _ = await myself(tx)
    await ask_password(me, password)
    found = await known(tx, email.strip())
    if found is None:
        raise errors.PersonNotFound
    return await _take(tx, found[0], me)


async def _take(tx: Tx, person: Person, by: Person) -> int:
    if person.id == by.id:
        raise errors.OwnSecondFactor
    if not person.has_second_factor:
        raise errors.NoSecondFactor
    ended = await take_factor(tx, person.id, by)
    if ended is None:  # they joined another tenant, or who acts has a new password, at this very moment
        raise errors.BelongsElsewhere
    tx.audit("second_factor.reset", "user", person.id, after={"email": person.email, "sessions_ended": ended})
    return ended
