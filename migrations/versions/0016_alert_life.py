"""The life of an alert: whose it is, what was said about it, until when it is quiet, and whom to tell next.

``alert_tellings`` holds, for each alert and policy, when the next step of telling is due: the worker takes what is due
together, so that a hundred devices with the same trouble are one message.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
APP, WORKER, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "door"))

ALERTS = """
ALTER TABLE alerts
    ADD COLUMN assigned_to uuid,
    ADD COLUMN assigned_name text,
    ADD COLUMN snoozed_until timestamptz,
    ADD COLUMN silenced_until timestamptz,
    ADD COLUMN silence_id uuid;
CREATE INDEX alerts_assigned ON alerts (tenant_id, assigned_to, raised_at, id) WHERE assigned_to IS NOT NULL;
"""

TABLES = """
CREATE TABLE alert_events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    alert_id uuid NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('acknowledged', 'assigned', 'commented', 'snoozed', 'woken', 'silenced', 'told',
                                       'not_told')),
    by text NOT NULL,
    text text CHECK (length(text) BETWEEN 1 AND 2000),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alerts ON DELETE CASCADE
);
CREATE INDEX alert_events_alert ON alert_events (tenant_id, alert_id, id);
CREATE TABLE alert_tellings (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    policy text NOT NULL,
    step integer NOT NULL DEFAULT 0,
    since timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    message text,
    PRIMARY KEY (tenant_id, alert_id, policy),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alerts ON DELETE CASCADE
);
CREATE INDEX alert_tellings_due ON alert_tellings (due_at, tenant_id);
CREATE TABLE silences (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    rule_id uuid,
    device_id uuid,
    group_id uuid,
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices,
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_groups ON DELETE CASCADE,
    CHECK (from_at < until_at)
);
CREATE INDEX silences_open ON silences (tenant_id, until_at) WHERE ended_at IS NULL;
"""

GRANTS: dict[str, dict[str, str]] = {
    "alert_events": {APP: "SELECT, INSERT", WORKER: "SELECT, INSERT, DELETE"},
    "alert_tellings": {
        APP: "SELECT, UPDATE, DELETE",
        WORKER: "SELECT, INSERT, UPDATE, DELETE",
        DOOR: "SELECT (tenant_id, due_at)",
    },
    "silences": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT"},
}

# Whoever is limited to groups of devices: what belongs to an alert is as visible as the alert (ADR 30).
SEES_ALERT = """
CREATE FUNCTION app.sees_alert(p_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM public.alerts a WHERE a.tenant_id = app.tenant() AND a.id = p_id);
END $$;
"""
ALL = "(SELECT app.sees_all())"
WITHIN = {
    "alert_events": "app.sees_alert(alert_id)",
    "alert_tellings": "app.sees_alert(alert_id)",
    "silences": "device_id IS NOT NULL AND app.sees(device_id)",
}


def upgrade() -> None:
    op.execute(ALERTS)
    op.execute(TABLES)
    op.execute(SEES_ALERT)
    op.execute(f"GRANT EXECUTE ON FUNCTION app.sees_alert(uuid) TO {APP}")
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            condition = "true" if role == DOOR else AS_TENANT
            name = role.removeprefix("tidegate_")
            op.execute(f"CREATE POLICY {name} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")
        within = f"{ALL} OR {WITHIN[table]}"
        op.execute(f"CREATE POLICY limits ON {table} AS RESTRICTIVE TO {APP} USING ({within}) WITH CHECK ({within})")


def downgrade() -> None:
    raise NotImplementedError("What was said about alerts would be lost: restore the database instead.")
