"""The first rooms: tenants, people, devices, telemetry, the journal, rules and alerts, all behind row-level security.

Every tenant table: RLS enabled and forced; each policy names its role and wraps its setting in a scalar subquery
(unwrapped it costs six to ten times as much); foreign keys carry the tenant; partitions have RLS forced, no policy and
no grants, so that nobody reads around their parent. Only the door (and the owner, for two bookkeeping tables) has USING
(true).
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants())::uuid[])"
APP, WORKER, INGEST, OWNER, DOOR = (f"tidegate_{r}" for r in ("app", "worker", "ingest", "owner", "door"))

FOUNDATION = f"""
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {APP}, {WORKER}, {INGEST}, {DOOR};
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO {APP}, {WORKER}, {INGEST}, {DOOR};
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE FUNCTION app.tenant() RETURNS uuid LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE FUNCTION app.tenants() RETURNS text LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.tenants', true), '') $$;
GRANT EXECUTE ON FUNCTION app.tenant() TO {APP}, {WORKER}, {INGEST}, {DOOR};
GRANT EXECUTE ON FUNCTION app.tenants() TO {INGEST};
"""

PEOPLE = """
CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    key text NOT NULL UNIQUE CHECK (key ~ '^[a-z0-9-]{1,20}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    created_at timestamptz NOT NULL DEFAULT now(),
    suspended_at timestamptz
);
CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL CHECK (email = lower(email) AND length(email) <= 254),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    password_hash text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (email)
);
CREATE TABLE memberships (
    tenant_id uuid NOT NULL REFERENCES tenants,
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'designer', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);
CREATE TABLE sessions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES memberships ON DELETE CASCADE
);
CREATE TABLE api_tokens (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    prefix text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    scopes text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE idempotency (
    tenant_id uuid NOT NULL REFERENCES tenants,
    principal_id uuid NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_sha256 bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, principal_id, key)
);
"""

DEVICES = """
CREATE TABLE profiles (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    key text NOT NULL CHECK (key ~ '^[A-Za-z0-9_-]{1,40}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    metrics jsonb NOT NULL,
    is_strict boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key)
);
CREATE TABLE devices (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL CHECK (key ~ '^[A-Za-z0-9_-]{1,40}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    profile_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('provisioned', 'active', 'suspended', 'decommissioned')),
    labels jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES profiles
);
CREATE INDEX devices_profile ON devices (tenant_id, profile_id);
CREATE TABLE credentials (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('token')),
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX credentials_device ON credentials (tenant_id, device_id);
CREATE TABLE presence (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    session_epoch bigint NOT NULL DEFAULT 0,
    seen_epoch bigint NOT NULL DEFAULT 0,
    is_online boolean NOT NULL DEFAULT false,
    since timestamptz,
    reason text,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
) WITH (fillfactor = 70);
"""

TELEMETRY = """
CREATE TABLE telemetry (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    time timestamptz NOT NULL,
    seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    values jsonb NOT NULL,
    quality jsonb,
    PRIMARY KEY (tenant_id, device_id, time, seq)
) PARTITION BY RANGE (time);
CREATE TABLE latest (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    values jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
) WITH (fillfactor = 70);
CREATE TABLE rejected (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    transport text NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    payload_size_bytes integer NOT NULL,
    payload_sha256 bytea NOT NULL,
    replayed_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX rejected_device ON rejected (tenant_id, device_id, id);
CREATE TABLE counts (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    received bigint NOT NULL,
    stored bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected bigint NOT NULL,
    refused bigint NOT NULL,
    not_kept bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id, hour),
    CHECK (received = stored + duplicates + rejected + refused)
) WITH (fillfactor = 70);
"""

JOURNAL = """
CREATE TABLE journal_head (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    pos bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE journal (
    tenant_id uuid NOT NULL,
    pos bigint NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (tenant_id, pos, at)
) PARTITION BY RANGE (at);
CREATE TABLE readers (
    tenant_id uuid NOT NULL REFERENCES tenants,
    reader text NOT NULL,
    pos bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, reader)
) WITH (fillfactor = 50);
"""

RULES = """
CREATE TABLE rules (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    severity text NOT NULL,
    document jsonb NOT NULL,
    is_enabled boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE rule_versions (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    version integer NOT NULL,
    document jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, rule_id, version),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules
);
CREATE TABLE rule_state (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    device_id uuid NOT NULL,
    state jsonb NOT NULL,
    due_at timestamptz,
    PRIMARY KEY (tenant_id, rule_id, device_id),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
) WITH (fillfactor = 70);
CREATE INDEX rule_state_due ON rule_state (due_at, tenant_id) WHERE due_at IS NOT NULL;
CREATE TABLE alerts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    device_id uuid NOT NULL,
    episode bigint NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'minor', 'major', 'critical')),
    status text NOT NULL CHECK (status IN ('active', 'acknowledged', 'cleared')),
    reason text NOT NULL,
    why jsonb NOT NULL,
    raised_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note text,
    cleared_at timestamptz,
    cleared_reason text,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, rule_id, rule_version, device_id, episode),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rules,
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);
CREATE INDEX alerts_open ON alerts (tenant_id, rule_id, device_id) WHERE status <> 'cleared';
CREATE INDEX alerts_newest ON alerts (tenant_id, raised_at, id);
CREATE INDEX alerts_device ON alerts (tenant_id, device_id, raised_at, id);
"""

# table → {role: rights}; what is not here is not granted
GRANTS: dict[str, dict[str, str]] = {
    "tenants": {APP: "SELECT", WORKER: "SELECT", DOOR: "SELECT, INSERT"},
    "users": {APP: "SELECT", DOOR: "SELECT, INSERT"},
    "memberships": {APP: "SELECT, INSERT, UPDATE, DELETE", DOOR: "SELECT, INSERT"},
    "sessions": {APP: "SELECT, INSERT, DELETE", WORKER: "SELECT, DELETE", DOOR: "SELECT"},
    "api_tokens": {APP: "SELECT, INSERT, UPDATE", DOOR: "SELECT"},
    "idempotency": {APP: "SELECT, INSERT, UPDATE, DELETE", WORKER: "SELECT, DELETE"},
    "profiles": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT", INGEST: "SELECT"},
    "devices": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT, UPDATE", INGEST: "SELECT", DOOR: "SELECT"},
    "credentials": {
        APP: "SELECT, INSERT, UPDATE",
        INGEST: "SELECT (tenant_id, id, device_id, expires_at, revoked_at)",
        DOOR: "SELECT",
    },
    "presence": {APP: "SELECT, INSERT", WORKER: "SELECT, INSERT, UPDATE", DOOR: "SELECT, INSERT, UPDATE"},
    "telemetry": {APP: "SELECT, DELETE", WORKER: "SELECT", INGEST: "SELECT, INSERT"},
    "latest": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE"},
    "rejected": {APP: "SELECT, UPDATE", WORKER: "SELECT, UPDATE, DELETE", INGEST: "INSERT"},
    "counts": {APP: "SELECT", WORKER: "SELECT, INSERT, UPDATE"},
    "journal_head": {
        APP: "SELECT, UPDATE",
        WORKER: "SELECT, UPDATE",
        INGEST: "SELECT, UPDATE",
        DOOR: "SELECT, INSERT",
        OWNER: "SELECT",
    },
    "journal": {APP: "SELECT, INSERT", WORKER: "SELECT, INSERT", INGEST: "SELECT, INSERT"},
    "readers": {
        APP: "SELECT",
        WORKER: "SELECT, INSERT, UPDATE",
        DOOR: "SELECT, INSERT",
        OWNER: "SELECT",
    },
    "rules": {APP: "SELECT, INSERT, UPDATE", WORKER: "SELECT"},
    "rule_versions": {APP: "SELECT, INSERT", WORKER: "SELECT"},
    "rule_state": {APP: "SELECT, DELETE, UPDATE", WORKER: "SELECT, INSERT, UPDATE, DELETE", DOOR: "SELECT"},
    "alerts": {APP: "SELECT, UPDATE", WORKER: "SELECT, INSERT, UPDATE"},
}

# what decides that a row is this tenant's, where it is not the column tenant_id
OTHER_OWNERSHIP = {
    "tenants": "id = (SELECT app.tenant())",
    "users": "id IN (SELECT m.user_id FROM memberships m WHERE m.tenant_id = (SELECT app.tenant()))",
}

FUNCTIONS = f"""
CREATE FUNCTION app.append(p_tenants uuid[], p_kinds text[], p_bodies json[])
RETURNS TABLE (tenant_id uuid, pos bigint)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    written bigint;
BEGIN
    -- Heads are locked in tenant order, last before COMMIT, so that positions are gapless and ordered by commit.
    PERFORM 1 FROM journal_head h WHERE h.tenant_id = ANY (p_tenants) ORDER BY h.tenant_id FOR UPDATE;
    RETURN QUERY
    WITH wanted AS (
        SELECT u.t, u.k, u.b, row_number() OVER (PARTITION BY u.t ORDER BY u.n) AS nth
        FROM unnest(p_tenants, p_kinds, p_bodies) WITH ORDINALITY AS u (t, k, b, n)
    ), moved AS (
        UPDATE journal_head h SET pos = h.pos + w.n
        FROM (SELECT t, count(*) AS n FROM wanted GROUP BY t) w
        WHERE h.tenant_id = w.t
        RETURNING h.tenant_id, h.pos, w.n
    )
    INSERT INTO journal (tenant_id, pos, at, kind, body)
    SELECT m.tenant_id, m.pos - m.n + w.nth, clock_timestamp(), w.k, w.b
    FROM wanted w JOIN moved m ON m.tenant_id = w.t
    RETURNING journal.tenant_id, journal.pos;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> coalesce(array_length(p_tenants, 1), 0) THEN
        RAISE EXCEPTION 'the journal of a tenant is not yours to write' USING ERRCODE = '42501';
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION app.append(uuid[], text[], json[]) TO {APP}, {WORKER}, {INGEST};

