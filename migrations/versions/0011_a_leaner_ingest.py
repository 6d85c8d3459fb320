"""What an ingest transaction costs, made smaller where it was measured (ADR 27).

Three things a row paid for: the set of tenants was parsed from text again for every row that a policy looked at; ON
CONFLICT probed the key's index before inserting into it; and the journal's body was squeezed by pglz, though it is read
once and gone in an hour.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Inside the subquery the cast is made once a statement; the outer one is none, it only says that this is an array.
POLICIES = """
DO $$
DECLARE
    held record;
    a_row constant text := '(( SELECT app.tenants() AS tenants))::uuid[]';
    a_statement constant text := '( SELECT app.tenants()::uuid[])::uuid[]';
BEGIN
    FOR held IN
        SELECT tablename, policyname, replace(qual, a_row, a_statement) AS qual,
               replace(with_check, a_row, a_statement) AS with_check
        FROM pg_policies
        WHERE strpos(qual, a_row) > 0 OR strpos(with_check, a_row) > 0
    LOOP
        EXECUTE format('ALTER POLICY %I ON %I', held.policyname, held.tablename)
            || coalesce(' USING ' || held.qual, '') || coalesce(' WITH CHECK ' || held.with_check, '');
    END LOOP;
END $$;
"""

# A key that is there already now raises unique_violation; the caller takes it like TG409 and goes step by step.
INGEST = """
CREATE OR REPLACE FUNCTION app.ingest(
    p_tenants text,
    p_tenant uuid[], p_device uuid[], p_time timestamptz[], p_seq bigint[], p_received timestamptz[], p_values jsonb[],
    p_rejected json, j_tenants uuid[], j_kinds text[], j_bodies json[]
) RETURNS void
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    stored bigint := 0;
BEGIN
    PERFORM set_config('app.tenants', p_tenants, true);
    IF p_tenant <> '{}' THEN
        INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)
        SELECT d.tenant_id, d.id, r.time, r.seq, r.received_at, r.values
        FROM unnest(p_tenant, p_device, p_time, p_seq, p_received, p_values)
             AS r (tenant_id, device_id, time, seq, received_at, values)
        CROSS JOIN LATERAL (
            -- OFFSET 0 keeps it one look-up a row by the primary key, whatever the planner thinks of a table that it
            -- has not analysed: with the status inside, an index on that looked as good, and read 35 pages a row
            SELECT d.tenant_id, d.id, d.status FROM devices d
            WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id OFFSET 0
        ) d
        WHERE d.status IN ('provisioned', 'active');
        GET DIAGNOSTICS stored = ROW_COUNT;
        IF stored <> array_length(p_tenant, 1) THEN
            RAISE EXCEPTION 'some devices take no readings' USING ERRCODE = 'TG409';
        END IF;
    END IF;
    IF p_rejected IS NOT NULL THEN
        PERFORM app.reject(p_rejected);
    END IF;
    PERFORM app.append(j_tenants, j_kinds, j_bodies);
END $$;
"""

# The partitions that are there, and with them those to come: `app.partition` copies the storage of the parent.
JOURNAL = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT 'journal'::regclass
                UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'journal'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN body SET STORAGE EXTERNAL', part);
    END LOOP;
END $$;
"""

# What 0002 says of the empty table was forgotten when 0008 wrote it anew: it is said again.
FIRST_GUESS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_proc WHERE proname = 'pg_restore_relation_stats')  -- PostgreSQL 18
       AND NOT EXISTS (SELECT FROM pg_class WHERE oid = 'devices'::regclass AND reltuples > 0) THEN
        PERFORM pg_restore_relation_stats('schemaname', 'public', 'relname', 'devices',
            'relpages', 2000::integer, 'reltuples', 100000::real);
        PERFORM pg_restore_attribute_stats('schemaname', 'public', 'relname', 'devices', 'attname', 'tenant_id',
            'inherited', false, 'null_frac', 0::real, 'avg_width', 16::integer, 'n_distinct', 5::real);
        PERFORM pg_restore_attribute_stats('schemaname', 'public', 'relname', 'devices', 'attname', 'id',
            'inherited', false, 'null_frac', 0::real, 'avg_width', 16::integer, 'n_distinct', -1::real);
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute(POLICIES)
    op.execute(INGEST)
    op.execute(JOURNAL)
    op.execute(FIRST_GUESS)


def downgrade() -> None:
    raise NotImplementedError("Nothing but speed would be lost by going on: restore the database instead.")
