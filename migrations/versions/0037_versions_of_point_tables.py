"""The versions of a gateway's point table that were replaced, the table of the edge's own file, and larger tables."""

from alembic import op

revision = "0037"
down_revision = "0034"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
WITHIN = "(SELECT app.sees_all()) OR app.sees(device_id)"
APP, WORKER = "tidegate_app", "tidegate_worker"

LARGER = """
ALTER TABLE point_tables
    DROP CONSTRAINT point_tables_text_check,
    ADD CONSTRAINT point_tables_text_check CHECK (octet_length(text) <= 1048576),
    ADD COLUMN file_text text CHECK (octet_length(file_text) <= 1048576)
"""

TABLE = """
CREATE TABLE point_table_versions (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    text text NOT NULL CHECK (octet_length(text) <= 1048576),
    points integer NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id, version),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
)
"""

GRANTS = {APP: "SELECT, INSERT, DELETE", WORKER: "SELECT, DELETE"}


def upgrade() -> None:
    op.execute(LARGER)
    op.execute(TABLE)
    op.execute("ALTER TABLE point_table_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON point_table_versions TO {role}")
        name = role.removeprefix("tidegate_")
        op.execute(
            f"CREATE POLICY {name} ON point_table_versions TO {role} USING ({AS_TENANT}) WITH CHECK ({AS_TENANT})"
        )
    op.execute(
        f"CREATE POLICY limits ON point_table_versions AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN})"
    )


def downgrade() -> None:
    raise NotImplementedError("What edges were told to read would be lost: restore the database instead.")
