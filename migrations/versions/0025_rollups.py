"""Hours and days of every metric, kept beside the readings and longer than they are; and how long that is.

``rollup_hours`` and ``rollup_days`` hold a row per device, metric and bucket. ``readers.closed_to`` tells the drain
what is late: the hour of a reading before it is in ``rollup_repairs`` until it has been read again (ADR 55). A tenant's
``retention`` and its profiles' say how long readings are kept, where that is shorter than the platform's longest.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants()::uuid[])::uuid[])"
WITHIN = "(SELECT app.sees_all()) OR app.sees(device_id)"
APP, WORKER, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "ingest", "door"))

TABLES = """
CREATE TABLE rollup_hours (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    metric text NOT NULL,
    start timestamptz NOT NULL,
    n bigint NOT NULL,
    numbers bigint NOT NULL,
    low numeric,
    high numeric,
    total numeric,
    first jsonb NOT NULL,
    last jsonb NOT NULL,
    PRIMARY KEY (tenant_id, device_id, metric, start)
) PARTITION BY RANGE (start);
CREATE TABLE rollup_days (LIKE rollup_hours INCLUDING INDEXES) PARTITION BY RANGE (start);
CREATE TABLE rollup_repairs (
    tenant_id uuid NOT NULL REFERENCES tenants,
    device_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id, hour)
);
CREATE TABLE rollup_progress (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    hours_to timestamptz NOT NULL,
    device_after uuid,
    days_to timestamptz NOT NULL,
    pruned_to timestamptz NOT NULL DEFAULT '-infinity',
    prune_after uuid
) WITH (fillfactor = 50);
CREATE TABLE retention (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    days integer CHECK (days BETWEEN 1 AND 90),
    rollup_days integer CHECK (rollup_days BETWEEN 1 AND 1095),
    updated_at timestamptz NOT NULL
);
ALTER TABLE profiles ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 90);
ALTER TABLE readers ADD COLUMN closed_to timestamptz;
"""

GRANTS: dict[str, dict[str, str]] = {
    "rollup_hours": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE, DELETE"},
    "rollup_days": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE, DELETE"},
    "rollup_repairs": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE, DELETE", DOOR: "SELECT (tenant_id)"},
    "rollup_progress": {
        APP: "SELECT",
        WORKER: "SELECT, INSERT, UPDATE",
        DOOR: "SELECT (tenant_id, hours_to, days_to)",
    },
    "retention": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT", INGEST: "SELECT"},
}
OF_DEVICES = ("rollup_hours", "rollup_days", "rollup_repairs")

# Months of hours and years of days: from what may still come late to what comes next, until the longest is over.
KEEP = """
CREATE FUNCTION app.keep_rollups() RETURNS integer
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    retention interval := interval '90 days';
    kept interval := interval '1095 days';
    changes integer := 0;
    at timestamptz;
    child text;
BEGIN
    FOR at IN SELECT generate_series(date_trunc('month', now() - retention), now() + interval '1 month',
                                     interval '1 month') LOOP
        changes := changes + app.partition('rollup_hours', at, at + interval '1 month', to_char(at, 'YYYYMM'))::int;
    END LOOP;
    FOR at IN SELECT generate_series(date_trunc('year', now() - retention), now() + interval '1 month',
                                     interval '1 year') LOOP
        changes := changes + app.partition('rollup_days', at, at + interval '1 year', to_char(at, 'YYYY'))::int;
    END LOOP;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'rollup_hours'::regclass
          AND c.relname < 'rollup_hours_' || to_char(now() - kept, 'YYYYMM')
        UNION ALL
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'rollup_days'::regclass
          AND c.relname < 'rollup_days_' || to_char(now() - kept, 'YYYY')
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        changes := changes + 1;
    END LOOP;
    RETURN changes;
END $$;
"""

# `maintain` is as it stands but for its last word.
MAINTAIN = """
DO $do$
DECLARE
    said text := pg_get_functiondef('app.maintain()'::regprocedure);
    old constant text := '{old}';
BEGIN
    IF length(said) - length(replace(said, old, '')) <> length(old) THEN
        RAISE EXCEPTION 'app.maintain does not say "%" once', old;
    END IF;
    EXECUTE replace(said, old, '{new}');
END $do$
"""
ALONE, WITH_ROLLUPS = "RETURN changes;", "RETURN changes + app.keep_rollups();"

TENANTS_ALL = """
CREATE FUNCTION app.tenants_all()
RETURNS TABLE (tenant_id uuid, key text, has_chores boolean, has_silence boolean{column})
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.key,
           EXISTS (SELECT FROM device_erasures e WHERE e.tenant_id = t.id AND e.finished_at IS NULL)
        OR EXISTS (SELECT FROM transfer_codes c WHERE c.tenant_id = t.id AND c.settled_at IS NULL)
        OR NOT EXISTS (SELECT FROM fleet_audits a
                       WHERE a.tenant_id = t.id AND a.started_at > now() - interval '1 day'),
           EXISTS (SELECT FROM silence_watches s WHERE s.tenant_id = t.id AND s.due_at <= now()){said}
    FROM tenants t ORDER BY t.key
$$
"""
# An hour is closed five minutes after its end.
HAS_ROLLUPS = """,
           EXISTS (SELECT FROM rollup_repairs r WHERE r.tenant_id = t.id)
        OR NOT EXISTS (SELECT FROM rollup_progress p
                       WHERE p.tenant_id = t.id AND p.days_to >= date_trunc('day', p.hours_to, 'UTC')
                         AND p.hours_to >= date_trunc('hour', now() - interval '5 minutes', 'UTC'))"""


def upgrade() -> None:
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            condition = {DOOR: "true", INGEST: OF_BATCH}.get(role, AS_TENANT)
            name = role.removeprefix("tidegate_")
            op.execute(f"CREATE POLICY {name} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")
    for table in OF_DEVICES:
        op.execute(f"CREATE POLICY limits ON {table} AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN})")
    for command, clause in (("INSERT", "WITH CHECK"), ("UPDATE", "USING")):
        op.execute(
            f"CREATE POLICY limits_{command.lower()} ON retention AS RESTRICTIVE FOR {command} TO {APP} "
            f"{clause} ((SELECT app.sees_all()))"
        )
    op.execute(KEEP)
    op.execute(MAINTAIN.format(old=ALONE, new=WITH_ROLLUPS))
    op.execute("SELECT app.keep_rollups()")
    _tenants_all(", has_rollups boolean", HAS_ROLLUPS)


def downgrade() -> None:
    """Readings are there as before; what was kept of older ones goes."""
    _tenants_all("", "")
    op.execute(MAINTAIN.format(old=WITH_ROLLUPS, new=ALONE))
    op.execute("DROP FUNCTION app.keep_rollups()")
    for table in reversed(GRANTS):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE profiles DROP COLUMN retention_days")
    op.execute("ALTER TABLE readers DROP COLUMN closed_to")


def _tenants_all(column: str, said: str) -> None:
    """As the door, whom the function belongs to."""
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute("DROP FUNCTION app.tenants_all()")
    op.execute(TENANTS_ALL.format(column=column, said=said))
    op.execute("REVOKE ALL ON FUNCTION app.tenants_all() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION app.tenants_all() TO {WORKER}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")
