"""A rule knows how often it was switched off: what it left open before is not taken for what it goes on with."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE rules ADD COLUMN times_off integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE rules DROP COLUMN times_off")
