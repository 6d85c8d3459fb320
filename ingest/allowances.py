"""The allowances of all tenants that this process has heard: their quotas read, and split with the other processes."""

import asyncio
import logging
from uuid import UUID

import psycopg

from engine.quotas import shares
from engine.quotas.model import Quotas
from engine.quotas.shares import Shares
from ingest import statements
from ingest.database import Database
from ingest.quota import Allowance

log = logging.getLogger(__name__)

OWN = "SELECT tenant_id, messages_per_s, values_per_s FROM quotas"

_MENTIONED = 0.05
"""Who uses less than this part of a quota does not trouble the other processes with it."""


class Allowances:
    """By tenant. One that is heard for the first time has the platform's default until its own quota is read."""

    def __init__(self, base: Quotas, database: Database, others: Shares | None = None) -> None:
        self._base = base
        self._database = database
        self._shares = others
        self._by_tenant: dict[UUID, Allowance] = {}
        self._unread: set[UUID] = set()
        self._used: dict[UUID, tuple[float, float]] = {}

    def of(self, tenant_id: UUID) -> Allowance:
        """The tenant's allowance; the same object for the life of the process."""
        allowance = self._by_tenant.get(tenant_id)
        if allowance is None:
            allowance = Allowance(self._base.messages_per_s, self._base.values_per_s)
            self._by_tenant[tenant_id] = allowance
            self._used[tenant_id] = (0.0, 0.0)
            self._unread.add(tenant_id)
        return allowance

    def changed(self, tenant_id: UUID) -> None:
        """A NOTIFY came: this tenant's quota is to be read anew."""
        if tenant_id in self._by_tenant:
            self._unread.add(tenant_id)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._unread |= self._by_tenant.keys()

    async def run(self) -> None:
        """Once a second: read what is not known, tell and hear what is used. Until cancelled."""
        while True:
            await asyncio.sleep(shares.until_next())
            if self._unread:
                await self._read()
            if self._shares is not None:
                await self._split(self._shares)

    async def close(self) -> None:
        """Give the connections back."""
        await self._database.drop()
        if self._shares is not None:
            await self._shares.close()

    async def _read(self) -> None:
        asked, self._unread = self._unread, set()
        try:
            async with self._database.transaction() as connection:
                await statements.enter(connection, asked)
                rows = await (await connection.execute(OWN)).fetchall()
                await connection.execute("COMMIT")
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("ingest.quotas_unavailable", extra={"error": type(error).__name__})
            self._unread |= asked  # until then what was known, or the default, holds
            return
        own = {row[0]: {"messages_per_s": row[1], "values_per_s": row[2]} for row in rows}
        for tenant_id in asked:
            quotas = self._base.but(own.get(tenant_id))
            self._by_tenant[tenant_id].become(quotas.messages_per_s, quotas.values_per_s)

    async def _split(self, others: Shares) -> None:
        used = {tenant_id: self._since(tenant_id) for tenant_id in self._by_tenant}
        others.tell({(tenant, "ingest"): part for tenant, part in used.items() if part >= _MENTIONED})
        await others.exchange()
        for tenant_id, part in used.items():
            self._by_tenant[tenant_id].split(shares.share(part, others.others((tenant_id, "ingest")), 1.0))

    def _since(self, tenant_id: UUID) -> float:
        """What was used since the last look, as part of a second's quota: of messages or of values, the larger."""
        allowance, (messages, values) = self._by_tenant[tenant_id], self._used[tenant_id]
        now = self._used[tenant_id] = allowance.used
        return max((now[0] - messages) / allowance.messages_per_s, (now[1] - values) / allowance.values_per_s)
