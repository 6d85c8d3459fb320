"""What was left out of stored readings is hidden from ingest processes that do not say they know of it (ADR 79).

One of before 0045 takes such a row for a message that was rejected whole: its replay takes it for a repeat of the
stored reading and throws it away, with what was left out, and its trimming counts it as one that is no more rejected.
"""

from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE POLICY whole ON rejected AS RESTRICTIVE FOR SELECT TO tidegate_ingest "
        "USING (rest_seq IS NULL OR (SELECT current_setting('app.knows_parts', true)) = 'on')"
    )


def downgrade() -> None:
    op.execute("DROP POLICY whole ON rejected")
