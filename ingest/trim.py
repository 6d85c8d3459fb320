"""Keeps a tenant's inbox small: beyond so many messages, or so many days, the oldest go and count as not kept."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson

from engine import clock
from ingest import statements
from ingest.database import Database

log = logging.getLogger(__name__)

SETTLED = "inbox.settled"
"""The journal's kind of what left the inbox; ``engine.inbox`` follows it."""
KEPT_OF_A_TENANT = 20_000
KEPT_DAYS = 90
"""As long as readings: what is older could not be stored by a replay."""

FULL = "SELECT tenant_id FROM rejected GROUP BY tenant_id HAVING count(*) > %s"
BEYOND = """
WITH gone AS (
    DELETE FROM rejected r WHERE r.tenant_id = ANY (%s)
      AND r.id <= (SELECT o.id FROM rejected o WHERE o.tenant_id = r.tenant_id ORDER BY o.id DESC OFFSET %s LIMIT 1)
    RETURNING r.tenant_id, r.device_id, r.received_at, r.rest_seq
), old AS (
    DELETE FROM rejected r WHERE r.tenant_id = ANY (%s) AND r.id < %s AND r.tenant_id <> ALL (%s)
    RETURNING r.tenant_id, r.device_id, r.received_at, r.rest_seq
), both_of AS (SELECT * FROM gone UNION ALL SELECT * FROM old)
SELECT tenant_id, device_id, (extract(epoch FROM date_trunc('hour', received_at, 'UTC')) * 1000)::bigint, count(*),
       count(*) FILTER (WHERE rest_seq IS NULL)
FROM both_of GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
FORGOTTEN = "DELETE FROM faults WHERE last_at < now() - make_interval(days => %s)"


async def trim(database: Database, tenants: Iterable[UUID], most: int = KEPT_OF_A_TENANT, days: int = KEPT_DAYS) -> int:
    """How many messages of these tenants went. Raises psycopg.Error or OSError, and nothing has changed."""
    asked = list(tenants)
    oldest = UUID(int=(clock.now_ms() - days * 86_400_000) << 80)  # ids begin with when they were made
    async with database.transaction() as connection:
        await statements.enter_inbox(connection, asked)
        full = [row[0] for row in await (await connection.execute(FULL, [most])).fetchall()]
        gone = await (await connection.execute(BEYOND, [full, most, asked, oldest, full])).fetchall()
        await connection.execute(FORGOTTEN, [days])
        moved: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for tenant_id, device_id, hour_ms, _, count in gone:  # what was left out of a reading never counted as rejected
            if count:
                moved[tenant_id].append({"device": str(device_id), "at": hour_ms, "counts": [0, 0, 0, 0, 0, count]})
        told = [(tenant_id, SETTLED, orjson.dumps({"moved": rows})) for tenant_id, rows in moved.items()]
        await statements.append(connection, told)
        await connection.execute("COMMIT")
    count = sum(int(row[3]) for row in gone)
    if count:
        log.info("ingest.inbox_trimmed", extra={"messages": count, "tenants": len(moved)})
    return count
