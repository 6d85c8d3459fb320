"""How devices introduce themselves: public keys to log in with, ways in for new devices, and the queue before the gate.

A way in (a provisioner) is a provisioning key, a claim certificate or an authority that a tenant has registered. What
asks to come in is an enrolment. The role ingest may note that a device with an unknown certificate has knocked, and see
what became of it; to let it in is the gateway's, as the tenant.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants())::uuid[])"
APP, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "ingest", "door"))

# The secret_sha256 of a jwt is a random handle, never the digest of anything: no password can be it.
KEYS = """
ALTER TABLE credentials DROP CONSTRAINT credentials_kind_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_kind_check CHECK (kind IN ('token', 'x509', 'jwt'));
ALTER TABLE credentials ADD COLUMN public_key bytea;
ALTER TABLE credentials ADD CONSTRAINT credentials_public_key_check CHECK ((kind = 'jwt') = (public_key IS NOT NULL));
"""

PROVISIONERS = """
CREATE TABLE provisioners (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('key', 'claim', 'authority')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    mode text NOT NULL CHECK (mode IN ('create', 'preregistered')),
    profile_id uuid,
    needs_approval boolean NOT NULL,
    rule jsonb,
    max_uses integer CHECK (max_uses >= 1),
    uses integer NOT NULL DEFAULT 0,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    certificate text,
    created_by text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, secret_sha256),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES profiles,
    CHECK (uses <= max_uses),
    CHECK (mode = 'preregistered' OR profile_id IS NOT NULL),
    CHECK ((kind = 'key') = (certificate IS NULL))
);
CREATE TABLE provisioner_groups (
    tenant_id uuid NOT NULL,
    provisioner_id uuid NOT NULL,
    group_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, provisioner_id, group_id),
    FOREIGN KEY (tenant_id, provisioner_id) REFERENCES provisioners,
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_groups ON DELETE CASCADE
);
"""

# claimed: showed a claim certificate and holds an ownership token. asked: knocked at ingest, nobody has looked yet.
ENROLMENTS = """
CREATE TABLE enrolments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    provisioner_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('claimed', 'asked', 'pending', 'approved', 'refused', 'done')),
    proof text NOT NULL CHECK (proof IN ('token', 'csr', 'key', 'certificate')),
    material bytea,
    material_sha256 bytea NOT NULL CHECK (length(material_sha256) = 32),
    ticket_sha256 bytea CHECK (length(ticket_sha256) = 32),
    device_key text,
    name text,
    labels jsonb NOT NULL DEFAULT '{}',
    profile_id uuid,
    groups uuid[] NOT NULL DEFAULT '{}',
    reason text,
    device_id uuid,
    address text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, ticket_sha256),
    FOREIGN KEY (tenant_id, provisioner_id) REFERENCES provisioners,
    FOREIGN KEY (tenant_id, profile_id) REFERENCES profiles,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE UNIQUE INDEX enrolments_knocks ON enrolments (tenant_id, material_sha256) WHERE proof = 'certificate';
