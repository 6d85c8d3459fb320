"""What rules saw where they did not fire, now and then; and a tenant's own time zone.

A row tells one look: the condition as a tree with the values seen, and a sentence. They are few: the worker takes some
a minute, and forgets all but the newest of each rule and device.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

APP, WORKER = "tidegate_app", "tidegate_worker"
MINE = "tenant_id = (SELECT app.tenant())"
WITHIN = "(SELECT app.sees_all()) OR app.sees(device_id)"
GRANTS = {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE, DELETE"}

TABLE = """
CREATE TABLE rule_non_firings (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    device_id uuid NOT NULL,
    looked_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    phase text NOT NULL CHECK (phase IN ('ok', 'pending')),
    verdict boolean,
    is_near boolean NOT NULL,
    reason text NOT NULL,
    why jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX rule_non_firings_rule ON rule_non_firings (tenant_id, rule_id, looked_at, id);
CREATE INDEX rule_non_firings_device ON rule_non_firings (tenant_id, device_id, looked_at, id);
"""

# Times of day without a zone of their own go by it, where the device does not say where it is either.
ZONE = f"""
ALTER TABLE tenants ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) BETWEEN 1 AND 64);
GRANT UPDATE (time_zone) ON tenants TO {APP};
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE rule_non_firings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON rule_non_firings TO {role}")
        name = role.removeprefix("tidegate_")
        op.execute(f"CREATE POLICY {name} ON rule_non_firings TO {role} USING ({MINE}) WITH CHECK ({MINE})")
    op.execute(
        f"CREATE POLICY limits ON rule_non_firings AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN})"
    )
    op.execute(ZONE)


def downgrade() -> None:
    raise NotImplementedError("What was set would be lost: restore the database instead.")
