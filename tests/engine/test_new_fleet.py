"""What the worker asks of devices it meets for the first time: each by its own key, whatever the planner knows."""

import re

import psycopg
import pytest

from engine import drain, ids
from engine.rules import remember
from engine.store.wire import Reading
from engine.telemetry import fold
from infra.local.postgres import Postgres
from tests.support.plans import count_others, most_read, register
from tests.support.tenant import Tenant

FLEET, TALK = 5_000, 20
NAME = re.compile(r"%\((\w+)\)s")
QUESTIONS = {
    "profiles": drain._PROFILES.text,
    "newest values": fold._LOAD.text,
    "what rules know": Reading(remember._ABOUT).text,
}


@pytest.fixture
def fleet(postgres: Postgres, tenant: Tenant) -> list[str]:
    """Devices that were registered all at once, and have told something, of a tenant not counted yet."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        count_others(connection)
        made = register(connection, tenant.id, FLEET)
        connection.execute(
            "INSERT INTO latest (tenant_id, device_id, values, received_at) "
            "SELECT tenant_id, id, '{}', now() FROM devices WHERE tenant_id = %s",
            [tenant.id],
        )
    return [str(device) for device in made]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_few_devices_of_a_new_fleet_are_read_alone(
    postgres: Postgres, tenant: Tenant, fleet: list[str], question: str
) -> None:
    asked = {"tenant": str(tenant.id), "ids": ids.array(fleet[:TALK])}
    statement = NAME.sub("%s", QUESTIONS[question])
    given = [asked[name] for name in NAME.findall(QUESTIONS[question])]
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("SET LOCAL ROLE tidegate_worker")
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [asked["tenant"]])
        assert len(connection.execute(statement, given).fetchall()) == TALK  # type: ignore[arg-type]
        read = [most_read(connection, statement, *given, of=table) for table in ("devices", "latest")]  # type: ignore[arg-type]
        assert max(read) == TALK