CREATE FUNCTION app.partition(p_parent text, p_from timestamptz, p_to timestamptz, p_suffix text) RETURNS boolean
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    child text := p_parent || '_' || p_suffix;
    bounds text := format('(%L) TO (%L)', p_from, p_to);
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)', child, p_parent);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM %s', p_parent, child, bounds);
    RETURN true;
END $$;

-- Without arguments there is nothing to abuse: whoever may call it can only make the platform tidy up.
CREATE FUNCTION app.maintain() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    retention interval := interval '90 days';
    journal_kept interval := interval '1 hour';
    slowest timestamptz;
    changes integer := 0;
    at timestamptz;
    child text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('app.maintain')) THEN
        RETURN 0;
    END IF;
    SET LOCAL lock_timeout = '2s';
    FOR at IN SELECT generate_series(date_trunc('day', now() - retention), date_trunc('day', now()) + interval '3 days',
                                     interval '1 day') LOOP
        changes := changes + app.partition('telemetry', at, at + interval '1 day', to_char(at, 'YYYYMMDD'))::int;
    END LOOP;
    FOR at IN SELECT generate_series(date_trunc('hour', now()), now() + interval '6 hours', interval '1 hour') LOOP
        changes := changes + app.partition('journal', at, at + interval '1 hour', to_char(at, 'YYYYMMDDHH24'))::int;
    END LOOP;
    -- A journal partition lives while any reader still has to pass through it.
    SELECT min(r.at) INTO slowest FROM readers r JOIN journal_head h USING (tenant_id) WHERE r.pos < h.pos;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'telemetry'::regclass
          AND c.relname < 'telemetry_' || to_char(now() - retention, 'YYYYMMDD')
        UNION ALL
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'journal'::regclass
          AND c.relname < 'journal_' || to_char(least(now() - journal_kept, slowest), 'YYYYMMDDHH24')
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        changes := changes + 1;
    END LOOP;
    RETURN changes;
