"""What people need beyond a password: invitations, roles of a tenant's own, sessions they can see, second factors.

A person is one for all tenants, so no tenant's transaction may change who they are: password and second factor are
changed by the door ``secure``, which asks for the present password's hash as proof, and that hash is no longer
readable by the role app.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE users
    ADD COLUMN totp bytea,
    ADD COLUMN totp_since timestamptz,
    ADD COLUMN totp_step bigint NOT NULL DEFAULT 0,
    ADD COLUMN recovery bytea[] NOT NULL DEFAULT '{}';
REVOKE SELECT ON users FROM tidegate_app;
GRANT SELECT (id, email, name, created_at) ON users TO tidegate_app;
GRANT UPDATE ON users TO tidegate_door;

ALTER TABLE sessions
    ADD COLUMN agent text NOT NULL DEFAULT '' CHECK (length(agent) <= 200),
    ADD COLUMN address text NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    ADD COLUMN last_seen_at timestamptz;
GRANT UPDATE (last_seen_at) ON sessions TO tidegate_app;
GRANT DELETE ON sessions TO tidegate_door;
CREATE INDEX sessions_user ON sessions (tenant_id, user_id);

CREATE TABLE roles (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
ALTER TABLE memberships
    DROP CONSTRAINT memberships_role_check,
    ADD COLUMN role_id uuid,
    ADD CHECK (role IN ('owner', 'admin', 'operator', 'designer', 'viewer', 'custom')),
    ADD CHECK ((role = 'custom') = (role_id IS NOT NULL)),
    ADD FOREIGN KEY (tenant_id, role_id) REFERENCES roles;
CREATE INDEX memberships_role ON memberships (tenant_id, role_id);

CREATE TABLE invitations (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    email text NOT NULL CHECK (email = lower(email) AND length(email) <= 254),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'designer', 'viewer', 'custom')),
    role_id uuid CHECK ((role = 'custom') = (role_id IS NOT NULL)),
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    invited_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (tenant_id, id)  -- no key to roles: an invitation that is over does not keep one alive
);
"""

GRANTS = {
    "roles": {"app": "SELECT, INSERT, UPDATE, DELETE", "door": "SELECT"},
    "invitations": {"app": "SELECT, INSERT, UPDATE", "worker": "SELECT", "door": "SELECT, UPDATE"},
}