CREATE INDEX enrolments_status ON enrolments (tenant_id, status, id);
CREATE INDEX enrolments_device ON enrolments (tenant_id, device_key);
"""

# table → {role: rights}
GRANTS: dict[str, dict[str, str]] = {
    "provisioners": {
        APP: "SELECT, INSERT, UPDATE",
        DOOR: "SELECT (tenant_id, id, kind, certificate, revoked_at)",
    },
    "provisioner_groups": {APP: "SELECT, INSERT, DELETE"},
    "enrolments": {
        APP: "SELECT, INSERT, UPDATE, DELETE",
        INGEST: "SELECT (tenant_id, proof, material_sha256, status, reason), INSERT (tenant_id, id, provisioner_id, "
        "status, proof, material, material_sha256, address, asked_at, expires_at)",
    },
}

# No tenant and no device have an empty key: by these two the certificate alone says who it is. No digest is empty:
# with that one, the door tells by which public keys the device may prove itself, and nobody has logged in yet.
CREDENTIAL = """
CREATE FUNCTION app.credential(p_tenant_key text, p_device_key text, p_secret_sha256 bytea)
RETURNS TABLE (tenant_id uuid, device_id uuid, credential_id uuid, session_epoch bigint, expires_at timestamptz,
               refusal text, tenant_key text, device_key text, secret_sha256 bytea, public_key bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found record;
    epoch bigint;
    may_live boolean;
    refused text;
BEGIN
    IF p_secret_sha256 = '' THEN
        RETURN QUERY
        SELECT c.tenant_id, c.device_id, c.id, NULL::bigint, c.expires_at, NULL::text, t.key, d.key,
               c.secret_sha256, c.public_key
        FROM tenants t
        JOIN devices d ON d.tenant_id = t.id AND d.key = p_device_key
        JOIN credentials c ON c.tenant_id = d.tenant_id AND c.device_id = d.id AND c.kind = 'jwt'
        WHERE t.key = p_tenant_key
        ORDER BY c.revoked_at IS NOT NULL, c.id DESC LIMIT 20;
        RETURN;
    END IF;
    SELECT c.tenant_id, c.device_id, c.id AS credential_id, c.expires_at, d.status, t.key AS tenant_key,
           d.key AS device_key, c.revoked_at IS NOT NULL OR c.expires_at <= now() AS is_dead,
           t.suspended_at IS NOT NULL AS is_suspended
    INTO found
    FROM credentials c
    JOIN devices d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
    JOIN tenants t ON t.id = c.tenant_id
    WHERE c.secret_sha256 = p_secret_sha256
      AND CASE c.kind WHEN 'x509' THEN p_tenant_key = '' AND p_device_key = ''
                      ELSE t.key = p_tenant_key AND d.key = p_device_key END;
    refused := CASE WHEN found IS NULL THEN 'bad_credentials'
                    WHEN found.is_dead OR found.status = 'decommissioned' THEN 'revoked'
                    WHEN found.is_suspended OR found.status = 'suspended' THEN 'suspended' END;
    IF refused IS NOT NULL THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::timestamptz, refused,
                            NULL::text, NULL::text, NULL::bytea, NULL::bytea;
        RETURN;
    END IF;
    INSERT INTO presence AS p (tenant_id, device_id, session_epoch)
    VALUES (found.tenant_id, found.device_id, 1)
    ON CONFLICT (tenant_id, device_id) DO UPDATE SET session_epoch = p.session_epoch + 1
    RETURNING p.session_epoch, p.session_epoch > 1 AND (p.is_online OR p.seen_epoch < p.session_epoch - 1)
    INTO epoch, may_live;
    IF may_live THEN  -- unless presence has followed the newest session to its end
        PERFORM pg_notify('tidegate_changed', format('login:%s:%s', found.device_id, epoch));
    END IF;
    RETURN QUERY SELECT found.tenant_id, found.device_id, found.credential_id, epoch, found.expires_at, NULL::text,
                        found.tenant_key, found.device_key, NULL::bytea, NULL::bytea;
END $$
"""

# Whom an ingest process believes at the TLS handshake. A provisioner's id: its devices may introduce themselves, as
# long as the authority is not revoked; what it has signed so far stays believed.
AUTHORITIES = """
CREATE FUNCTION app.authorities() RETURNS TABLE (certificate text, tenant_id uuid, provisioner_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.certificate, a.tenant_id, NULL::uuid FROM authorities a
    UNION ALL
    SELECT p.certificate, p.tenant_id, CASE WHEN p.revoked_at IS NULL THEN p.id END
    FROM provisioners p WHERE p.kind = 'authority'
    ORDER BY 2, 3 NULLS FIRST
$$
"""


def upgrade() -> None:
    for part in (KEYS, PROVISIONERS, ENROLMENTS):
        op.execute(part)
    for table, grants in GRANTS.items():
        _policies(table, grants)
    _doors(
        "DROP FUNCTION app.credential(text, text, bytea)",
        "DROP FUNCTION app.authorities()",
        CREDENTIAL,
        AUTHORITIES,
        "REVOKE ALL ON FUNCTION app.credential(text, text, bytea), app.authorities() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION app.credential(text, text, bytea), app.authorities() TO {INGEST}",
    )


def _policies(table: str, grants: dict[str, str]) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, rights in grants.items():
        condition = {DOOR: "true", INGEST: OF_BATCH}.get(role, AS_TENANT)
        policy = role.removeprefix("tidegate_")
        op.execute(f"GRANT {rights} ON {table} TO {role}")
        op.execute(f"CREATE POLICY {policy} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")


def _doors(*statements: str) -> None:
    """Run as the door, whom its functions belong to; it may create them only for as long as this lasts."""
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    for statement in statements:
        op.execute(statement)
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("Devices that came in cannot be sent back: restore the database instead.")
