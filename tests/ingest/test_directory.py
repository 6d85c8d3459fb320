"""How devices are found: each by its own key, whatever the planner knows of the table."""

import psycopg

from infra.local.postgres import Postgres
from ingest import children, directory, downlink, statements
from tests.support.plans import count_others, most_read, register
from tests.support.tenant import Tenant

FLEET = 5_000


def test_a_device_is_found_by_itself_in_a_fleet_that_was_just_registered_and_told_something(
    postgres: Postgres, tenant: Tenant
) -> None:
    with psycopg.connect(postgres.url("superuser")) as connection:
        count_others(connection, 1, 200)  # one that is large, and hundreds of which Postgres expects next to nothing
        count_others(connection, 300, 4)
        made = register(connection, tenant.id, FLEET)
        connection.execute(
            "INSERT INTO commands (tenant_id, id, device_id, command, arguments, status, timeout_s, requested_by, "
            "requested_at, expires_at, due_at) SELECT tenant_id, id, id, 'open', '{}', 'queued', 60, 'a rule', "
            "clock_timestamp(), now() + interval '1 day', now() FROM devices WHERE tenant_id = %s",
            [tenant.id],
        )
        connection.execute("SET LOCAL ROLE tidegate_ingest")
        for option in ("enable_seqscan", "enable_bitmapscan"):  # as `ingest.database` connects
            connection.execute("SELECT set_config(%s, 'off', true)", [option])
        connection.execute(statements.ENTER, [f"{{{tenant.id}}}"])
        tenants, devices, keys = [tenant.id] * 20, made[1:21], [f"d{n}" for n in range(2, 22)]
        found = connection.execute(directory.FIND, [90, tenants, devices]).fetchall()  # type: ignore[arg-type]
        assert {row[0] for row in found} == {*devices}
        below = connection.execute(children.FIND, [tenants, ["d1"] * 20, keys]).fetchall()
        assert {row[1] for row in below} == {*devices}
        assert most_read(connection, directory.FIND, 90, tenants, devices) == 20
        assert most_read(connection, children.FIND, tenants, ["d1"] * 20, keys) == 20
        assert most_read(connection, downlink.WAITING, tenants, devices) == 20
        assert most_read(connection, downlink.HAND_OUT, 15.0, tenants, devices, devices) == 20
        waiting = connection.execute(downlink.WAITING, [tenants, devices]).fetchall()  # type: ignore[arg-type]
        assert [(row[2], row[6] > 0) for row in waiting] == [(device, True) for device in devices]
