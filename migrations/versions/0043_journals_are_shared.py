"""A tenant's journal may be shared by several readers, each for a part of its devices (ADR 78).

``shares`` of them read it. Where as many are ``wanted`` as there are not, each goes on to ``until`` and waits there for
the others. And ``due`` asks for no reader that has just taken something: whoever told it more has woken it, too.
"""

from alembic import op

revision = "0043"
down_revision = "0040"
branch_labels = None
depends_on = None

WORKER, DOOR = "tidegate_worker", "tidegate_door"

COLUMNS = """
ALTER TABLE readers
    ADD COLUMN shares smallint NOT NULL DEFAULT 1 CHECK (shares BETWEEN 1 AND 16),
    ADD COLUMN wanted smallint CHECK (wanted BETWEEN 1 AND 16),
    ADD COLUMN until bigint,
    ADD CHECK ((wanted IS NULL) = (until IS NULL))
"""

DUE = """
CREATE OR REPLACE FUNCTION app.due() RETURNS TABLE (tenant_id uuid, what text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.tenant_id, 'journal' FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id
    WHERE h.pos > r.pos{stands}
    UNION
    SELECT s.tenant_id, 'journal' FROM rule_state s WHERE s.due_at <= now()
    UNION
    SELECT d.tenant_id, 'deliveries' FROM deliveries d WHERE d.next_at <= now()
    UNION
    SELECT t.tenant_id, 'alerts' FROM alert_tellings t WHERE t.due_at <= now()
    UNION
    SELECT c.tenant_id, 'commands' FROM commands c WHERE c.due_at <= now()
$$
"""
# A reader whose last entry is of the future stands, too: the clock was set back, and may be for hours.
STANDS = " AND r.at NOT BETWEEN now() - interval '700 ms' AND now()"


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(f"GRANT DELETE ON readers TO {WORKER}")
    _due(STANDS)


def downgrade() -> None:
    """Where one reader follows each journal: of several none could go on for the others."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM readers WHERE shares > 1) THEN "
        "RAISE EXCEPTION 'Let one reader follow each journal first: tidegate readers TENANT 1.'; END IF; END $$"
    )
    _due("")
    op.execute(f"REVOKE DELETE ON readers FROM {WORKER}")
    op.execute("ALTER TABLE readers DROP COLUMN shares, DROP COLUMN wanted, DROP COLUMN until")


def _due(stands: str) -> None:
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute(DUE.format(stands=stands))
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")
