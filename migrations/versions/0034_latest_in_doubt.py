"""Which of a device's latest values are in doubt, beside them: null where all are good, as nearly everywhere.

A column of its own, so that a process of the version before, which knows of values alone, reads on as it did.
"""

from alembic import op

revision = "0034"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE latest ADD COLUMN quality jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE latest DROP COLUMN quality")
