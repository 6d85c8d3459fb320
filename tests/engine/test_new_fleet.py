"""What the worker asks of devices it meets for the first time: each by its own key, whatever the planner knows."""

import re
from datetime import UTC, datetime

import psycopg
import pytest

from engine import drain, ids
from engine.alerts import telling
from engine.rules import reaction, remember
from engine.store.wire import Reading
from engine.telemetry import fold
from infra.local.postgres import Postgres
from tests.support.plans import count_others, most_read, register, watch
from tests.support.tenant import Tenant

FLEET, TALK = 5_000, 20
NAME = re.compile(r"%\((\w+)\)s")
TABLES = ("devices", "latest", "alerts", "rule_state")
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
