"""A tenant's channels and policies, made as the contract makes them."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from engine.certificates.vault import LocalVault
from engine.notifications import channels, contacts, policies, service
from engine.notifications.contacts import Contact
from engine.notifications.model import Channel, Delivery, Message, Outcome, Policy, QuietHours, Step
from engine.store.pool import Store
from tests.support.tenant import Tenant

HOT = Message("alert.raised", "Cold room 7 is too warm", "It is 9.1 °C.", severity="major", link="/alerts")


class Desk:
    """What a test asks of notifications, as the tenant's owner."""

    def __init__(self, tenant: Tenant, store: Store, vault: LocalVault) -> None:
        self.tenant, self.store, self.vault = tenant, store, vault

    async def channel(self, name: str, contact: Contact | None = None) -> Channel:
        """A new channel; e-mail to one address where nothing else is said."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return await channels.create(
                tx, self.vault, name=name, contact=contact or contacts.email([f"{name}@desk.example"])
            )

    async def policy(self, name: str, *steps: Step, quiet_hours: QuietHours | None = None) -> Policy:
        """A new policy for every severity but info."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return await policies.create(
                tx, name=name, steps=steps, severities=["minor", "major", "critical"], quiet_hours=quiet_hours
            )

    async def notify(self, policy: str, message: Message = HOT, *, key: UUID | None = None, step: int = 0) -> Outcome:
        """Tell by a policy."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return await service.notify(tx, policy, message, key=key or uuid4(), step=step)

    async def log(self) -> list[Delivery]:
        """The delivery log, newest first."""
        async with self.store.as_tenant(self.tenant.principal(), read_only=True) as tx:
            return list((await service.page(tx)).items)

    async def see_all(self) -> list[Channel]:
        """Every channel as it stands."""
        async with self.store.as_tenant(self.tenant.principal(), read_only=True) as tx:
            return await channels.listed(tx)

    async def see(self, channel: Channel) -> Channel:
        """The channel as it stands."""
        async with self.store.as_tenant(self.tenant.principal(), read_only=True) as tx:
            return await channels.get(tx, channel.id)


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    """A vault of this test's own."""
    return LocalVault(tmp_path / "vault.key")


@pytest.fixture
def desk(tenant: Tenant, store: Store, vault: LocalVault) -> Desk:
    """Notifications of a fresh tenant."""
    return Desk(tenant, store, vault)
