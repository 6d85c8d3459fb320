"""What a whole fleet needs: quarantine, keys given away, erasure, transfer between tenants, and its daily audit.

A device in quarantine is, to whatever lets devices in, a suspended one: the extra column says why, and who may let it
out. So no process that only knows of suspension, an older one during an upgrade say, ever lets it in.

The code of a transfer is spent by whoever enters its sha256 first, which a unique index over all tenants decides: the
digest is of 256 random bits, so that it tells nobody anything (ADR 0023).

A search reads the words of every device of the tenant: under row-level security no index serves LIKE, which is not
leakproof, so that reading must be cheap: lower case is stored, once.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
APP, WORKER, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "door"))

DEVICES = """
ALTER TABLE devices
    ADD COLUMN quarantined_at timestamptz,
    ADD COLUMN quarantine_reason text CHECK (length(quarantine_reason) BETWEEN 1 AND 500),
    ADD COLUMN former_key text,
    ADD COLUMN words text GENERATED ALWAYS AS (lower(key) || E'\\n' || lower(name)) STORED,
    ADD CHECK ((quarantined_at IS NULL) = (quarantine_reason IS NULL)),
    ADD CHECK (quarantined_at IS NULL OR status IN ('suspended', 'decommissioned'));
CREATE INDEX devices_standing ON devices (tenant_id, status, profile_id);
ALTER TABLE certificates
    ADD COLUMN key_sha256 bytea,
    ADD COLUMN key_kind text,
    ADD COLUMN key_bits integer;
CREATE INDEX certificates_key ON certificates (tenant_id, key_sha256);
"""

TABLES = """
CREATE TABLE device_erasures (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    expected bigint NOT NULL,
    erased jsonb NOT NULL DEFAULT '{}',
    drained_to bigint,
    worked_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX device_erasures_open ON device_erasures (tenant_id, requested_at) WHERE finished_at IS NULL;
CREATE TABLE device_transfers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    code_sha256 bytea NOT NULL CHECK (length(code_sha256) = 32),
    to_tenant text,
    offered_by text NOT NULL,
    offered_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX device_transfers_device ON device_transfers (tenant_id, device_id, id);
CREATE TABLE transfer_codes (
    tenant_id uuid NOT NULL REFERENCES tenants,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    giver uuid NOT NULL,
    transfer_id uuid NOT NULL,
    device_id uuid,
    spent_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, secret_sha256),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX transfer_codes_open ON transfer_codes (tenant_id) WHERE settled_at IS NULL;
CREATE TABLE fleet_audits (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    trigger text NOT NULL CHECK (trigger IN ('asked', 'daily')),
    devices integer NOT NULL,
    figures jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX fleet_audits_newest ON fleet_audits (tenant_id, started_at);
CREATE TABLE fleet_findings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    device_id uuid,
    facts jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    resolved_at timestamptz,
    suppressed_at timestamptz,
    suppressed_until timestamptz,
    suppressed_by text,
    suppressed_reason text CHECK (length(suppressed_reason) BETWEEN 1 AND 500),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, kind, subject),
    CHECK ((suppressed_at IS NULL) = (suppressed_reason IS NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX fleet_findings_device ON fleet_findings (tenant_id, device_id);
"""

GRANTS: dict[str, dict[str, str]] = {
    "device_erasures": {APP: "SELECT, INSERT", WORKER: "SELECT, UPDATE", DOOR: "SELECT (tenant_id, finished_at)"},
    "device_transfers": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT, UPDATE"},
    "transfer_codes": {APP: "SELECT, INSERT", WORKER: "SELECT, UPDATE", DOOR: "SELECT (tenant_id, settled_at)"},
    "fleet_audits": {
        APP: "SELECT, INSERT",
        WORKER: "SELECT, INSERT, DELETE",
        DOOR: "SELECT (tenant_id, started_at)",
    },
    "fleet_findings": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT, INSERT, UPDATE, DELETE"},
}

# The worker erases what the request only asks for, audits every night, and ends a device that was handed over.
WORKER_MAY = """
GRANT DELETE ON telemetry, latest, counts, alerts, device_group_members TO tidegate_worker;
GRANT SELECT (tenant_id, id, device_id, kind, created_at, expires_at, revoked_at), UPDATE (revoked_at)
    ON credentials TO tidegate_worker;
GRANT SELECT (tenant_id, credential_id, authority_id, pem, not_before, not_after, key_sha256, key_kind, key_bits),
    UPDATE (key_sha256, key_kind, key_bits) ON certificates TO tidegate_worker;
GRANT UPDATE (key_sha256, key_kind, key_bits) ON certificates TO tidegate_app;
GRANT SELECT (tenant_id, id, certificate, expires_at) ON authorities TO tidegate_worker;
GRANT SELECT (tenant_id, id, name, created_at, expires_at, last_used_at, revoked_at) ON api_tokens TO tidegate_worker;
"""
WORKER_SEES = ("credentials", "certificates", "authorities", "api_tokens")

CHORES = """
CREATE FUNCTION app.tenants_all() RETURNS TABLE (tenant_id uuid, key text, has_chores boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.key,
           EXISTS (SELECT FROM device_erasures e WHERE e.tenant_id = t.id AND e.finished_at IS NULL)
        OR EXISTS (SELECT FROM transfer_codes c WHERE c.tenant_id = t.id AND c.settled_at IS NULL)
        OR NOT EXISTS (SELECT FROM fleet_audits a
                       WHERE a.tenant_id = t.id AND a.started_at > now() - interval '1 day')
    FROM tenants t ORDER BY t.key
$$
"""


def upgrade() -> None:
    op.execute(DEVICES)
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            _policy(table, role, role.removeprefix("tidegate_"))
    op.execute(WORKER_MAY)
    for table in WORKER_SEES:
        _policy(table, WORKER, "worker_fleet")
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute("DROP FUNCTION app.tenants_all()")
    op.execute(CHORES)
    op.execute("REVOKE ALL ON FUNCTION app.tenants_all() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION app.tenants_all() TO {WORKER}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def _policy(table: str, role: str, name: str) -> None:
    condition = "true" if role == DOOR else AS_TENANT
    op.execute(f"CREATE POLICY {name} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")


def downgrade() -> None:
    raise NotImplementedError("What was erased or handed over cannot be taken back: restore the database instead.")
