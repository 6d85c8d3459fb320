"""People for tests: somebody with a password and a tenant of their own, who belongs to ours as well."""

import base64
import time
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import insert

from engine import ids
from engine.store.pool import Store
from engine.tenancy import SCOPES, Principal, Role
from engine.tenants import doorway, invitations, platform, second_factor
from engine.tenants.model import LoggedIn
from engine.tenants.tables import memberships
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant, found_tenant, owner_of


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


class Pocket:
    """A vault for as long as one looks at it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, bytes], bytes] = {}

    async def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """A word for what is kept."""
        word = ids.token("sealed").encode()
        self._kept[word, purpose] = plain
        return word

    async def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """What the word is for."""
        return self._kept[sealed, purpose]


@dataclass(frozen=True)
class Operator:
    """Somebody who operates the platform and belongs to nothing else."""

    store: Store
    platform_id: UUID
    id: UUID
    email: str
    password: str

    @property
    def principal(self) -> Principal:
        """The operator at work."""
        return Principal(self.platform_id, "user", self.id, SCOPES[Role.PLATFORM], self.email)

    recovery: list[str] = field(default_factory=list)  # codes of their second factor that are not used yet

    async def begin(self) -> LoggedIn:
        """A first session, when there is no second factor yet: it can only set one up."""
        return await doorway.login(self.store, self.email, self.password, address="192.0.2.9")

    async def sign_in(self) -> LoggedIn:
        """A session of the platform's, with a second factor, which is set up the first time."""
        vault = Pocket()
        if self.recovery:
            code = self.recovery.pop()
            return await doorway.login(self.store, self.email, self.password, code=code, address="192.0.2.9")
        entered = await self.begin()
        held = replace(self.principal, session_id=entered.session_id)
        async with self.store.as_tenant(held) as tx:
            secret, _ = await second_factor.enrol(tx, vault, password=self.password)
        code = second_factor.code_at(base64.b32decode(secret), int(time.time() // second_factor.STEP_S))
        async with self.store.as_tenant(held) as tx:
            codes, _ = await second_factor.confirm(tx, vault, code=code)
        self.recovery.extend(codes)
        return entered


async def found_operator(postgres: Postgres, store: Store) -> Operator:
    """A new operator, invited as `tidegate operator` does."""
    email, password = f"operator@{ids.uuid7().hex[-8:]}.example", ids.token("pw")
    secret = await platform.invite_operator(owner_of(postgres), email)
    assert secret is not None
    entered = await invitations.accept(store, secret, name="An Operator", password=password)
    return Operator(store, entered.membership.tenant_id, entered.user.id, email, password)
