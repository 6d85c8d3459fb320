"""People for tests: somebody with a password and a tenant of their own, who belongs to ours as well."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert

from engine.tenancy import SCOPES, Principal, Role
from engine.tenants import doorway
from engine.tenants.model import LoggedIn
from engine.tenants.tables import memberships
from tests.support.tenant import Tenant, found_tenant


@dataclass(frozen=True)
class Colleague:
    """A member of ``tenant`` as ``role``, and the owner of ``home``."""

    tenant: Tenant
    home: Tenant
    role: Role

    @property
    def id(self) -> UUID:
        """The person's id, the same in both tenants."""
        return self.home.user_id

    @property
    def principal(self) -> Principal:
        """The person acting in ``tenant``."""
        return Principal(self.tenant.id, "user", self.id, SCOPES[self.role], self.home.email)

    async def sign_in(self, agent: str = "") -> LoggedIn:
        """A session in ``tenant``."""
        return await sign_in(self.home, self.tenant.key, agent)


async def colleague(tenant: Tenant, role: Role) -> Colleague:
    """Somebody new in ``tenant``."""
    home = await found_tenant(tenant.postgres, tenant.store)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await tx.execute(
            insert(memberships).values(tenant_id=tenant.id, user_id=home.user_id, role=role, created_at=tx.now)
        )
    return Colleague(tenant, home, role)


async def sign_in(owner: Tenant, tenant_key: str | None = None, agent: str = "") -> LoggedIn:
    """A session of a tenant's owner, there or in another tenant."""
    return await doorway.login(
        owner.store, owner.email, owner.password, address="192.0.2.1", agent=agent, tenant_key=tenant_key
    )
