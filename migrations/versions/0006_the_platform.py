"""What the platform's operator needs: a tenant of their own kind, one door, and suspended tenants that say so.

Operators belong to the one tenant that is the platform's. It has no devices and no data, so row-level security blinds
them to everybody else's rows exactly as it blinds any tenant. The role ``platform`` exists there and nowhere else: a
foreign key says so, not the application. Beyond that they have the door ``platform``, which shows of a tenant its key,
its name and whether it is suspended, and opens only to a transaction of the platform's tenant.

There are still ten doors: ``found`` is no door any more. The owner, its only caller, may become the door by itself.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

APP, INGEST, DOOR = (f"tidegate_{role}" for role in ("app", "ingest", "door"))

TABLES = """
ALTER TABLE tenants
    ADD COLUMN is_platform boolean NOT NULL DEFAULT false,
    ADD COLUMN suspended_reason text CHECK (length(suspended_reason) <= 400),
    ADD UNIQUE (id, is_platform),
    ADD CHECK (NOT is_platform OR suspended_at IS NULL);
CREATE UNIQUE INDEX tenants_platform ON tenants (is_platform) WHERE is_platform;

-- whoever is an operator is one in the platform's tenant, and nobody there is anything else
ALTER TABLE memberships
    DROP CONSTRAINT memberships_role_check,
    ADD CHECK (role IN ('owner', 'admin', 'operator', 'designer', 'viewer', 'custom', 'platform')),
    ADD COLUMN is_platform boolean NOT NULL GENERATED ALWAYS AS (role = 'platform') STORED,
    ADD FOREIGN KEY (tenant_id, is_platform) REFERENCES tenants (id, is_platform);
ALTER TABLE invitations
    DROP CONSTRAINT invitations_role_check,
    ADD CHECK (role IN ('owner', 'admin', 'operator', 'designer', 'viewer', 'custom', 'platform')),
    ADD COLUMN is_platform boolean NOT NULL GENERATED ALWAYS AS (role = 'platform') STORED,
    ADD FOREIGN KEY (tenant_id, is_platform) REFERENCES tenants (id, is_platform);

