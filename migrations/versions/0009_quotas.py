"""What a tenant may use, and what it has used.

A missing row or an empty column in ``quotas`` means the platform's default, which is a setting of the processes.
``usage`` has one row per tenant and hour: what came in is added by the drain in its own transaction, what was asked by
the web processes every few seconds. The role worker may delete telemetry, for tenants that keep it for a shorter time
than its partitions live.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants())::uuid[])"

TABLES = """
CREATE TABLE quotas (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    devices integer CHECK (devices >= 0),
    messages_per_s integer CHECK (messages_per_s >= 1),
    values_per_s integer CHECK (values_per_s >= 1),
    storage_days integer CHECK (storage_days BETWEEN 1 AND 90),
    subscriptions integer CHECK (subscriptions >= 0),
    api_cost_per_min integer CHECK (api_cost_per_min >= 1),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE usage (
    tenant_id uuid NOT NULL REFERENCES tenants,
    hour timestamptz NOT NULL,
    messages bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    values bigint NOT NULL DEFAULT 0,
    api_cost bigint NOT NULL DEFAULT 0,
    api_refused bigint NOT NULL DEFAULT 0,
    streams_peak integer NOT NULL DEFAULT 0,
    devices integer,
    PRIMARY KEY (tenant_id, hour)
) WITH (fillfactor = 50);
"""

GRANTS = {
    "quotas": {"app": "SELECT, INSERT, UPDATE", "worker": "SELECT", "ingest": "SELECT"},
    "usage": {"app": "SELECT, INSERT, UPDATE", "worker": "SELECT, INSERT, UPDATE"},
}


def upgrade() -> None:
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            condition = OF_BATCH if role == "ingest" else AS_TENANT
            op.execute(f"GRANT {rights} ON {table} TO tidegate_{role}")
            op.execute(
                f"CREATE POLICY {role} ON {table} TO tidegate_{role} USING ({condition}) WITH CHECK ({condition})"
            )
    op.execute("GRANT DELETE ON telemetry TO tidegate_worker")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON telemetry FROM tidegate_worker")
    for table in reversed(GRANTS):
        op.execute(f"DROP TABLE {table}")
