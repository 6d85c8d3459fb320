"""One operation of one caller: who asks, in which transaction, and what was already fetched for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import strawberry

from engine.alerts import service as alerts
from engine.alerts import telling, timeline
from engine.alerts.model import Alert, AlertNote
from engine.certificates.kept import KeptLists
from engine.certificates.vault import Vault
from engine.commands import service as commands
from engine.commands.model import Command
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.filter import Group
from engine.devices.model import Credential, Device, Presence, Profile
from engine.errors import EngineError, Forbidden
from engine.identity_providers.discovery import Discovery
from engine.notifications.model import Delivery
from engine.rules import firings
from engine.rules import service as rules
from engine.rules.service import Rule
from engine.store.audit import Deed
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import service as telemetry
from engine.telemetry.model import Sample
from engine.tenancy import WITHIN_GROUPS, Principal
from engine.tenants.errors import LimitedToGroups, SecondFactorRequired
from engine.tenants.repeats import Claimed
from resolvers.denials import Denials
from resolvers.loaders import Batch
from schema.directives import Needs
from schema.errors import Unauthenticated
from schema.telemetry import Series

if TYPE_CHECKING:
    from resolvers.budgets import Budgets
    from resolvers.live import Live


@dataclass(frozen=True, slots=True)
class Services:
    """What every operation of this process shares."""

    store: Store
    live: "Live"
    vault: Vault
    oscore_vault: Vault
    """Of devices' contexts alone, which ingest opens too."""
    budgets: "Budgets"
    discovery: Discovery
    sends_mail: bool = False
    """Whether the operator has set up a mail server."""
    denials: Denials = field(default_factory=Denials)
    revocation_lists: KeptLists = field(default_factory=KeptLists)


