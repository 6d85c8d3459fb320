"""A grant may be limited to groups of devices: the database holds it, for every query there is and will be (ADR 30).

``app.groups`` says in a transaction which groups whoever acts is limited to; unset, they see all devices of the tenant.
Restrictive policies of the role app narrow what the policies before let through. Whoever is unlimited pays for one look
at that setting in a statement. What decides is asked of the devices as they are at that moment; about what belongs to a
device a function decides, so that it is not planned where it is not needed.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

APP, DOOR = "tidegate_app", "tidegate_door"

COLUMNS = """
ALTER TABLE memberships ADD COLUMN groups uuid[] CHECK (role NOT IN ('owner', 'platform') OR groups IS NULL);
ALTER TABLE invitations ADD COLUMN groups uuid[] CHECK (role NOT IN ('owner', 'platform') OR groups IS NULL);
ALTER TABLE api_tokens ADD COLUMN groups uuid[];
"""

# A group that is gone holds nothing: whoever was limited to it alone sees nothing, never everything.
FUNCTIONS = f"""
CREATE FUNCTION app.groups() RETURNS uuid[] LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.groups', true), '')::uuid[] $$;
CREATE FUNCTION app.sees_all() RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT coalesce(current_setting('app.groups', true), '') = '' $$;

-- Said once a transaction, as the first thing in it: the groups, and their filters (ADR 19) as questions to a device,
-- paths of SQL/JSON, which the database evaluates without looking anywhere else. Filters that ask for labels alone are
-- a question to the labels (`app.label_filters`): a tenth of the price of one to all parts of a device (`app.filters`).
CREATE FUNCTION app.limit_to(p_groups uuid[]) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT set_config('app.groups', p_groups::text, true);
    WITH asked AS (
        SELECT g.id, 'label' AS about, to_json(w.key) || ' == ' || to_json(v.v) AS said, w.key AS part
        FROM public.device_groups g, jsonb_each(g.filter->'labels') w, jsonb_array_elements_text(w.value) v (v)
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups)
        UNION ALL
        SELECT g.id, 'status', '$.status == ' || to_json(v.v), ''
        FROM public.device_groups g, jsonb_array_elements_text(g.filter->'status') v (v)
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups)
        UNION ALL
        SELECT g.id, 'key', '$.key starts with ' || to_json(v.v), ''
        FROM public.device_groups g, jsonb_array_elements_text(g.filter->'keyPrefix') v (v)
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups)
        UNION ALL
        SELECT g.id, 'profile', '$.profile == ' || to_json(coalesce(f.id::text, '')), ''
        FROM public.device_groups g CROSS JOIN jsonb_array_elements_text(g.filter->'profile') v (v)
        LEFT JOIN public.profiles f ON f.tenant_id = g.tenant_id AND f.key = v.v
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups)
    ), found AS (
        SELECT *, bool_and(about = 'label') OVER (PARTITION BY id) AS is_label FROM asked
    ), every AS (
        SELECT id, is_label, '(' || string_agg(
            CASE WHEN about <> 'label' THEN said WHEN is_label THEN '$.' || said ELSE '$.labels.' || said END, ' || '
        ) || ')' AS said
        FROM found GROUP BY id, is_label, about, part
    ), of_group AS (
        SELECT is_label, '(' || string_agg(said, ' && ') || ')' AS said FROM every GROUP BY id, is_label
    )
    SELECT set_config('app.label_filters', coalesce(string_agg(said, ' || ') FILTER (WHERE is_label), ''), true),
           set_config('app.filters', coalesce(string_agg(said, ' || ') FILTER (WHERE NOT is_label), ''), true)
    FROM of_group
$$;
CREATE FUNCTION app.label_filter() RETURNS jsonpath LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.label_filters', true), '')::jsonpath $$;
CREATE FUNCTION app.filter() RETURNS jsonpath LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.filters', true), '')::jsonpath $$;

-- Who was put into the groups: read once a statement and hashed where it goes through devices, looked up where one
-- device is asked about (`app.sees`). Written out in the policy the set looked so dear to the planner that whoever sees
-- all got other plans for their joins, which were four times as slow.
CREATE FUNCTION app.members() RETURNS SETOF uuid LANGUAGE plpgsql STABLE COST 1 ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT m.device_id FROM public.device_group_members m
                 WHERE m.tenant_id = (SELECT app.tenant()) AND m.group_id = ANY ((SELECT app.groups())::uuid[]);
