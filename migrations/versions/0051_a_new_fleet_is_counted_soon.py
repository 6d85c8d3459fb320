"""A fleet that joins a large platform is counted within about a minute, and not once a tenth of all devices are new.

Until Postgres has counted a tenant's devices it expects none of them, and may read all to find one.
"""

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE devices SET (autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 200)")


def downgrade() -> None:
    op.execute("ALTER TABLE devices RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold)")