class RequestContext:
    """What resolvers are handed as ``info.context``; it also fills the Context that the schema's types ask for.

    A query reads in one read-only transaction, opened when the first field needs it. A mutation's root field writes in
    a transaction of its own; what is then read of its answer is read after its COMMIT. ``close`` ends the reading.
    """

    def __init__(self, services: Services, principal: Principal | None) -> None:
        self.services = services
        self._principal = principal
        self._writer: Tx | None = None
        self._reader: Tx | None = None
        self._reading: AbstractAsyncContextManager[Tx] | None = None
        self._opening = asyncio.Lock()
        self._denied: list[Deed] = []
        self.claim: Callable[[Tx], Awaitable[None]] | None = None
        """What a mutation does first in its transaction: claim the request's Idempotency-Key."""
        self.was_claimed_before = False
        self.selected: Selected = {}

    @property
    def principal(self) -> Principal:
        """Who asks; raises Unauthenticated when nobody signed in."""
        if self._principal is None:
            raise Unauthenticated
        return self._principal

    def require(self, scope: str, *, whole: bool = False) -> None:
        """Raise Unauthenticated or Forbidden unless the caller holds ``scope`` (empty: is signed in).

        ``whole``: what is asked for is about the whole tenant; LimitedToGroups for who sees some groups only.
        """
        if self.principal.is_limited and (whole or (scope and scope not in WITHIN_GROUPS)):
            raise LimitedToGroups
        if scope and self.principal.lacks_factor:
            raise SecondFactorRequired
        if scope and not self.principal.may(scope):
            raise Forbidden(f"This needs the right {scope}.", scope=scope)
        assert self.principal

    def may(self, needs: Needs) -> bool:
        """Whether the caller would be let in where this is needed."""
        try:
            self.require(needs.scope, whole=needs.whole)
        except (Unauthenticated, Forbidden):
            return False
        return True

    def again(self) -> "RequestContext":
        """The same caller with nothing fetched yet."""
        return RequestContext(self.services, self._principal)

    async def charge(self, cost: int) -> None:
        """Take an operation's cost from the tenant's budget; raises QuotaExceeded. Strangers get nothing anyway."""
        if self._principal is not None:
            await self.services.budgets.charge(self._principal.tenant_id, cost)

    async def tx(self) -> Tx:
        """The transaction to work in: the mutation's, or the one in which this operation reads."""
        if self._writer is not None:
            return self._writer
        if self._reader is not None:
            return self._reader
        async with self._opening:
            if self._reader is None:
                reading = self.services.store.as_tenant(self.principal, read_only=True)
                self._reader = await reading.__aenter__()
                self._reading = reading
        return self._reader

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Tx]:
        """The transaction of one mutation root field; afterwards everything is read anew."""
        await self.close()
        async with self.services.store.as_tenant(self.principal) as tx:
            if self.claim is not None:
                await self._claim(tx)
            self._writer = tx
            try:
                yield tx
            finally:
                self._writer = None
                self._forget()

    async def turned_away(self, action: str, target: object, error: EngineError) -> None:
        """Note in the audit log, at once, that the caller tried ``action`` (on ``target``) and was turned away.

        Of what is denied again and again little is noted; see Denials.
        """
        if isinstance(error, Forbidden):
            self.denied(action, target, error)
            await self._note()
        elif self._principal is not None:
            await self._write([Deed(action, "", _told(target), None, None, "refused", error.code)])

    def denied(self, action: str, target: object, error: Forbidden) -> None:
        """Remember to note in the audit log, once nothing is being read, that the caller has no right to ``action``."""
        who, told = self._principal, _told(target)
        if who is not None and self.services.denials.is_news(who.tenant_id, who.id, action, told):
            self._denied.append(Deed(action, "", told, None, None, "denied", error.code))

    async def _note(self) -> None:
        deeds, self._denied = self._denied, []
        if deeds:
            await self._write(deeds)

    async def _write(self, deeds: Sequence[Deed]) -> None:
        async with self.services.store.as_tenant(self.principal) as tx:
            tx.deeds.extend(deeds)

    async def _claim(self, tx: Tx) -> None:
        assert self.claim is not None
        try:
            await self.claim(tx)
        except Claimed:
            self.was_claimed_before = True
            raise

    async def close(self) -> None:
        """End the reading transaction, if one was opened; then note what was denied: never two connections at once.

        What was fetched is let go: its loaders know this context, a circle that only the garbage collector would find.
        """
        reading, self._reading, self._reader = self._reading, None, None
        self._forget()
        if reading is not None:
            await reading.__aexit__(None, None, None)
        await self._note()

    def _forget(self) -> None:
        for name in _LOADERS:
            self.__dict__.pop(name, None)

    @cached_property
    def devices(self) -> Batch[UUID, Device]:
        """Devices by id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Device]:
            return await devices.by_ids(await self.tx(), keys)

        return Batch(fetch)

    @cached_property
    def profiles(self) -> Batch[UUID, Profile]:
        """Profiles by id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Profile]:
            return await devices.profiles_by_ids(await self.tx(), keys)

        return Batch(fetch)

    @cached_property
    def presences(self) -> Batch[UUID, Presence]:
        """Presence by device id; a device that never connected is offline."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Presence]:
            return await devices.presence_of(await self.tx(), keys)

        return Batch(fetch, lambda _key: Presence())

    @cached_property
    def groups(self) -> Batch[UUID, Sequence[Group]]:
        """The groups that hold a device, by device id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Sequence[Group]]:
            return await groups.of_devices(await self.tx(), keys)

        return Batch(fetch, lambda _key: ())

    @cached_property
    def latest(self) -> Batch[UUID, Sequence[Sample]]:
        """The newest value of each metric, by device id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Sequence[Sample]]:
            return await telemetry.latest(await self.tx(), keys)

        return Batch(fetch, lambda _key: ())

    @cached_property
    def credentials(self) -> Batch[UUID, Sequence[Credential]]:
        """Credentials by device id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Sequence[Credential]]:
            return await devices.credentials_of(await self.tx(), keys)

        return Batch(fetch, lambda _key: ())

    @cached_property
    def rules(self) -> Batch[UUID, Rule]:
        """Rules by id, deleted ones too."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Rule]:
            return await rules.by_ids(await self.tx(), keys)

        return Batch(fetch)

    @cached_property
    def rule_sentences(self) -> Batch[tuple[UUID, int], str | None]:
        """What rules say in plain words, by id and version."""

        async def fetch(keys: Sequence[tuple[UUID, int]]) -> Mapping[tuple[UUID, int], str | None]:
            return await rules.sentences(await self.tx(), keys)

        return Batch(fetch, lambda _key: None)

    @cached_property
    def alerts(self) -> Batch[UUID, Alert]:
        """Alerts by id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Alert]:
            return await alerts.by_ids(await self.tx(), keys)

        return Batch(fetch)

    @cached_property
    def alert_notes(self) -> Batch[UUID, Sequence[AlertNote]]:
        """What was done and said about an alert, by alert id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Sequence[AlertNote]]:
            return await timeline.of(await self.tx(), keys)

        return Batch(fetch, lambda _key: ())

    @cached_property
    def commands(self) -> Batch[UUID, Command]:
        """Commands by id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Command]:
            return await commands.by_ids(await self.tx(), keys)

        return Batch(fetch)

    @cached_property
    def open_alerts(self) -> Batch[UUID, int]:
        """How many alerts are not cleared, by rule id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, int]:
            return await alerts.open_by_rule(await self.tx(), keys)

        return Batch(fetch, lambda _key: 0)

    @cached_property
    def last_firings(self) -> Batch[UUID, datetime | None]:
        """When a rule last fired, by rule id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, datetime | None]:
            return {**await firings.last(await self.tx(), keys)}

        return Batch(fetch, lambda _key: None)

    @cached_property
    def alert_deliveries(self) -> Batch[UUID, Sequence[Delivery]]:
        """What went out about an alert, by alert id."""

        async def fetch(keys: Sequence[UUID]) -> Mapping[UUID, Sequence[Delivery]]:
            return await telling.sent(await self.tx(), keys)

        return Batch(fetch, lambda _key: ())

    async def series(
        self,
        device_id: UUID,
        profile_id: UUID,
        metric: str,
        start: datetime,
        end: datetime | None,
        bucket: str | None,
        time_zone: str,
        limit: int,
        with_source: bool = False,
    ) -> Series:
        """One metric of one device over a span of time."""
        from resolvers.telemetry import series

        return await series(self, device_id, profile_id, metric, start, end, bucket, time_zone, limit, with_source)


Selected = dict[tuple[int, ...], frozenset[str]]
"""The names of the fields that are asked for below some fields of a document, by these fields' nodes."""
_LOADERS = tuple(name for name, member in vars(RequestContext).items() if isinstance(member, cached_property))


def _told(target: object) -> str:
    return "" if target is None else str(target)[:64]


Info: TypeAlias = "strawberry.Info[RequestContext, None]"
"""What root fields are handed."""
