"""Devices over HTTP: who one is can be asked without beginning a session, and a repeated message is known by its key.

A session of MQTT ends its device's older ones, so a request over HTTP must not begin one: the door for credentials then
leaves presence alone. It also finds a token by itself, since the request's path names no tenant. A certificate is never
found so: it is public, and only TLS proves that whoever shows it has its key.

Requests of devices are told apart where those of people are (`idempotency`), with the device as the principal. Ingest
sees the key, the fingerprint and the time of a device's row, nothing of what was answered, and no row of a person's.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INGEST, DOOR = "tidegate_ingest", "tidegate_door"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants()::uuid[])::uuid[])"
OF_DEVICE = """EXISTS (
    SELECT FROM devices d WHERE d.tenant_id = idempotency.tenant_id AND d.id = idempotency.principal_id
)"""

REPEATS = f"""
CREATE INDEX idempotency_oldest ON idempotency (tenant_id, created_at);
GRANT SELECT (tenant_id, principal_id, key, request_sha256, created_at),
      INSERT (tenant_id, principal_id, key, request_sha256, created_at),
      UPDATE (request_sha256, created_at) ON idempotency TO {INGEST};
CREATE POLICY ingest ON idempotency TO {INGEST} USING ({OF_BATCH}) WITH CHECK ({OF_BATCH});
CREATE POLICY devices ON idempotency AS RESTRICTIVE TO {INGEST} USING ({OF_DEVICE}) WITH CHECK ({OF_DEVICE});
"""

CREDENTIAL = """
CREATE FUNCTION app.credential(
    p_tenant_key text, p_device_key text, p_secret_sha256 bytea, p_begins boolean DEFAULT true
)
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
                      WHEN 'token' THEN (t.key = p_tenant_key AND d.key = p_device_key)
                                        OR (p_tenant_key = '' AND p_device_key = '*' AND NOT p_begins)
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
    IF p_begins THEN
        INSERT INTO presence AS p (tenant_id, device_id, session_epoch)
        VALUES (found.tenant_id, found.device_id, 1)
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET session_epoch = p.session_epoch + 1
        RETURNING p.session_epoch, p.session_epoch > 1 AND (p.is_online OR p.seen_epoch < p.session_epoch - 1)
        INTO epoch, may_live;
        IF may_live THEN  -- unless presence has followed the newest session to its end
            PERFORM pg_notify('tidegate_changed', format('login:%s:%s', found.device_id, epoch));
        END IF;
    END IF;
    RETURN QUERY SELECT found.tenant_id, found.device_id, found.credential_id, epoch, found.expires_at, NULL::text,
                        found.tenant_key, found.device_key, NULL::bytea, NULL::bytea, NULL::text;
END $$
"""


def upgrade() -> None:
    op.execute(REPEATS)
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    for statement in (
        "DROP FUNCTION app.credential(text, text, bytea)",  # whoever asks with three is answered by the new one
        CREDENTIAL,
        "REVOKE ALL ON FUNCTION app.credential(text, text, bytea, boolean) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION app.credential(text, text, bytea, boolean) TO {INGEST}",
    ):
        op.execute(statement)
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("Keys of requests would be forgotten: restore the database instead.")
