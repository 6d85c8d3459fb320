"""What rules may do beside raising alerts: derive readings, and say when it is too much, which is counted.

Readers count their turns, so that a worker knows whether another has drained since, if only to let time pass.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
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
# counts: so many actions in that minute (minutes since 1970), by rule id and for all of the tenant's together
PACE = """
CREATE TABLE rule_pace (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    minute bigint NOT NULL,
    counts jsonb NOT NULL
);
ALTER TABLE rule_pace ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    """Tables for notices and for how much was done lately; the worker may store the readings that rules derive."""
    op.execute(NOTICES)
    op.execute(PACE)
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON rule_pace TO {WORKER}")
    op.execute(f"CREATE POLICY worker ON rule_pace TO {WORKER} USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("ALTER TABLE readers ADD COLUMN turn bigint NOT NULL DEFAULT 0")
    for role, rights in ((APP, "SELECT"), (WORKER, "SELECT, INSERT, UPDATE, DELETE")):
        op.execute(f"GRANT {rights} ON rule_notices TO {role}")
        name = role.removeprefix("tidegate_")
        op.execute(f"CREATE POLICY {name} ON rule_notices TO {role} USING ({MINE}) WITH CHECK ({MINE})")
    op.execute(f"GRANT INSERT ON telemetry TO {WORKER}")


def downgrade() -> None:
    """Back to rules that only raise alerts."""
    op.execute(f"REVOKE INSERT ON telemetry FROM {WORKER}")
    op.execute("ALTER TABLE readers DROP COLUMN turn")
    op.execute("DROP TABLE rule_pace")
    op.execute("DROP TABLE rule_notices")
