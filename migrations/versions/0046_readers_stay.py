"""A reader stays with the worker that knows its devices, for as long as that one comes back in time (ADR 81).

``kept_by``: the worker that comes back to it by itself; until ``kept_until`` no other one takes it.
"""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE readers ADD COLUMN kept_by uuid, ADD COLUMN kept_until timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE readers DROP COLUMN kept_by, DROP COLUMN kept_until")
