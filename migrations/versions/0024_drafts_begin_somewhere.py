"""A draft knows the version of its rule that it was begun on, so that publishing it undoes nothing unseen."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drafts that were there before do not know; they are published as before."""
    op.execute("ALTER TABLE public.rule_drafts ADD COLUMN rule_version integer CHECK (rule_version > 0)")


def downgrade() -> None:
    """Forget it."""
    op.execute("ALTER TABLE public.rule_drafts DROP COLUMN rule_version")
