"""Through which gateway a device has come, and since when: null for nearly all, which came through none.

Beside the presence that is written when a device comes, so that no reading pays for it (ADR 74).
"""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE presence ADD COLUMN through jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE presence DROP COLUMN through")