-- so that whoever lost their second factor to somebody else's deed is told, until they have a new one
ALTER TABLE users ADD COLUMN factor_reset_at timestamptz, ADD COLUMN factor_reset_by text;
"""

# The door writes the operator's deeds into the log of the tenant they were done to; ingest sees who is suspended.
GRANTS = f"""
GRANT SELECT (totp_since) ON users TO {APP};  -- that somebody has a second factor, not which
GRANT UPDATE ON tenants TO {DOOR};
GRANT INSERT ON invitations TO {DOOR};
GRANT UPDATE ON audit_head TO {DOOR};
GRANT INSERT ON audit TO {DOOR};
CREATE POLICY door ON audit TO {DOOR} USING (true) WITH CHECK (true);
GRANT EXECUTE ON FUNCTION app.audit(uuid, json), app.audit_seal(bytea, audit) TO {DOOR};
GRANT SELECT (id, suspended_at) ON tenants TO {INGEST};
CREATE POLICY ingest ON tenants FOR SELECT TO {INGEST} USING (id = ANY ((SELECT app.tenants())::uuid[]));
"""

# Run by the owner, in the role of the door that the owner may take on; nobody else can.
BY_THE_OWNER = f"""
CREATE FUNCTION app.found(p_tenant_id uuid, p_key text, p_name text, p_user_id uuid, p_email text, p_user_name text,
                          p_password_hash text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = public, pg_temp AS $$
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
END $$;

-- Invites an operator; the first one brings the platform's own tenant into being. False: is an operator already.
CREATE FUNCTION app.operator(p_tenant_id uuid, p_invitation_id uuid, p_email text, p_secret_sha256 bytea,
                             p_expires_at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    platform uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('app.operator'));
    SELECT id INTO platform FROM tenants WHERE is_platform;
    IF platform IS NULL THEN
        INSERT INTO tenants (id, key, name, is_platform)
        SELECT p_tenant_id, CASE WHEN EXISTS (SELECT FROM tenants WHERE key = 'platform')
                                 THEN 'platform-' || right(p_tenant_id::text, 8) ELSE 'platform' END, 'Platform', true
        RETURNING id INTO platform;
        INSERT INTO journal_head (tenant_id) VALUES (platform);
        INSERT INTO readers (tenant_id, reader) VALUES (platform, 'drain');
    END IF;
    IF EXISTS (SELECT FROM memberships m JOIN users u ON u.id = m.user_id
               WHERE m.tenant_id = platform AND u.email = lower(p_email)) THEN
        RETURN false;
    END IF;
    UPDATE invitations SET withdrawn_at = now()
    WHERE tenant_id = platform AND email = lower(p_email) AND accepted_at IS NULL AND withdrawn_at IS NULL;
    INSERT INTO invitations (tenant_id, id, email, role, secret_sha256, invited_by, expires_at)
    VALUES (platform, p_invitation_id, lower(p_email), 'platform', p_secret_sha256, 'the command line', p_expires_at);
    PERFORM app.audit(platform, json_build_array(json_build_object(
        'actor_kind', 'system', 'actor_id', '00000000-0000-0000-0000-000000000000', 'actor_name', 'the command line',
        'action', 'member.invite', 'target_kind', 'invitation', 'target_id', p_invitation_id, 'result', 'done',
        'after', json_build_object('email', lower(p_email), 'role', 'platform'))));
    RETURN true;
END $$;
ALTER FUNCTION app.found(uuid, text, text, uuid, text, text, text) SET role = {DOOR};
ALTER FUNCTION app.operator(uuid, uuid, text, bytea, timestamptz) SET role = {DOOR};
"""

DOORS = {
    "login(p_email text)": """
RETURNS TABLE (user_id uuid, user_name text, password_hash text, totp bytea, totp_since timestamptz, totp_step bigint,
               recovery_left integer, tenant_id uuid, tenant_key text, tenant_name text, role text, role_name text,
               scopes text[], is_suspended boolean, factor_reset_at timestamptz, factor_reset_by text)
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.name, u.password_hash, u.totp, u.totp_since, u.totp_step, cardinality(u.recovery),
           t.id, t.key, t.name, m.role, r.name, r.scopes, t.suspended_at IS NOT NULL, u.factor_reset_at,
           u.factor_reset_by
    FROM users u JOIN memberships m ON m.user_id = u.id JOIN tenants t ON t.id = m.tenant_id
    LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    WHERE u.email = lower(p_email)
    ORDER BY m.created_at, t.key
$$""",
    "session(p_secret_sha256 bytea)": """
RETURNS TABLE (session_id uuid, tenant_id uuid, user_id uuid, user_name text, email text, role text, scopes text[],
               expires_at timestamptz, last_seen_at timestamptz, is_suspended boolean)
LANGUAGE sql STABLE AS $$
    SELECT s.id, s.tenant_id, s.user_id, u.name, u.email, m.role, r.scopes, s.expires_at, s.last_seen_at,
           t.suspended_at IS NOT NULL
    FROM sessions s
    JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
    LEFT JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    JOIN users u ON u.id = s.user_id
    JOIN tenants t ON t.id = s.tenant_id
    WHERE s.secret_sha256 = p_secret_sha256 AND s.expires_at > now()
$$""",
    "token(p_secret_sha256 bytea)": """
RETURNS TABLE (token_id uuid, tenant_id uuid, name text, scopes text[], expires_at timestamptz, is_suspended boolean)
LANGUAGE sql STABLE AS $$
    SELECT a.id, a.tenant_id, a.name, a.scopes, a.expires_at, t.suspended_at IS NOT NULL
    FROM api_tokens a JOIN tenants t ON t.id = a.tenant_id
    WHERE a.secret_sha256 = p_secret_sha256 AND a.revoked_at IS NULL
      AND (a.expires_at IS NULL OR a.expires_at > now())
$$""",
    # Without p_user_id it only says what the invitation is. With it the invitation is spent: a new person is made when
    # there is a password, and a known one (who has proven to be themselves) joins when there is none. An invitation of
    # a suspended tenant says so and is not spent.
    "invitation(p_secret_sha256 bytea, p_user_id uuid, p_name text, p_password_hash text)": """
RETURNS TABLE (tenant_id uuid, tenant_key text, tenant_name text, email text, role text, scopes text[],
               user_id uuid, user_name text, password_hash text, totp bytea, totp_since timestamptz, totp_step bigint,
               recovery_left integer, is_suspended boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    i invitations;
    known uuid;
    suspended boolean;
BEGIN
    SELECT * INTO i FROM invitations
    WHERE secret_sha256 = p_secret_sha256 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > now()
    FOR UPDATE;
    IF i.id IS NULL THEN
        RETURN;
    END IF;
    SELECT t.suspended_at IS NOT NULL INTO suspended FROM tenants t WHERE t.id = i.tenant_id;
    SELECT u.id INTO known FROM users u WHERE u.email = i.email;
    IF p_user_id IS NOT NULL AND NOT suspended THEN
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
           u.totp_step, cardinality(u.recovery), suspended
    FROM tenants t
    LEFT JOIN users u ON u.id = known
    LEFT JOIN roles r ON r.tenant_id = t.id AND r.id = i.role_id
    WHERE t.id = i.tenant_id;
END $$""",
    # As before whoever knocks must know the hash of the present password. New is `reset_by`: somebody else takes a lost
    # second factor away, and proves themselves by the hash of their own. They must belong to the tenant that acts, and
    # the person to that tenant alone; only the platform may act on those who belong to several, and says so in the log
    # of each. A person is never told of silently: who did it stays with them until they have a new factor.
    "secure(p_user_id uuid, p_proof text, p_change jsonb)": """
RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    here tenants;
    other uuid;
    gone uuid;
    ended integer := 0;
BEGIN
    IF jsonb_exists(p_change, 'reset_by') THEN
        SELECT * INTO here FROM tenants t WHERE t.id = app.tenant();
        UPDATE users u SET totp = NULL, totp_since = NULL, recovery = '{}', factor_reset_at = now(),
                           factor_reset_by = p_change->>'reset_name'
        WHERE u.id = p_user_id AND u.totp_since IS NOT NULL AND u.id <> (p_change->>'reset_by')::uuid
          AND EXISTS (SELECT FROM memberships m JOIN users a ON a.id = m.user_id
                      WHERE m.tenant_id = here.id AND a.id = (p_change->>'reset_by')::uuid
                        AND a.password_hash = p_proof)
          AND (here.is_platform
               OR (EXISTS (SELECT FROM memberships m WHERE m.user_id = u.id AND m.tenant_id = here.id)
                   AND NOT EXISTS (SELECT FROM memberships m WHERE m.user_id = u.id AND m.tenant_id <> here.id)));
    ELSE
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
                ELSE u.recovery END,
            factor_reset_at = CASE WHEN p_change->>'totp_since' IS NULL THEN u.factor_reset_at END,
            factor_reset_by = CASE WHEN p_change->>'totp_since' IS NULL THEN u.factor_reset_by END
        WHERE u.id = p_user_id AND u.password_hash = p_proof
          AND coalesce((p_change->>'totp_step')::bigint > u.totp_step, true)
          AND (NOT jsonb_exists(p_change, 'spend') OR decode(p_change->>'spend', 'hex') = ANY (u.recovery));
    END IF;
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
    IF here.is_platform THEN
        FOR other IN SELECT m.tenant_id FROM memberships m
                     WHERE m.user_id = p_user_id AND m.tenant_id <> here.id ORDER BY m.tenant_id LOOP
            PERFORM app.audit(other, json_build_array(json_build_object(
                'actor_kind', 'platform', 'actor_id', p_change->>'reset_by', 'actor_name', 'the platform''s operator',
                'action', 'second_factor.reset', 'target_kind', 'user', 'target_id', p_user_id, 'result', 'done')));
        END LOOP;
    END IF;
    RETURN ended;
END $$""",
    # One door for all that the operator does to tenants. It opens to a transaction of the platform's own tenant only,
    # never shows or touches that tenant itself, and writes what was done into the log of the tenant it was done to.
    "platform(p_verb text, p_given jsonb)": """
RETURNS TABLE (id uuid, key text, name text, created_at timestamptz, suspended_at timestamptz, suspended_reason text,
               has_owner boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    target uuid := (p_given->>'id')::uuid;
    was tenants;
    changed boolean := true;
BEGIN
    IF NOT EXISTS (SELECT FROM tenants t WHERE t.id = app.tenant() AND t.is_platform) THEN
        RAISE EXCEPTION 'only the platform''s operator passes here' USING ERRCODE = '42501';
    END IF;
    IF p_verb IN ('list', 'get') THEN
        RETURN QUERY
        SELECT t.id, t.key, t.name, t.created_at, t.suspended_at, t.suspended_reason,
               EXISTS (SELECT FROM memberships m WHERE m.tenant_id = t.id AND m.role = 'owner')
        FROM tenants t
        WHERE NOT t.is_platform AND (p_verb = 'list' OR t.id = target) AND t.key > coalesce(p_given->>'after', '')
          AND (p_given->>'search' IS NULL OR strpos(lower(t.key || ' ' || t.name), lower(p_given->>'search')) > 0)
          AND (p_given->>'is_suspended' IS NULL
               OR (t.suspended_at IS NOT NULL) = (p_given->>'is_suspended')::boolean)
        ORDER BY t.key LIMIT (p_given->>'first')::integer;
        RETURN;
    END IF;
    IF p_verb = 'create' THEN
        INSERT INTO tenants (id, key, name) VALUES (target, p_given->>'key', p_given->>'name')
        ON CONFLICT (key) DO NOTHING;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        INSERT INTO journal_head (tenant_id) VALUES (target);
        INSERT INTO readers (tenant_id, reader) VALUES (target, 'drain');
    END IF;
    SELECT * INTO was FROM tenants t WHERE t.id = target AND NOT t.is_platform FOR NO KEY UPDATE;
    IF was.id IS NULL THEN
        RETURN;
    END IF;
    IF p_verb = 'rename' THEN
        UPDATE tenants t SET name = p_given->>'name' WHERE t.id = target AND t.name <> p_given->>'name';
        changed := FOUND;
    ELSIF p_verb = 'suspend' THEN
        UPDATE tenants t SET suspended_at = now(), suspended_reason = p_given->>'reason'
        WHERE t.id = target AND t.suspended_at IS NULL;
        changed := FOUND;
    ELSIF p_verb = 'resume' THEN
        UPDATE tenants t SET suspended_at = NULL, suspended_reason = NULL
        WHERE t.id = target AND t.suspended_at IS NOT NULL;
        changed := FOUND;
    ELSIF p_verb NOT IN ('create', 'invite') THEN
        RAISE EXCEPTION 'the platform''s door knows no %', p_verb USING ERRCODE = '22023';
    END IF;
    -- the first owner, and only the first: who could invite more could let themselves in
    IF p_verb IN ('create', 'invite')
       AND NOT EXISTS (SELECT FROM memberships m WHERE m.tenant_id = target AND m.role = 'owner') THEN
        UPDATE invitations i SET withdrawn_at = now()
        WHERE i.tenant_id = target AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL;
        INSERT INTO invitations (tenant_id, id, email, role, secret_sha256, invited_by, expires_at)
        VALUES (target, (p_given->>'invitation_id')::uuid, p_given->>'email', 'owner',
                decode(p_given->>'secret_sha256', 'hex'), 'the platform''s operator',
                (p_given->>'expires_at')::timestamptz);
    ELSIF p_verb = 'invite' THEN
        changed := false;
    END IF;
    IF changed THEN
        PERFORM app.audit(target, json_build_array(json_build_object(
            'actor_kind', 'platform', 'actor_id', p_given->>'actor', 'actor_name', 'the platform''s operator',
            'action', 'tenant.' || p_verb, 'target_kind', 'tenant', 'target_id', target, 'result', 'done',
            'before', CASE WHEN p_verb = 'rename' THEN json_build_object('name', was.name) END,
            'after', CASE p_verb WHEN 'suspend' THEN json_build_object('reason', p_given->>'reason')
                                 WHEN 'rename' THEN json_build_object('name', p_given->>'name')
                                 WHEN 'invite' THEN json_build_object('email', p_given->>'email') END)));
    END IF;
    IF changed AND p_verb IN ('suspend', 'resume') THEN
        PERFORM pg_notify('tidegate_changed', 'tenant:' || target);
    END IF;
    RETURN QUERY
    SELECT t.id, t.key, t.name, t.created_at, t.suspended_at, t.suspended_reason,
           EXISTS (SELECT FROM memberships m WHERE m.tenant_id = t.id AND m.role = 'owner')
    FROM tenants t WHERE t.id = target;
END $$""",
}

OLD_DOORS = (
    "login(text)",
    "session(bytea)",
    "token(bytea)",
    "invitation(bytea, uuid, text, text)",
    "secure(uuid, text, jsonb)",
    "found(uuid, text, text, uuid, text, text, text)",
)


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS)
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    for old in OLD_DOORS:
        op.execute(f"DROP FUNCTION app.{old}")
    for signature, definition in DOORS.items():
        name = signature.partition("(")[0]
        returns, body = definition.split("AS $$", 1)
        op.execute(
            f"CREATE FUNCTION app.{signature} {returns} SECURITY DEFINER SET search_path = public, pg_temp AS $${body}"
        )
        op.execute(f"REVOKE ALL ON FUNCTION app.{name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION app.{name} TO {APP}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")
    op.execute(BY_THE_OWNER)


def downgrade() -> None:
    raise NotImplementedError("Operators and suspensions would be lost: restore the database instead.")
