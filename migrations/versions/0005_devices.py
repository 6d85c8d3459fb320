"""What fleets need beyond one device: certificates, groups, and logins that are told to every process.

The door for credentials also finds a certificate by its fingerprint, and tells every ingest process of a login when an
older session of that device may still live (``login:{device}:{epoch}``), so that whoever holds it closes it. The role
ingest may read the newest epoch, for the check after notifications may have been missed.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants())::uuid[])"
APP, WORKER, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "ingest", "door"))

# A certificate is a credential whose secret_sha256 is the certificate's fingerprint: public, hence a kind of its own.
CERTIFICATES = """
ALTER TABLE credentials DROP CONSTRAINT credentials_kind_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_kind_check CHECK (kind IN ('token', 'x509'));
CREATE TABLE authorities (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    certificate text NOT NULL,
    sealed_key bytea NOT NULL,
    vault text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id)
);
CREATE TABLE certificates (
    tenant_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    authority_id uuid NOT NULL,
    serial text NOT NULL CHECK (serial ~ '^[0-9a-f]{1,40}$'),
    pem text NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, credential_id),
    UNIQUE (tenant_id, authority_id, serial),
    FOREIGN KEY (tenant_id, credential_id) REFERENCES credentials,
    FOREIGN KEY (tenant_id, authority_id) REFERENCES authorities
);
"""

# A group with a filter holds whatever the filter finds; one without holds its members.
GROUPS = """
CREATE TABLE device_groups (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    key text NOT NULL CHECK (key ~ '^[A-Za-z0-9_-]{1,40}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    filter jsonb,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key)
);
CREATE TABLE device_group_members (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    device_id uuid NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, group_id, device_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_groups ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX device_group_members_device ON device_group_members (tenant_id, device_id);
"""

# table → {role: rights}; the door sees the authorities' certificates, never their keys
GRANTS: dict[str, dict[str, str]] = {
    "authorities": {APP: "SELECT, INSERT", DOOR: "SELECT (tenant_id, id, certificate)"},
    "certificates": {APP: "SELECT, INSERT"},
    "device_groups": {APP: "SELECT, INSERT, UPDATE, DELETE", WORKER: "SELECT"},
    "device_group_members": {APP: "SELECT, INSERT, DELETE", WORKER: "SELECT"},
}

# No tenant and no device have an empty key: by these two the certificate alone says who it is.
CREDENTIAL = """
CREATE FUNCTION app.credential(p_tenant_key text, p_device_key text, p_secret_sha256 bytea)
RETURNS TABLE (tenant_id uuid, device_id uuid, credential_id uuid, session_epoch bigint, expires_at timestamptz,
               refusal text, tenant_key text, device_key text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found record;
    epoch bigint;
    may_live boolean;
    refused text;
BEGIN
    SELECT c.tenant_id, c.device_id, c.id AS credential_id, c.expires_at, d.status, t.key AS tenant_key,
           d.key AS device_key, c.revoked_at IS NOT NULL OR c.expires_at <= now() AS is_dead,
           t.suspended_at IS NOT NULL AS is_suspended
    INTO found
    FROM credentials c
    JOIN devices d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
    JOIN tenants t ON t.id = c.tenant_id
    WHERE c.secret_sha256 = p_secret_sha256
      AND CASE c.kind WHEN 'token' THEN t.key = p_tenant_key AND d.key = p_device_key
                      WHEN 'x509' THEN p_tenant_key = '' AND p_device_key = '' END;
    refused := CASE WHEN found IS NULL THEN 'bad_credentials'
                    WHEN found.is_dead OR found.status = 'decommissioned' THEN 'revoked'
                    WHEN found.is_suspended OR found.status = 'suspended' THEN 'suspended' END;
    IF refused IS NOT NULL THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::timestamptz, refused,
                            NULL::text, NULL::text;
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
                        found.tenant_key, found.device_key;
END $$
"""

# Whom an ingest process believes at the TLS handshake; certificates are public.
AUTHORITIES = """
CREATE FUNCTION app.authorities() RETURNS TABLE (certificate text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.certificate FROM authorities a ORDER BY a.tenant_id, a.id
$$
"""


def upgrade() -> None:
    op.execute(CERTIFICATES)
    op.execute(GROUPS)
    for table, grants in GRANTS.items():
        _policies(table, grants)
    op.execute(f"GRANT SELECT (tenant_id, device_id, session_epoch) ON presence TO {INGEST}")
    op.execute(f"CREATE POLICY ingest ON presence FOR SELECT TO {INGEST} USING ({OF_BATCH})")
    _doors(
        "DROP FUNCTION app.credential(text, text, bytea)",
        CREDENTIAL,
        AUTHORITIES,
        "REVOKE ALL ON FUNCTION app.credential(text, text, bytea), app.authorities() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION app.credential(text, text, bytea), app.authorities() TO {INGEST}",
    )


def _policies(table: str, grants: dict[str, str]) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, rights in grants.items():
        condition = "true" if role == DOOR else AS_TENANT
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
    raise NotImplementedError("Certificates cannot be taken back from devices: restore the database instead.")
