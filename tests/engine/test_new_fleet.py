"""What is asked of a fleet that was just registered is read alone and once, whatever the planner knows of it."""

import re
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text

from engine import drain, ids
from engine.alerts import telling
from engine.fleet import audit
from engine.fleet.checks import CHECKS
from engine.rules import reaction, remember
from engine.store.wire import Reading
from engine.telemetry import fold
from infra.local.postgres import Postgres
from tests.support.plans import count_others, most_read, register, watch
from tests.support.tenant import Tenant

FLEET, TALK = 5_000, 20
NAME = re.compile(r"%\((\w+)\)s")
TABLES = ("devices", "latest", "alerts", "rule_state")
_READ_SO_FAR = text(
    "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables "
    "WHERE relname = ANY (CAST(:tables AS text[]))"
)
"""How many rows of these tables the transaction has read, as PostgreSQL counts."""
QUESTIONS = {
    "who is to be told": (Reading(telling._DUE).text, FLEET),
    "profiles": (drain._PROFILES.text, TALK),
    "newest values": (fold._LOAD.text, TALK),
    "what rules know": (Reading(remember._ABOUT).text, TALK),
    "what rules remember": (Reading(reaction._OF_DEVICES).text, TALK),
}
"""Each with how many rows it finds, and may read of any table."""


@pytest.fixture
def fleet(postgres: Postgres, tenant: Tenant) -> list[str]:
    """Devices that were registered all at once, told something and raised alerts, of a tenant not counted yet."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        count_others(connection)
        made = register(connection, tenant.id, FLEET)
        watch(connection, [tenant.id])
        connection.execute(
            "INSERT INTO alert_tellings (tenant_id, alert_id, policy, since, due_at) "
            "SELECT tenant_id, id, 'all', now(), now() FROM alerts WHERE tenant_id = %s",
            [tenant.id],
        )
    return [str(device) for device in made]


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_wanted_of_a_new_fleet_is_read_alone(
    postgres: Postgres, tenant: Tenant, fleet: list[str], question: str
) -> None:
    few = ids.array(fleet[:TALK])
    asked = {"tenant": str(tenant.id), "ids": few, "devices": few, "now": datetime.now(UTC), "most": FLEET}
    named, wanted = QUESTIONS[question]
    statement, given = NAME.sub("%s", named), [asked[name] for name in NAME.findall(named)]
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("SET LOCAL ROLE tidegate_worker")
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [asked["tenant"]])
        assert most_read(connection, statement, *given, of=TABLES) == wanted  # type: ignore[arg-type]
        assert len(connection.execute(statement, given).fetchall()) == wanted  # type: ignore[arg-type]


async def test_an_audit_of_a_new_fleet_reads_it_a_few_times_and_not_once_for_each_device(
    tenant: Tenant, fleet: list[str]
) -> None:
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE devices SET updated_at = now() - interval '1 hour' WHERE tenant_id = %s", [tenant.id]
        )
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        made = await audit.run(tx)
        read = await tx.scalar(_READ_SO_FAR, {"tables": ["devices", "presence", "latest", "credentials"]})
    assert {figure.kind: figure.found for figure in made.figures}["revoked_but_connected"] == len(fleet)
    assert read < 5 * len(CHECKS) * len(fleet)
