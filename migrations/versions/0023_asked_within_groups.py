"""Lists of devices and their counts are asked of what is seen, said in the planner's words, and not of every device.

The policy `limits` of `devices` judges each device of the tenant by a document made of it: 2 us, which with 100,000 of
them is the fifth of a second. The same filters written as plain conditions cost a tenth of that. Only functions may ask
so, for the whole tenant: what a list finds is then looked up as whoever asks, and of counts nothing leaves but numbers
of what these conditions let through.
"""

import importlib

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

APP = "tidegate_app"

CONDITIONS = """
-- What is true of a device `d` that a filter (ADR 19) finds, to be said in a statement; null where it asks for nothing.
-- A label without values may have any.
CREATE FUNCTION app.fits(p_filter jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '(' || string_agg(said, ' AND ') || ')' FROM (
        SELECT CASE WHEN w.value = '[]' THEN format('d.labels->>%L IS NOT NULL', w.key)
               ELSE format('d.labels->>%L = ANY (%L)', w.key, ARRAY(SELECT jsonb_array_elements_text(w.value))) END
        FROM jsonb_each(p_filter->'labels') w
        UNION ALL
        SELECT format('d.profile_id = ANY (%L)', ARRAY(
            SELECT f.id FROM public.profiles f WHERE f.tenant_id = app.tenant()
            AND f.key IN (SELECT jsonb_array_elements_text(p_filter->'profile'))))
        WHERE p_filter ? 'profile'
        UNION ALL
        SELECT format($said$
            CASE WHEN d.status = 'suspended' AND d.quarantined_at IS NOT NULL THEN 'quarantined' ELSE d.status END
            = ANY (%L)$said$, ARRAY(SELECT jsonb_array_elements_text(p_filter->'status')))
        WHERE p_filter ? 'status'
        UNION ALL
        SELECT format('d.key ^@ ANY (%L)', ARRAY(SELECT jsonb_array_elements_text(p_filter->'keyPrefix')))
        WHERE p_filter ? 'keyPrefix'
    ) every (said)
$$;

-- What is true of a device `d` in any of these groups, as far as whoever asks sees the groups themselves.
CREATE FUNCTION app.held(p_groups uuid[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce('(' || string_agg(said, ' OR ') || ')', 'false') FROM (
        SELECT app.fits(g.filter) FROM public.device_groups g
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups)
        UNION ALL
        SELECT format($said$d.id IN (
            SELECT m.device_id FROM public.device_group_members m
            WHERE m.tenant_id = (SELECT app.tenant()) AND m.group_id = ANY (%L))$said$, array_agg(g.id))
        FROM public.device_groups g
        WHERE g.tenant_id = app.tenant() AND g.id = ANY (p_groups) AND g.filter IS NULL HAVING count(*) > 0
    ) every (said)
$$;
CREATE FUNCTION app.held() RETURNS text LANGUAGE sql STABLE
AS $$ SELECT CASE WHEN app.sees_all() THEN 'true' ELSE app.held(app.groups()) END $$;
"""

# What is asked stands behind what is seen in a CASE, whose order holds: neither an error nor the time that an answer
# takes tells what is written on a device that is not seen. All conditions are made before the limit is lifted. The
# planner takes every second device to be one that is asked for, and reads them by their key until a page is full. Words
# mostly find few: an order that no index gives has the devices read as they lie, a third of the time where they lie in
# another order than that of their keys.
QUESTIONS = """
CREATE FUNCTION app.devices_found(
    p_words text, p_labels jsonb, p_profile_id uuid, p_status text, p_online boolean, p_silent boolean, p_group_id uuid,
    p_after text, p_most integer
) RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    limited text := current_setting('app.groups', true);
    question text := format(
        $said$
        SELECT ARRAY(
            SELECT d.id FROM public.devices d
            WHERE d.tenant_id = (SELECT app.tenant()) AND d.key > $1 AND %s AND %s
              AND CASE WHEN %s THEN %s ELSE false END
            ORDER BY %s LIMIT $2
        )$said$,
        CASE WHEN p_status IS NULL THEN $said$d.status <> 'decommissioned'$said$
        ELSE app.fits(jsonb_build_object('status', ARRAY[p_status])) END,
        coalesce('d.profile_id = ' || quote_literal(p_profile_id), 'true'),
        app.held(),
        concat_ws(
            ' AND ',
            app.fits(jsonb_build_object('labels', p_labels)),
            CASE WHEN p_words IS NOT NULL THEN $said$d.words LIKE '%' || lower($3) || '%'$said$ END,
            CASE WHEN p_online IS NOT NULL THEN $said$
                $4 = EXISTS (
                    SELECT FROM public.presence p
                    WHERE p.tenant_id = (SELECT app.tenant()) AND p.device_id = d.id AND p.is_online)$said$ END,
            CASE WHEN p_silent IS NOT NULL THEN '$5 = (d.id IN (SELECT app.silent()))' END,
            CASE WHEN p_group_id IS NOT NULL THEN app.held(ARRAY[p_group_id]) END,
            'true'
        ),
        CASE WHEN p_words IS NULL THEN 'd.key' ELSE $said$d.key || ''$said$ END
    );
    found uuid[];
BEGIN
    PERFORM set_config('app.groups', '', true);
    EXECUTE question INTO found USING p_after, p_most, p_words, p_online, p_silent;
    PERFORM set_config('app.groups', coalesce(limited, ''), true);
    RETURN QUERY SELECT unnest(found);
END $$;

CREATE OR REPLACE FUNCTION app.device_counts(
    p_profile_id uuid, OUT total bigint, OUT online bigint, OUT silent bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    limited text := current_setting('app.groups', true);
    question text := format(
        $said$
        SELECT count(*),
               count(*) FILTER (WHERE d.id IN (
                   SELECT p.device_id FROM public.presence p
                   WHERE p.tenant_id = (SELECT app.tenant()) AND p.is_online)),
               count(*) FILTER (WHERE d.id IN (SELECT app.silent()))
        FROM public.devices d
        WHERE d.tenant_id = (SELECT app.tenant()) AND d.status <> 'decommissioned' AND %s AND %s$said$,
        coalesce('d.profile_id = ' || quote_literal(p_profile_id), 'true'), app.held()
    );
BEGIN
    PERFORM set_config('app.groups', '', true);
    EXECUTE question INTO total, online, silent;
    PERFORM set_config('app.groups', coalesce(limited, ''), true);
END $$;
"""

SIGNATURES = (
    "app.fits(jsonb)",
    "app.held(uuid[])",
    "app.held()",
    "app.devices_found(text, jsonb, uuid, text, boolean, boolean, uuid, text, integer)",
)


def upgrade() -> None:
    op.execute(CONDITIONS)
    op.execute(QUESTIONS)
    op.execute(f"GRANT EXECUTE ON FUNCTION {', '.join(SIGNATURES)} TO {APP}")


def downgrade() -> None:
    """Back to counts that ask every device."""
    before = importlib.import_module("migrations.versions.0021_within_groups")
    op.execute(f"DROP FUNCTION {', '.join(SIGNATURES)}, app.silent(), app.device_counts(uuid)")
    op.execute(before.FUNCTIONS)
