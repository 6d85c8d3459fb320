"""A command that may be sent by several processes is sent by the one that has noted so in its row (ADR 85).

``handed_until``: until then nobody else sends it. It is all that ingest may change of a command.
"""

from alembic import op

revision = "0049"
down_revision = "0046"
branch_labels = None
depends_on = None

AS_TENANTS = "tenant_id = any ((SELECT app.tenants()::uuid[])::uuid[])"
INGEST = "tidegate_ingest"


def upgrade() -> None:
    op.execute("ALTER TABLE commands ADD COLUMN handed_until timestamptz")
    op.execute(f"GRANT SELECT (handed_until), UPDATE (handed_until) ON commands TO {INGEST}")
    op.execute(
        f"CREATE POLICY handing_out ON commands FOR UPDATE TO {INGEST} USING ({AS_TENANTS}) WITH CHECK ({AS_TENANTS})"
    )


def downgrade() -> None:
    op.execute("DROP POLICY handing_out ON commands")
    op.execute(f"REVOKE SELECT (handed_until), UPDATE (handed_until) ON commands FROM {INGEST}")
    op.execute("ALTER TABLE commands DROP COLUMN handed_until")
