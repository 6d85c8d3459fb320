"""A reading says how it came, and ingest writes how far its values can be trusted (ADR 61).

``telemetry.source`` is the number of `engine.telemetry.provenance`: two bytes, in the padding of most rows.
``app.ingest`` takes it, and the column ``quality`` that has been there from the start; the function of the version
before stays for processes of that version.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

# Where TimescaleDB keeps it, telemetry is a view: its columns are named when it is made (ADR 50).
COLUMN = """
DO $$
BEGIN
    IF to_regclass('series.telemetry') IS NOT NULL THEN
        ALTER TABLE series.telemetry ADD COLUMN source smallint;
    END IF;
    IF (SELECT relkind <> 'v' FROM pg_class WHERE oid = 'public.telemetry'::regclass) THEN
        ALTER TABLE public.telemetry ADD COLUMN source smallint;
    ELSE
        CREATE OR REPLACE VIEW public.telemetry WITH (security_barrier) AS
        SELECT * FROM series.telemetry
        WHERE tenant_id = ANY ((SELECT app.whose())::uuid[])
          AND ((SELECT app.sees_all())
               OR CASE WHEN (SELECT app.reads_many()) THEN device_id IN (SELECT app.seen())
                  ELSE app.sees(device_id) END)
        WITH CASCADED CHECK OPTION;
    END IF;
END $$;
"""

# As `engine.store.timescale` makes it where a server has TimescaleDB from now on.
READINGS = """
DO $$
BEGIN
    IF to_regproc('app.readings') IS NULL THEN
        RETURN;
    END IF;
    DROP FUNCTION app.readings;
    EXECUTE $made$
    CREATE FUNCTION app.readings(
        p_device uuid, p_from timestamptz, p_after bigint, p_to timestamptz, p_metrics text[], p_newest_first boolean,
        p_most bigint, p_is_marked_enough boolean DEFAULT false
    ) RETURNS TABLE ("time" timestamptz, seq bigint, received_at timestamptz, "values" jsonb, quality jsonb,
                     source smallint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $body$
    DECLARE
        after constant bigint := coalesce(p_after, -9223372036854775808);
    BEGIN
        IF p_newest_first THEN
            RETURN QUERY SELECT t.time, t.seq, t.received_at, t.values, t.quality, t.source FROM series.telemetry t
            WHERE t.tenant_id = (SELECT app.tenant()) AND (SELECT app.sees_all())
              AND t.device_id = p_device AND t.time >= p_from AND (t.time, t.seq) > (p_from, after) AND t.time < p_to
              AND (p_metrics IS NULL OR t.values ?| p_metrics OR (p_is_marked_enough AND t.quality ?| p_metrics))
            ORDER BY t.time DESC, t.seq DESC LIMIT p_most;
        ELSE
            RETURN QUERY SELECT t.time, t.seq, t.received_at, t.values, t.quality, t.source FROM series.telemetry t
            WHERE t.tenant_id = (SELECT app.tenant()) AND (SELECT app.sees_all())
              AND t.device_id = p_device AND t.time >= p_from AND (t.time, t.seq) > (p_from, after) AND t.time < p_to
              AND (p_metrics IS NULL OR t.values ?| p_metrics OR (p_is_marked_enough AND t.quality ?| p_metrics))
            ORDER BY t.time, t.seq LIMIT p_most;
        END IF;
    END $body$
    $made$;
    GRANT EXECUTE ON FUNCTION app.readings TO tidegate_app, tidegate_worker;
END $$;
"""

INGEST = """
CREATE FUNCTION app.ingest(
    p_tenants text,
    p_tenant uuid[], p_device uuid[], p_time timestamptz[], p_seq bigint[], p_received timestamptz[], p_values jsonb[],
    p_source smallint[], p_quality jsonb[],
    p_rejected json, j_tenants uuid[], j_kinds text[], j_bodies json[]
) RETURNS void
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    stored bigint := 0;
BEGIN
    PERFORM set_config('app.tenants', p_tenants, true);
    IF p_tenant <> '{}' THEN
        -- Where all is good p_quality is NULL, and so is each of its elements.
        INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values, quality, source)
        SELECT d.tenant_id, d.id, r.time, r.seq, r.received_at, r.values, r.quality, r.source
        FROM unnest(p_tenant, p_device, p_time, p_seq, p_received, p_values, p_quality, p_source)
             AS r (tenant_id, device_id, time, seq, received_at, values, quality, source)
        CROSS JOIN LATERAL (
            SELECT d.tenant_id, d.id, d.status FROM devices d
            WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id OFFSET 0  -- one look-up a row: 0011
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
GRANT EXECUTE ON FUNCTION app.ingest(
    text, uuid[], uuid[], timestamptz[], bigint[], timestamptz[], jsonb[], smallint[], jsonb[], json, uuid[], text[],
    json[]
) TO tidegate_ingest;
"""


def upgrade() -> None:
    op.execute(COLUMN)
    op.execute(READINGS)
    op.execute(INGEST)


def downgrade() -> None:
    raise NotImplementedError("What readings say of themselves would be lost: restore the database instead.")