END $$;
CREATE FUNCTION app.is_member(p_device_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE COST 1 AS $$
BEGIN
    RETURN EXISTS (SELECT FROM public.device_group_members m
                   WHERE m.tenant_id = (SELECT app.tenant()) AND m.device_id = p_device_id
                     AND m.group_id = ANY ((SELECT app.groups())::uuid[]));
END $$;
CREATE FUNCTION app.asks_for_one() RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT coalesce(current_setting('app.one', true), '') = 'on' $$;

-- Whether whoever acts sees this device; for what belongs to one.
CREATE FUNCTION app.sees(p_device_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE COST 1 AS $$
DECLARE
    it_does boolean;
BEGIN
    PERFORM set_config('app.one', 'on', true);
    it_does := EXISTS (SELECT FROM public.devices d WHERE d.tenant_id = (SELECT app.tenant()) AND d.id = p_device_id);
    PERFORM set_config('app.one', '', true);
    RETURN it_does;
END $$;
-- The same for a statement that goes through what belongs to many devices, and says so (Tx.rows_of_many).
CREATE FUNCTION app.seen() RETURNS SETOF uuid LANGUAGE plpgsql STABLE COST 1 ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT d.id FROM public.devices d WHERE d.tenant_id = (SELECT app.tenant());
END $$;
CREATE FUNCTION app.reads_many() RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT coalesce(current_setting('app.many', true), '') = 'on' $$;
CREATE FUNCTION app.sees_credential(p_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE COST 1 AS $$
BEGIN
    RETURN EXISTS (SELECT FROM public.credentials c WHERE c.tenant_id = (SELECT app.tenant()) AND c.id = p_id);
END $$;

-- A rule that names its devices is seen by whoever sees one of them.
CREATE FUNCTION app.sees_rule(p_document jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF jsonb_typeof(p_document->'scope'->'devices') IS DISTINCT FROM 'array' THEN
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM jsonb_array_elements_text(p_document->'scope'->'devices') n
                   JOIN public.devices d ON d.tenant_id = app.tenant() AND d.id::text = n);
END $$;

-- A quota is the tenant's: it counts the devices that whoever acts does not see as well, and says nothing but a number.
CREATE FUNCTION app.devices_held() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    limited text := current_setting('app.groups', true);
    held bigint;
BEGIN
    PERFORM set_config('app.groups', '', true);
    SELECT count(*) INTO held FROM public.devices d WHERE d.tenant_id = app.tenant() AND d.status <> 'decommissioned';
    PERFORM set_config('app.groups', coalesce(limited, ''), true);
    RETURN held;
END $$;
GRANT EXECUTE ON FUNCTION app.groups(), app.sees_all(), app.limit_to(uuid[]), app.label_filter(), app.filter(),
    app.members(), app.is_member(uuid), app.asks_for_one(), app.sees(uuid), app.seen(), app.reads_many(),
    app.sees_credential(uuid), app.sees_rule(jsonb), app.devices_held() TO {APP};
"""

OF_DEVICE = """
    CASE WHEN (SELECT app.reads_many()) THEN device_id IN (SELECT app.seen()) ELSE app.sees(device_id) END"""

WITHIN = {
    "devices": """
        labels @@ (SELECT app.label_filter())
        OR CASE WHEN (SELECT app.asks_for_one()) THEN app.is_member(id) ELSE id IN (SELECT app.members()) END
        OR (SELECT app.filter()) IS NOT NULL AND jsonb_build_object(
               'labels', labels, 'key', key, 'profile', profile_id, 'status',
               CASE WHEN status = 'suspended' AND quarantined_at IS NOT NULL THEN 'quarantined' ELSE status END
           ) @@ (SELECT app.filter())""",
    "certificates": "app.sees_credential(credential_id)",
    "device_groups": "id = ANY ((SELECT app.groups())::uuid[])",
    "device_group_members": "group_id = ANY ((SELECT app.groups())::uuid[])",
    **dict.fromkeys(
        (
            *("credentials", "presence", "telemetry", "latest", "rejected", "counts", "rule_state", "alerts"),
            *("device_erasures", "device_transfers", "fleet_findings"),
        ),
        OF_DEVICE,
    ),
}
"""Table → what is true of the rows that somebody limited sees, and of those they write."""

CLOSED = (
    *("invitations", "provisioners", "provisioner_groups", "enrolments", "transfer_codes"),
    *("fleet_audits", "identity_providers", "identities"),
)
"""Tables that nobody limited sees or writes: they are about the whole tenant."""

WRITES_CLOSED = ("memberships", "roles", "profiles", "rules", "rule_versions", "device_groups", "quotas")
"""Tables that nobody limited writes, whatever they may read in them."""

ALL = "(SELECT app.sees_all())"

# The doors that tell who somebody is also tell what they are limited to. They are as they stand but for that:
# function → (what it says, what it says from now on), each found once.
DOORS: dict[str, tuple[tuple[str, str], ...]] = {
    "login(text)": (
        ("factor_reset_by text)", "factor_reset_by text, groups uuid[])"),
        ("u.factor_reset_by\n", "u.factor_reset_by, m.groups\n"),
    ),
    "session(bytea)": (
        ("is_suspended boolean)", "is_suspended boolean, groups uuid[])"),
        ("t.suspended_at IS NOT NULL\n", "t.suspended_at IS NOT NULL, m.groups\n"),
    ),
    "token(bytea)": (
        ("is_suspended boolean)", "is_suspended boolean, groups uuid[])"),
        ("t.suspended_at IS NOT NULL\n", "t.suspended_at IS NOT NULL, a.groups\n"),
    ),
    "invitation(bytea, uuid, text, text)": (
        ("is_suspended boolean)", "is_suspended boolean, groups uuid[])"),
        ("cardinality(u.recovery), suspended\n", "cardinality(u.recovery), suspended, i.groups\n"),
        (
            "(tenant_id, user_id, role, role_id) VALUES (i.tenant_id, known, i.role, i.role_id)",
            "(tenant_id, user_id, role, role_id, groups) VALUES (i.tenant_id, known, i.role, i.role_id, i.groups)",
        ),
    ),
}
REPLACE = """
DO $do$
DECLARE
    said text := pg_get_functiondef('app.{signature}'::regprocedure);
    change text[];
BEGIN
    FOREACH change SLICE 1 IN ARRAY {changes} LOOP
        IF length(said) - length(replace(said, change[1], '')) <> length(change[1]) THEN
            RAISE EXCEPTION 'app.{signature} does not say "%" once', change[1];
        END IF;
        said := replace(said, change[1], change[2]);
    END LOOP;
    DROP FUNCTION app.{signature};
    EXECUTE said;
    REVOKE ALL ON FUNCTION app.{signature} FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION app.{signature} TO {app};
END $do$
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(FUNCTIONS)
    for table, within in WITHIN.items():
        _limit(table, f"{ALL} OR {within}")
    for table in CLOSED:
        _limit(table, ALL)
    for table in WRITES_CLOSED:
        for command, clause in (("INSERT", "WITH CHECK"), ("UPDATE", "USING"), ("DELETE", "USING")):
            op.execute(
                f"CREATE POLICY limits_{command.lower()} ON {table} AS RESTRICTIVE FOR {command} TO {APP} "
                f"{clause} ({ALL})"
            )
    op.execute(f"CREATE POLICY limits_insert ON api_tokens AS RESTRICTIVE FOR INSERT TO {APP} WITH CHECK ({ALL})")
    shown = f"{ALL} OR app.sees_rule(document)"
    for table in ("rules", "rule_versions"):
        op.execute(f"CREATE POLICY limits ON {table} AS RESTRICTIVE FOR SELECT TO {APP} USING ({shown})")
    op.execute(f"CREATE POLICY limits ON audit AS RESTRICTIVE FOR SELECT TO {APP} USING ({ALL})")
    op.execute(
        f"CREATE POLICY limits_insert ON device_group_members AS RESTRICTIVE FOR INSERT TO {APP} "
        f"WITH CHECK ({ALL} OR app.sees(device_id))"
    )
    _doors()


def _limit(table: str, condition: str) -> None:
    op.execute(f"CREATE POLICY limits ON {table} AS RESTRICTIVE TO {APP} USING ({condition}) WITH CHECK ({condition})")


def _doors() -> None:
    """As the door, whom its functions belong to; it may create them only for as long as this lasts."""
    op.execute(f"GRANT CREATE ON SCHEMA app TO {DOOR}")
    op.execute(f"SET ROLE {DOOR}")
    for signature, changes in DOORS.items():
        pairs = ", ".join(f"ARRAY[E'{_quoted(old)}', E'{_quoted(new)}']" for old, new in changes)
        op.execute(REPLACE.format(signature=signature, changes=f"ARRAY[{pairs}]", app=APP))
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA app FROM {DOOR}")


def _quoted(said: str) -> str:
    return said.replace("\n", "\\n")


def downgrade() -> None:
    raise NotImplementedError("Whoever is limited would see everything: restore the database instead.")