# The two doors that grew, and the two that are new.
OLD_DOORS = ("login(text)", "session(bytea)")
DOORS = {
    "login(p_email text)": """
RETURNS TABLE (user_id uuid, user_name text, password_hash text, totp bytea, totp_since timestamptz, totp_step bigint,
               recovery_left integer, tenant_id uuid, tenant_key text, tenant_name text, role text, role_name text,
               scopes text[])
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.name, u.password_hash, u.totp, u.totp_since, u.totp_step, cardinality(u.recovery),
           t.id, t.key, t.name, m.role, r.name, r.scopes
    FROM users u JOIN memberships m ON m.user_id = u.id JOIN tenants t ON t.id = m.tenant_id
    LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    WHERE u.email = lower(p_email) AND t.suspended_at IS NULL
    ORDER BY m.created_at, t.key
$$""",
    "session(p_secret_sha256 bytea)": """
RETURNS TABLE (session_id uuid, tenant_id uuid, user_id uuid, user_name text, email text, role text, scopes text[],
               expires_at timestamptz, last_seen_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT s.id, s.tenant_id, s.user_id, u.name, u.email, m.role, r.scopes, s.expires_at, s.last_seen_at
    FROM sessions s
    JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
    LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    JOIN users u ON u.id = s.user_id
    JOIN tenants t ON t.id = s.tenant_id AND t.suspended_at IS NULL
    WHERE s.secret_sha256 = p_secret_sha256 AND s.expires_at > now()
$$""",
    # Without p_user_id it only says what the invitation is. With it the invitation is spent: a new person is made when
    # there is a password, and a known one (who has proven to be themselves) joins when there is none.
    "invitation(p_secret_sha256 bytea, p_user_id uuid, p_name text, p_password_hash text)": """
RETURNS TABLE (tenant_id uuid, tenant_key text, tenant_name text, email text, role text, scopes text[],
               user_id uuid, user_name text, password_hash text, totp bytea, totp_since timestamptz, totp_step bigint,
               recovery_left integer)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    i invitations;
    known uuid;
BEGIN
    SELECT * INTO i FROM invitations
    WHERE secret_sha256 = p_secret_sha256 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > now()
    FOR UPDATE;
    IF i.id IS NULL THEN
        RETURN;
    END IF;
    SELECT u.id INTO known FROM users u WHERE u.email = i.email;
    IF p_user_id IS NOT NULL THEN
        IF p_password_hash IS NOT NULL AND known IS NULL THEN
            INSERT INTO users (id, email, name, password_hash) VALUES (p_user_id, i.email, p_name, p_password_hash)
            ON CONFLICT DO NOTHING RETURNING id INTO known;
            IF known IS NULL THEN  -- somebody with this address came into being at this very moment
                RETURN;
            END IF;
        ELSIF p_password_hash IS NOT NULL OR known IS DISTINCT FROM p_user_id THEN
            RETURN;
        END IF;
        INSERT INTO memberships (tenant_id, user_id, role, role_id) VALUES (i.tenant_id, known, i.role, i.role_id)
        ON CONFLICT DO NOTHING;
        UPDATE invitations SET accepted_at = now() WHERE tenant_id = i.tenant_id AND id = i.id;
    END IF;
    RETURN QUERY
    SELECT t.id, t.key, t.name, i.email, i.role, r.scopes, u.id, u.name, u.password_hash, u.totp, u.totp_since,
           u.totp_step, cardinality(u.recovery)
    FROM tenants t
    LEFT JOIN users u ON u.id = known
    LEFT JOIN roles r ON r.tenant_id = t.id AND r.id = i.role_id
    WHERE t.id = i.tenant_id AND t.suspended_at IS NULL;
END $$""",
    # Whoever knocks must know the hash of the present password; a code's step only ever grows, and a recovery code is
    # there once: so neither is good twice, whatever comes at the same moment. Answers how many sessions it ended, or
    # null where nothing was changed.
    "secure(p_user_id uuid, p_proof text, p_change jsonb)": """
RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    gone uuid;
    ended integer := 0;
BEGIN
    UPDATE users u SET
        password_hash = coalesce(p_change->>'password_hash', u.password_hash),
        totp = CASE WHEN jsonb_exists(p_change, 'totp') THEN decode(p_change->>'totp', 'hex') ELSE u.totp END,
        totp_since = CASE WHEN jsonb_exists(p_change, 'totp_since') THEN (p_change->>'totp_since')::timestamptz
                          ELSE u.totp_since END,
        totp_step = coalesce((p_change->>'totp_step')::bigint, u.totp_step),
        recovery = CASE
            WHEN jsonb_exists(p_change, 'recovery') THEN
                (SELECT coalesce(array_agg(decode(e, 'hex')), '{}')
                 FROM jsonb_array_elements_text(p_change->'recovery') e)
            WHEN jsonb_exists(p_change, 'spend') THEN array_remove(u.recovery, decode(p_change->>'spend', 'hex'))
            ELSE u.recovery END
    WHERE u.id = p_user_id AND u.password_hash = p_proof
      AND coalesce((p_change->>'totp_step')::bigint > u.totp_step, true)
      AND (NOT jsonb_exists(p_change, 'spend') OR decode(p_change->>'spend', 'hex') = ANY (u.recovery));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF jsonb_exists(p_change, 'keep') THEN  -- every other session, in whichever tenant
        FOR gone IN DELETE FROM sessions s
                    WHERE s.user_id = p_user_id AND s.id IS DISTINCT FROM (p_change->>'keep')::uuid RETURNING s.id LOOP
            PERFORM pg_notify('tidegate_changed', 'session:' || gone);
            ended := ended + 1;
        END LOOP;
    END IF;
    RETURN ended;
END $$""",
}

AS_TENANT = "tenant_id = (SELECT app.tenant())"


def upgrade() -> None:
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            condition = "true" if role == "door" else AS_TENANT
            op.execute(f"GRANT {rights} ON {table} TO tidegate_{role}")
            op.execute(
                f"CREATE POLICY {role} ON {table} TO tidegate_{role} USING ({condition}) WITH CHECK ({condition})"
            )
    op.execute("GRANT CREATE ON SCHEMA app TO tidegate_door")
    op.execute("SET ROLE tidegate_door")
    for old in OLD_DOORS:
        op.execute(f"DROP FUNCTION app.{old}")
    for signature, definition in DOORS.items():
        name = signature.partition("(")[0]
        returns, body = definition.split("AS $$", 1)
        op.execute(
            f"CREATE FUNCTION app.{signature} {returns} SECURITY DEFINER SET search_path = public, pg_temp AS $${body}"
        )
        op.execute(f"REVOKE ALL ON FUNCTION app.{name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION app.{name} TO tidegate_app")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA app FROM tidegate_door")


def downgrade() -> None:
    raise NotImplementedError("Second factors and invitations would be lost: restore the database instead.")
