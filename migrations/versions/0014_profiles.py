"""Profiles say more: how often a device reports, its commands, its shadow; and who said so when. Silence is watched.

``silence_watches`` has a row per tenant that expects reports; the worker looks when it is due (ADR 0032). Presence then
knows from when a device's reports are expected, and since when they have not come: nobody pays for it per message.
The daily fleet audit sees registered authorities, as the one that is asked for does.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
APP, WORKER, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "door"))

PROFILES = """
ALTER TABLE profiles
    ADD COLUMN reporting_interval_s integer CHECK (reporting_interval_s BETWEEN 1 AND 2592000),
    ADD COLUMN commands jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN shadow jsonb NOT NULL DEFAULT '[]';
CREATE TABLE profile_versions (
    tenant_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    version integer NOT NULL,
    declared jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, profile_id, version),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES profiles
);
-- The history of what is there already begins with how it stands; nobody's name was kept.
ALTER TABLE profiles NO FORCE ROW LEVEL SECURITY;
INSERT INTO profile_versions
SELECT tenant_id, id, version, jsonb_build_object('name', name, 'metrics', metrics, 'is_strict', is_strict,
       'reporting_interval_s', NULL, 'commands', commands, 'shadow', shadow), '', updated_at FROM profiles;
ALTER TABLE profiles FORCE ROW LEVEL SECURITY;
"""

SILENCE = """
ALTER TABLE presence
    ADD COLUMN watched_from timestamptz,
    ADD COLUMN silent_since timestamptz;
CREATE INDEX presence_silent ON presence (tenant_id, device_id) WHERE silent_since IS NOT NULL;
CREATE TABLE silence_watches (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    since timestamptz NOT NULL,
    due_at timestamptz NOT NULL
) WITH (fillfactor = 50);
"""

GRANTS: dict[str, dict[str, str]] = {
    "profile_versions": {APP: "SELECT, INSERT"},
    "silence_watches": {
        APP: "SELECT, INSERT, UPDATE",
        WORKER: "SELECT, UPDATE, DELETE",
        DOOR: "SELECT (tenant_id, due_at)",
    },
}

TENANTS_ALL = """
CREATE FUNCTION app.tenants_all() RETURNS TABLE (tenant_id uuid, key text, has_chores boolean, has_silence boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.key,
           EXISTS (SELECT FROM device_erasures e WHERE e.tenant_id = t.id AND e.finished_at IS NULL)
        OR EXISTS (SELECT FROM transfer_codes c WHERE c.tenant_id = t.id AND c.settled_at IS NULL)
        OR NOT EXISTS (SELECT FROM fleet_audits a
                       WHERE a.tenant_id = t.id AND a.started_at > now() - interval '1 day'),
           EXISTS (SELECT FROM silence_watches s WHERE s.tenant_id = t.id AND s.due_at <= now())
    FROM tenants t ORDER BY t.key
$$
"""

AUDITED = {
    "provisioners": "tenant_id, id, kind, name, certificate, revoked_at",
    "enrolments": "tenant_id, provisioner_id, status, device_id",
}
"""Table → what the worker reads of it, to tell which registered authorities are weak or about to end."""


def upgrade() -> None:
    op.execute(PROFILES)
    op.execute(SILENCE)
    for table, columns in AUDITED.items():
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO {WORKER}")
        op.execute(f"CREATE POLICY worker ON {table} FOR SELECT TO {WORKER} USING ({AS_TENANT})")
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            condition = "true" if role == DOOR else AS_TENANT
            policy = role.removeprefix("tidegate_")
            op.execute(f"CREATE POLICY {policy} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute("DROP FUNCTION app.tenants_all()")
    op.execute(TENANTS_ALL)
    op.execute("REVOKE ALL ON FUNCTION app.tenants_all() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION app.tenants_all() TO {WORKER}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("What was declared would be lost: restore the database instead.")
