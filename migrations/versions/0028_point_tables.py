"""Point tables that the platform keeps for its gateways' edges, and what each edge last said of its own.

Ingest sends the newest table to whoever holds a connection and runs another; the drain notes, as the worker, what the
edge answers.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants()::uuid[])::uuid[])"
WITHIN = "(SELECT app.sees_all()) OR app.sees(device_id)"
APP, WORKER, INGEST = (f"tidegate_{role}" for role in ("app", "worker", "ingest"))

TABLE = """
CREATE TABLE point_tables (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    version integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    text text NOT NULL DEFAULT '' CHECK (octet_length(text) <= 122880),
    points integer NOT NULL DEFAULT 0,
    changed_by text,
    changed_at timestamptz,
    said_at timestamptz,
    running_version integer,
    running_points integer,
    running_since timestamptz,
    refused_version integer,
    problems jsonb NOT NULL DEFAULT '[]',
    is_local boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices,
    CHECK ((version = 0) = (changed_at IS NULL))
)
"""

GRANTS = {
    APP: ("SELECT, INSERT, UPDATE", AS_TENANT),
    WORKER: ("SELECT, INSERT, UPDATE, DELETE", AS_TENANT),
    INGEST: ("SELECT (tenant_id, device_id, version, text, running_version, refused_version, is_local)", OF_BATCH),
}


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE point_tables ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, (rights, condition) in GRANTS.items():
        op.execute(f"GRANT {rights} ON point_tables TO {role}")
        name = role.removeprefix("tidegate_")
        verb = "FOR SELECT" if role == INGEST else ""
        check = "" if verb else f"WITH CHECK ({condition})"
        op.execute(f"CREATE POLICY {name} ON point_tables {verb} TO {role} USING ({condition}) {check}")
    op.execute(f"CREATE POLICY limits ON point_tables AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN})")


def downgrade() -> None:
    raise NotImplementedError("What edges were told to read would be lost: restore the database instead.")
