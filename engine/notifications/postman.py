"""The postman: sends what is due, a few deliveries at a time, each outside any transaction.

Take (a transaction), send, note what became of it (a transaction). Whatever dies between the second and the third
leaves a delivery that is sent again with the same id. Each delivery is a task of its own: one that takes long keeps
only its own channel waiting, and neither drains nor ticks.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from engine.errors import EngineError, Unavailable
from engine.notifications import channels, clocks, leases, messages, service, webhook
from engine.notifications.errors import ChannelNotFound, Undelivered
from engine.notifications.leases import Leased
from engine.notifications.mail import Mail
from engine.notifications.model import Channel, ChannelKind
from engine.outbound.fetch import Outbound
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import system
from engine.tenants.second_factor import Vault

log = logging.getLogger(__name__)

AT_ONCE = 12
"""So many deliveries of one process are under way; fewer than the guard of outgoing requests lets through at once."""
OF_TENANT = 6
NO_MAIL = "Mail is not set up on this platform (TIDEGATE_SMTP_URL, TIDEGATE_MAIL_FROM)."


@dataclass(frozen=True, slots=True)
class Ways:
    """What there is to send with. ``origin``: the address of the console, for links."""

    vault: Vault
    outbound: Outbound
    mail: Mail | None
    origin: str
    dead_days: float = 3


class Postman:
    """Sends the deliveries of the tenants it is told of."""

    def __init__(self, store: Store, ways: Ways) -> None:
        self._store = store
        self._ways = ways
        self._under_way: Counter[UUID] = Counter()
        self._has_more: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: set[UUID] = set()

    def wake(self, tenant_ids: Iterable[UUID]) -> None:
        """These tenants have something due; returns at once."""
        for tenant_id in tenant_ids:
            if tenant_id not in self._looking:
                self._looking.add(tenant_id)
                self._start(self._look(tenant_id))

    async def rest(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _look(self, tenant_id: UUID) -> None:
        """Take what there is room for, and begin to send it."""
        try:
            room = min(OF_TENANT - self._under_way[tenant_id], AT_ONCE - self._under_way.total())
            if room <= 0:
                self._has_more.add(tenant_id)
                return
            self._under_way[tenant_id] += room  # kept free while the rows are taken: others look at the same time
            taken: list[Leased] = []
            try:
                async with self._store.as_tenant(system(tenant_id)) as tx:
                    taken = await leases.take(tx, room)
            finally:
                self._give_back(tenant_id, room - len(taken))
            # Of one channel only a few are under way at once: while something is taken, more may wait for its turn.
            (self._has_more.add if taken else self._has_more.discard)(tenant_id)
            for leased in taken:
                self._start(self._deliver(tenant_id, leased))
        except Unavailable:
            log.warning("postman.unavailable")
        finally:
            self._looking.discard(tenant_id)

    async def _deliver(self, tenant_id: UUID, leased: Leased) -> None:
        """Send one delivery and note what became of it; what cannot be noted is sent again when its lease is over."""
        try:
            trouble = await self._try(tenant_id, leased)
            async with self._store.as_tenant(system(tenant_id)) as tx:
                await self._note(tx, leased, trouble)
            told = {"tenant": str(tenant_id), "delivery": str(leased.id), "channel": leased.kind.value}
            if trouble is None:
                log.info("delivery.arrived", extra=told)
            else:
                log.info("delivery.failed", extra=told | {"attempt": leased.attempts, "is_final": trouble.is_final})
        except Unavailable:
            log.warning("postman.unavailable")
        except Exception:  # a mistake of ours: this delivery waits for its lease to end, the others go on
            log.exception("postman.failed", extra={"tenant": str(tenant_id), "delivery": str(leased.id)})
        finally:
            self._give_back(tenant_id, 1)
            self.wake(self._has_more)

    def _give_back(self, tenant_id: UUID, places: int) -> None:
        self._under_way[tenant_id] -= places
        if not self._under_way[tenant_id]:
            del self._under_way[tenant_id]

    async def _try(self, tenant_id: UUID, leased: Leased) -> Undelivered | None:
        try:
            channel = await self._channel(tenant_id, leased)
            await self._send(tenant_id, leased, channel)
        except Undelivered as trouble:
            return trouble
        except ChannelNotFound:
            return Undelivered(channels.GONE, is_final=True)
        except EngineError as trouble:  # the vault is sealed, say
            return Undelivered(trouble.message)
        except Exception:  # a mistake of ours, or something nobody has thought of: it is tried again, and given up
            log.exception("postman.failed", extra={"tenant": str(tenant_id), "delivery": str(leased.id)})
            return Undelivered("Something went wrong on our side.")
        return None

    async def _channel(self, tenant_id: UUID, leased: Leased) -> Channel | None:
        if leased.channel_id is None:
            return None
        async with self._store.as_tenant(system(tenant_id), read_only=True) as tx:
            return await channels.get(tx, leased.channel_id)

    async def _send(self, tenant_id: UUID, leased: Leased, channel: Channel | None) -> None:
        ways, link = self._ways, None
        if leased.secret is not None:
            opened = await ways.vault.open(leased.secret, service.purpose(tenant_id, leased.id))
            link = str(orjson.loads(opened)["link"])
        message = leased.message(link)
        if leased.kind is ChannelKind.EMAIL:
            if ways.mail is None:
                raise Undelivered(NO_MAIL, is_final=True)
            await ways.mail.send(message, to=leased.target, delivery_id=leased.id, origin=ways.origin)
            return
        if channel is None:
            raise Undelivered(channels.GONE, is_final=True)
        secrets = await channels.secrets(ways.vault, tenant_id, channel)
        if leased.kind is ChannelKind.WEBHOOK:
            await webhook.send(
                ways.outbound,
                message,
                url=secrets["url"],
                key=secrets["key"],
                delivery_id=leased.id,
                created_at=leased.created_at,
                now=datetime.now(UTC),
                origin=ways.origin,
            )
            return
        from engine.notifications import chat  # apprise takes half a second to import, and not everybody needs it

        await chat.send(
            leased.kind, message, to=leased.target, settings=channel.settings, secrets=secrets, origin=ways.origin
        )

    async def _note(self, tx: Tx, leased: Leased, trouble: Undelivered | None) -> None:
        if trouble is None:
            await leases.arrived(tx, leased)
            return
        off = await leases.failed(tx, leased, trouble, self._ways.dead_days)
        if off is None or self._ways.mail is None:
            return
        message = messages.channel_disabled(
            name=off["name"],
            target=off["target"],
            failures=off["failures"],
            since=clocks.told(off["last_success_at"] or off["failing_since"], await clocks.tenants_zone(tx)),
            last_error=trouble.words,
        )
        await service.mail_owners(tx, message, key=uuid5(off["id"], f"off {off['version']}"))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
