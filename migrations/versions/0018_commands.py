"""Commands to devices: what waits in the database for whoever holds the device's connection.

Ingest reads what waits and tells the journal what became of it; it changes no command itself. The drain does, as the
worker, and the worker ends what nobody answers.

The door ``due`` says from now on what is due as well: ``journal`` (unread entries, or a timer that is over),
``deliveries``, ``alerts`` or ``commands``.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
AS_TENANTS = "tenant_id = any ((SELECT app.tenants()::uuid[])::uuid[])"
APP, WORKER, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "ingest", "door"))

TABLE = """
CREATE TABLE commands (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    command text NOT NULL,
    arguments jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'sent', 'acknowledged', 'succeeded', 'failed', 'rejected',
                                           'timed_out', 'expired', 'cancelled')),
    timeout_s integer NOT NULL CHECK (timeout_s BETWEEN 1 AND 86400),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    due_at timestamptz,
    sent_at timestamptz,
    acknowledged_at timestamptz,
    finished_at timestamptz,
    reason text,
    result jsonb,
    late jsonb,
    rule_id uuid,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices,
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    CHECK ((due_at IS NOT NULL) = (status IN ('queued', 'sent'))),
    CHECK ((finished_at IS NULL) = (status IN ('queued', 'sent', 'acknowledged')))
);
CREATE INDEX commands_newest ON commands (tenant_id, requested_at, id);
CREATE INDEX commands_of_device ON commands (tenant_id, device_id, requested_at, id);
CREATE INDEX commands_queued ON commands (tenant_id, device_id, requested_at, id) WHERE status = 'queued';
CREATE INDEX commands_due ON commands (due_at, tenant_id) WHERE due_at IS NOT NULL;
"""

GRANTS = {
    APP: ("SELECT, INSERT, UPDATE", AS_TENANT),
    WORKER: ("SELECT, INSERT, UPDATE, DELETE", AS_TENANT),
    INGEST: ("SELECT (tenant_id, id, device_id, command, arguments, status, requested_at, expires_at)", AS_TENANTS),
    DOOR: ("SELECT (tenant_id, due_at)", "true"),
}

DUE = """
CREATE FUNCTION app.due() RETURNS TABLE (tenant_id uuid, what text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.tenant_id, 'journal' FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id WHERE h.pos > r.pos
    UNION
    SELECT s.tenant_id, 'journal' FROM rule_state s WHERE s.due_at <= now()
    UNION
    SELECT d.tenant_id, 'deliveries' FROM deliveries d WHERE d.next_at <= now()
    UNION
    SELECT t.tenant_id, 'alerts' FROM alert_tellings t WHERE t.due_at <= now()
    UNION
    SELECT c.tenant_id, 'commands' FROM commands c WHERE c.due_at <= now()
$$
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE commands ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, (rights, condition) in GRANTS.items():
        op.execute(f"GRANT {rights} ON commands TO {role}")
        name = role.removeprefix("tidegate_")
        verb = "FOR SELECT" if rights.startswith("SELECT (") else ""
        check = "" if verb else f"WITH CHECK ({condition})"
        op.execute(f"CREATE POLICY {name} ON commands {verb} TO {role} USING ({condition}) {check}")
    # Whoever is limited to groups of devices sees and issues commands to those only (ADR 30).
    within = "(SELECT app.sees_all()) OR app.sees(device_id)"
    op.execute(f"CREATE POLICY limits ON commands AS RESTRICTIVE TO {APP} USING ({within}) WITH CHECK ({within})")
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute("DROP FUNCTION app.due()")
    op.execute(DUE)
    op.execute("REVOKE ALL ON FUNCTION app.due() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION app.due() TO {WORKER}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("What devices were told would be lost: restore the database instead.")
