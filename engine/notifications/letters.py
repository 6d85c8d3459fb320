"""Letters to one person about their account: an invitation, a second factor that somebody took away."""

from datetime import datetime

from engine import ids
from engine.notifications import clocks, messages, service
from engine.store.tx import Tx
from engine.tenants.invitations import address_of
from engine.tenants.second_factor import Vault


async def invite(tx: Tx, vault: Vault, *, to: str, tenant: str, until: datetime, link: str) -> None:
    """Mail an invitation's ``link``, a path that holds its secret: sealed, and wiped once it has gone."""
    ends = clocks.told(until, await clocks.tenants_zone(tx))
    message = messages.invitation(tenant=tenant, by=tx.principal.name or "Somebody", until=ends)
    await service.mail(tx, vault, address_of(to), message, key=ids.uuid7(), secret_link=link)


async def factor_taken(tx: Tx, vault: Vault, *, to: str) -> None:
    """Tell somebody that their second factor was taken away, and by whom."""
    message = messages.factor_reset(by=tx.principal.name or "Somebody")
    await service.mail(tx, vault, address_of(to), message, key=ids.uuid7())
