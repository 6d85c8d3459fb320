"""Devices that protect each CoAP message with a shared context (OSCORE, RFC 8613): what is kept of one.

The secret lies sealed with a key that the database does not hold. Ingest has it by the door, for each kid it names, and
may write what a message has used up: the highest number of the device's and which of the 32 below it were seen, and the
next number of ours. All ingest processes share that row, so a message counts once whichever it reaches.
"""

from alembic import op

revision = "0031"
down_revision = "0029"
branch_labels = None
depends_on = None

APP, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "ingest", "door"))
AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants()::uuid[])::uuid[])"
WITHIN = "(SELECT app.sees_all()) OR app.sees_credential(credential_id)"

TABLES = f"""
ALTER TABLE credentials DROP CONSTRAINT credentials_kind_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_kind_check CHECK (kind IN ('token', 'x509', 'jwt', 'oscore'));
CREATE TABLE oscore_contexts (
    tenant_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    kid bytea NOT NULL UNIQUE CHECK (length(kid) = 7),
    sealed bytea NOT NULL,
    vault text NOT NULL,
    highest bigint NOT NULL DEFAULT -1 CHECK (highest < 1099511627776),
    seen bigint NOT NULL DEFAULT 0,
    next_own bigint NOT NULL DEFAULT 0 CHECK (next_own <= 1099511627776),
    PRIMARY KEY (tenant_id, credential_id),
    FOREIGN KEY (tenant_id, credential_id) REFERENCES credentials
) WITH (fillfactor = 50);
ALTER TABLE oscore_contexts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT SELECT (tenant_id, credential_id, kid), INSERT (tenant_id, credential_id, kid, sealed, vault)
    ON oscore_contexts TO {APP};
GRANT SELECT (tenant_id, credential_id, highest, seen, next_own), UPDATE (highest, seen, next_own)
    ON oscore_contexts TO {INGEST};
GRANT SELECT (tenant_id, credential_id, kid, sealed) ON oscore_contexts TO {DOOR};
CREATE POLICY app ON oscore_contexts TO {APP} USING ({AS_TENANT}) WITH CHECK ({AS_TENANT});
CREATE POLICY limits ON oscore_contexts AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN});
CREATE POLICY ingest ON oscore_contexts TO {INGEST} USING ({OF_BATCH}) WITH CHECK ({OF_BATCH});
CREATE POLICY door ON oscore_contexts FOR SELECT TO {DOOR} USING (true);
"""

# The door for credentials also tells whose context a kid names, and what is sealed of it, be it good or not: who then
# shows to hold it comes to the same door as with any credential. It is as it stands but for that.
IS_ASKED = """
    IF p_tenant_key = '' AND p_device_key = '*kid' THEN
        RETURN QUERY
        SELECT o.tenant_id, d.id, o.credential_id, NULL::bigint, NULL::timestamptz, NULL::text, t.key, d.key,
               o.kid, o.sealed, NULL::text
        FROM oscore_contexts o
        JOIN credentials c ON c.tenant_id = o.tenant_id AND c.id = o.credential_id
        JOIN devices d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
        JOIN tenants t ON t.id = d.tenant_id
        WHERE o.kid = p_secret_sha256;
        RETURN;
    END IF;
    IF p_secret_sha256 = '' THEN"""
CREDENTIAL = f"""
DO $do$
DECLARE
    said text := pg_get_functiondef('app.credential(text, text, bytea, boolean)'::regprocedure);
    begins text := E'\\n    IF p_secret_sha256 = '''' THEN';
BEGIN
    IF length(said) - length(replace(said, begins, '')) <> length(begins) THEN
        RAISE EXCEPTION 'app.credential does not ask for keys once';
    END IF;
    EXECUTE replace(said, begins, $new${IS_ASKED}$new$);
END $do$
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    op.execute(CREDENTIAL)
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def downgrade() -> None:
    raise NotImplementedError("Devices would lose what they log in with: restore the database instead.")
