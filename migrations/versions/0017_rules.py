"""What rules may do beside raising alerts: readings of their own, and notices when it is too much."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

APP, WORKER = "tidegate_app", "tidegate_worker"
MINE = "tenant_id = (SELECT app.tenant())"

NOTICES = """
CREATE TABLE rule_notices (
    tenant_id uuid NOT NULL REFERENCES tenants,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 40),
    kind text NOT NULL CHECK (kind IN ('storm', 'quota', 'loop', 'refused')),
    message text NOT NULL CHECK (length(message) <= 500),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, subject, kind)
);
ALTER TABLE rule_notices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    """A table for notices; the worker may store the readings that rules derive."""
    op.execute(NOTICES)
    for role, rights in ((APP, "SELECT"), (WORKER, "SELECT, INSERT, UPDATE, DELETE")):
        op.execute(f"GRANT {rights} ON rule_notices TO {role}")
        name = role.removeprefix("tidegate_")
        op.execute(f"CREATE POLICY {name} ON rule_notices TO {role} USING ({MINE}) WITH CHECK ({MINE})")
    op.execute(f"GRANT INSERT ON telemetry TO {WORKER}")


def downgrade() -> None:
    """Back to rules that only raise alerts."""
    op.execute(f"REVOKE INSERT ON telemetry FROM {WORKER}")
    op.execute("DROP TABLE rule_notices")
