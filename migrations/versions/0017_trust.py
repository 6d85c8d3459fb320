"""Rules that are tried before they act: drafts, watching without acting, and what they noted."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

APP, WORKER = "tidegate_app", "tidegate_worker"
MINE = "tenant_id = (SELECT app.tenant())"
ALL = "(SELECT app.sees_all())"

# A rule that only watches is evaluated like one that acts: is_enabled says that it is evaluated, is_shadow that it
# notes what it would do and does nothing.
TABLES = """
ALTER TABLE rules ADD COLUMN is_shadow boolean NOT NULL DEFAULT false;
ALTER TABLE rule_versions ADD COLUMN changes jsonb NOT NULL DEFAULT '[]';
CREATE TABLE rule_drafts (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    rule_id uuid,
    document jsonb NOT NULL CHECK (pg_column_size(document) <= 262144),
    version integer NOT NULL DEFAULT 1,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules
);
CREATE UNIQUE INDEX rule_drafts_rule ON rule_drafts (tenant_id, rule_id) WHERE rule_id IS NOT NULL;
CREATE TABLE rule_firings (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    device_id uuid NOT NULL,
    episode bigint NOT NULL,
    fired_at timestamptz NOT NULL,
    reason text NOT NULL,
    why jsonb NOT NULL,
    would jsonb NOT NULL,
    cleared_at timestamptz,
    cleared_reason text,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX rule_firings_rule ON rule_firings (tenant_id, rule_id, fired_at, id);
CREATE INDEX rule_firings_open ON rule_firings (tenant_id, rule_id, device_id, episode) WHERE cleared_at IS NULL;
"""

GRANTS = {
    "rule_drafts": {APP: "SELECT, INSERT, UPDATE, DELETE"},
    "rule_firings": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE, DELETE"},
}
WITHIN = {"rule_drafts": ALL, "rule_firings": f"{ALL} OR app.sees(device_id)"}


def upgrade() -> None:
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            name = role.removeprefix("tidegate_")
            op.execute(f"CREATE POLICY {name} ON {table} TO {role} USING ({MINE}) WITH CHECK ({MINE})")
        # Whoever is limited to groups of devices reads rules, writes none, and sees what happened to their devices.
        within = WITHIN[table]
        op.execute(f"CREATE POLICY limits ON {table} AS RESTRICTIVE TO {APP} USING ({within}) WITH CHECK ({within})")


def downgrade() -> None:
    raise NotImplementedError("Drafts would be lost: restore the database instead.")