END $$;
GRANT EXECUTE ON FUNCTION app.maintain() TO {WORKER}, {INGEST};
"""

# name(arguments) → (who may knock, definition). All belong to the door, which cannot log in.
DOORS: dict[str, tuple[str, str]] = {
    "login(p_email text)": (
        APP,
        """
RETURNS TABLE (user_id uuid, user_name text, password_hash text, tenant_id uuid, tenant_key text, tenant_name text,
               role text)
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.name, u.password_hash, t.id, t.key, t.name, m.role
    FROM users u JOIN memberships m ON m.user_id = u.id JOIN tenants t ON t.id = m.tenant_id
    WHERE u.email = lower(p_email) AND t.suspended_at IS NULL
    ORDER BY m.created_at, t.key
$$""",
    ),
    "session(p_secret_sha256 bytea)": (
        APP,
        """
RETURNS TABLE (session_id uuid, tenant_id uuid, user_id uuid, user_name text, email text, role text,
               expires_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT s.id, s.tenant_id, s.user_id, u.name, u.email, m.role, s.expires_at
    FROM sessions s
    JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
    JOIN users u ON u.id = s.user_id
    JOIN tenants t ON t.id = s.tenant_id AND t.suspended_at IS NULL
    WHERE s.secret_sha256 = p_secret_sha256 AND s.expires_at > now()
$$""",
    ),
    "token(p_secret_sha256 bytea)": (
        APP,
        """
RETURNS TABLE (token_id uuid, tenant_id uuid, name text, scopes text[], expires_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT a.id, a.tenant_id, a.name, a.scopes, a.expires_at
    FROM api_tokens a JOIN tenants t ON t.id = a.tenant_id AND t.suspended_at IS NULL
    WHERE a.secret_sha256 = p_secret_sha256 AND a.revoked_at IS NULL
      AND (a.expires_at IS NULL OR a.expires_at > now())
$$""",
    ),
    "credential(p_tenant_key text, p_device_key text, p_secret_sha256 bytea)": (
        INGEST,
        """
RETURNS TABLE (tenant_id uuid, device_id uuid, credential_id uuid, session_epoch bigint, expires_at timestamptz,
               refusal text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    found record;
    epoch bigint;
BEGIN
    SELECT c.tenant_id, c.device_id, c.id AS credential_id, c.expires_at, d.status,
           c.revoked_at IS NOT NULL OR c.expires_at <= now() AS is_dead,
           t.suspended_at IS NOT NULL AS is_suspended
    INTO found
    FROM credentials c
    JOIN devices d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
    JOIN tenants t ON t.id = c.tenant_id
    WHERE c.secret_sha256 = p_secret_sha256 AND t.key = p_tenant_key AND d.key = p_device_key;
    IF found IS NULL THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::timestamptz, 'bad_credentials';
    ELSIF found.is_dead OR found.status = 'decommissioned' THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::timestamptz, 'revoked';
    ELSIF found.is_suspended OR found.status = 'suspended' THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::timestamptz, 'suspended';
    ELSE
        INSERT INTO presence AS p (tenant_id, device_id, session_epoch)
        VALUES (found.tenant_id, found.device_id, 1)
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET session_epoch = p.session_epoch + 1
        RETURNING p.session_epoch INTO epoch;
        RETURN QUERY SELECT found.tenant_id, found.device_id, found.credential_id, epoch, found.expires_at, NULL::text;
    END IF;
END $$""",
    ),
    "due()": (
        WORKER,
        """
RETURNS TABLE (tenant_id uuid)
LANGUAGE sql STABLE AS $$
    SELECT h.tenant_id FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id WHERE h.pos > r.pos
    UNION
    SELECT s.tenant_id FROM rule_state s WHERE s.due_at <= now()
$$""",
    ),
    "found(p_tenant_id uuid, p_key text, p_name text, p_user_id uuid, p_email text, p_user_name text, p_password_hash text)": (  # noqa: E501
        OWNER,
        """
RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    member uuid;
BEGIN
    INSERT INTO tenants (id, key, name) VALUES (p_tenant_id, p_key, p_name);
    INSERT INTO journal_head (tenant_id) VALUES (p_tenant_id);
    INSERT INTO readers (tenant_id, reader) VALUES (p_tenant_id, 'drain');
    SELECT id INTO member FROM users WHERE email = lower(p_email);
    IF member IS NULL THEN
        INSERT INTO users (id, email, name, password_hash)
        VALUES (p_user_id, lower(p_email), p_user_name, p_password_hash) RETURNING id INTO member;
    END IF;
    INSERT INTO memberships (tenant_id, user_id, role) VALUES (p_tenant_id, member, 'owner');
    RETURN member;
END $$""",
    ),
}


def _policies(table: str, grants: dict[str, str]) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    mine = OTHER_OWNERSHIP.get(table, AS_TENANT)
    for role, rights in grants.items():
        if role != OWNER:
            op.execute(f"GRANT {rights} ON {table} TO {role}")
        condition = {APP: mine, WORKER: mine, INGEST: OF_BATCH}.get(role, "true")
        policy = role.removeprefix("tidegate_")
        op.execute(f"CREATE POLICY {policy} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")


def _doors() -> None:
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    for signature, (role, definition) in DOORS.items():
        returns, body = definition.split("AS $$", 1)
        op.execute(
            f"CREATE FUNCTION app.{signature} {returns} SECURITY DEFINER SET search_path = public, pg_temp AS $${body}"
        )
        op.execute(f"ALTER FUNCTION app.{_call(signature)} OWNER TO {DOOR}")
        op.execute(f"SET ROLE {DOOR}")
        op.execute(f"REVOKE ALL ON FUNCTION app.{_call(signature)} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION app.{_call(signature)} TO {role}")
        op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def _call(signature: str) -> str:
    """``name(type, type)`` of ``name(argument type, argument type)``."""
    name, arguments = signature.rstrip(")").split("(")
    return f"{name}({', '.join(a.split()[1] for a in arguments.split(',') if a.strip())})"


def upgrade() -> None:
    for part in (FOUNDATION, PEOPLE, DEVICES, TELEMETRY, JOURNAL, RULES):
        op.execute(part)
    for table, grants in GRANTS.items():
        _policies(table, grants)
    op.execute(FUNCTIONS)
    _doors()
    op.execute("SELECT app.maintain()")


def downgrade() -> None:
    raise NotImplementedError("The first migration is the house itself: drop the database instead.")
