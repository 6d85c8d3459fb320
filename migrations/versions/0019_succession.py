"""An authority has a successor, both are believed for a while, and who is refused at the door is known.

A tenant has one authority that signs (``superseded_at`` is null) and any number that once did: their certificates are
good until they end, or until the authority is retired. A claim certificate names the authority that signed it.

The door for credentials also tells whose login it refused, and why more exactly than the device is told, for the audit
log. Who comes in costs what it cost.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

WORKER, INGEST, DOOR = (f"tidegate_{role}" for role in ("worker", "ingest", "door"))

SUCCESSION = """
ALTER TABLE authorities DROP CONSTRAINT authorities_tenant_id_key,
    ADD COLUMN number integer NOT NULL DEFAULT 1 CHECK (number > 0),
    ADD COLUMN superseded_at timestamptz,
    ADD COLUMN retired_at timestamptz,
    ADD CHECK (retired_at IS NULL OR superseded_at IS NOT NULL),
    ADD UNIQUE (tenant_id, number);
CREATE UNIQUE INDEX authorities_current ON authorities (tenant_id) WHERE superseded_at IS NULL;
GRANT UPDATE (superseded_at, retired_at) ON authorities TO tidegate_app;
GRANT SELECT (superseded_at, retired_at) ON authorities TO tidegate_worker;
GRANT SELECT (retired_at, expires_at) ON authorities TO tidegate_door;
ALTER TABLE provisioners ADD COLUMN authority_id uuid,
    ADD FOREIGN KEY (tenant_id, authority_id) REFERENCES authorities;
"""

# So far every claim was signed by the one authority of its tenant. No role sees the claims of all tenants: for this one
# statement their owner does, and nobody else sees the table before it is shut again.
CLAIMS = """
ALTER TABLE provisioners NO FORCE ROW LEVEL SECURITY;
ALTER TABLE authorities NO FORCE ROW LEVEL SECURITY;
UPDATE provisioners p SET authority_id = a.id FROM authorities a WHERE a.tenant_id = p.tenant_id AND p.kind = 'claim';
ALTER TABLE authorities FORCE ROW LEVEL SECURITY;
ALTER TABLE provisioners FORCE ROW LEVEL SECURITY;
ALTER TABLE provisioners ADD CHECK ((kind = 'claim') = (authority_id IS NOT NULL));
"""

# Whom an ingest process believes at the TLS handshake. One that was retired is for some weeks still: what it signed is
# dead by its row, and a device that goes on showing it is refused by its name instead of by a handshake that failed.
AUTHORITIES = """
CREATE FUNCTION app.authorities() RETURNS TABLE (certificate text, tenant_id uuid, provisioner_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.certificate, a.tenant_id, NULL::uuid FROM authorities a
    WHERE a.expires_at > now() AND coalesce(a.retired_at > now() - interval '30 days', true)
    UNION ALL
    SELECT p.certificate, p.tenant_id, CASE WHEN p.revoked_at IS NULL THEN p.id END
    FROM provisioners p WHERE p.kind = 'authority'
    ORDER BY 2, 3 NULLS FIRST
$$
"""

CREDENTIAL = """
CREATE FUNCTION app.credential(p_tenant_key text, p_device_key text, p_secret_sha256 bytea)
RETURNS TABLE (tenant_id uuid, device_id uuid, credential_id uuid, session_epoch bigint, expires_at timestamptz,
               refusal text, tenant_key text, device_key text, secret_sha256 bytea, public_key bytea, why text)
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
               c.secret_sha256, c.public_key, NULL::text
        FROM tenants t
        JOIN devices d ON d.tenant_id = t.id AND d.key = p_device_key
        JOIN credentials c ON c.tenant_id = d.tenant_id AND c.device_id = d.id AND c.kind = 'jwt'
        WHERE t.key = p_tenant_key
        ORDER BY c.revoked_at IS NOT NULL, c.id DESC LIMIT 20;
        RETURN;
    END IF;
    SELECT c.tenant_id, c.device_id, c.id AS credential_id, c.expires_at, d.status, t.key AS tenant_key,
           d.key AS device_key, c.revoked_at, c.revoked_at IS NOT NULL OR c.expires_at <= now() AS is_dead,
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
    IF refused = 'bad_credentials' THEN  -- it is nobody's: whose door was it tried at?
        RETURN QUERY
        SELECT t.id, d.id, NULL::uuid, NULL::bigint, NULL::timestamptz, refused, t.key, d.key,
               NULL::bytea, NULL::bytea, 'unknown'
        FROM (SELECT) nothing
        LEFT JOIN tenants t ON t.key = p_tenant_key
        LEFT JOIN devices d ON d.tenant_id = t.id AND d.key = p_device_key;
        RETURN;
    ELSIF refused IS NOT NULL THEN
        RETURN QUERY
        SELECT found.tenant_id, found.device_id, NULL::uuid, NULL::bigint, NULL::timestamptz, refused,
               found.tenant_key, found.device_key, NULL::bytea, NULL::bytea,
               CASE WHEN found.status = 'decommissioned' THEN 'decommissioned'
                    WHEN found.revoked_at IS NOT NULL THEN 'revoked'
                    WHEN found.is_dead THEN 'expired'
                    WHEN found.is_suspended THEN 'tenant_suspended'
                    ELSE 'suspended' END;
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
                        found.tenant_key, found.device_key, NULL::bytea, NULL::bytea, NULL::text;
END $$
"""


def upgrade() -> None:
    op.execute(SUCCESSION)
    op.execute(CLAIMS)
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    for statement in (
        "DROP FUNCTION app.credential(text, text, bytea)",
        "DROP FUNCTION app.authorities()",
        CREDENTIAL,
        AUTHORITIES,
        "REVOKE ALL ON FUNCTION app.credential(text, text, bytea), app.authorities() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION app.credential(text, text, bytea), app.authorities() TO {INGEST}",
    ):
        op.execute(statement)
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("Certificates of two authorities are in devices: restore the database instead.")
