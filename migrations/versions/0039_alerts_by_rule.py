"""The alerts of one rule by time: when it last fired, and the newest of them, without reading all of them."""

from alembic import op

revision = "0039"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX alerts_rule ON alerts (tenant_id, rule_id, raised_at, id)")


def downgrade() -> None:
    op.execute("DROP INDEX alerts_rule")
