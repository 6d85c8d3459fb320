"""Whoever is limited to groups asks about a whole fleet at once; and newcomers of an identity provider may be limited.

Each policy `limits` that a question about silent devices met had what is seen looked up anew: three times for a page,
five for the counts. What is silent or connected is now found first, for the whole tenant, and of that what is seen:
the devices decide, once, and nothing else leaves these functions.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

APP = "tidegate_app"

FUNCTIONS = f"""
CREATE FUNCTION app.silent() RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
DECLARE
    limited text := current_setting('app.groups', true);
    found uuid[];
BEGIN
    PERFORM set_config('app.groups', '', true);
    found := ARRAY(
        SELECT p.device_id FROM public.presence p
        WHERE p.tenant_id = (SELECT app.tenant()) AND p.silent_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM public.latest l WHERE l.tenant_id = p.tenant_id AND l.device_id = p.device_id
                                          AND l.received_at > p.silent_since));
    PERFORM set_config('app.groups', coalesce(limited, ''), true);
    RETURN QUERY SELECT d.id FROM unnest(found) f (id)
                 JOIN public.devices d ON d.tenant_id = (SELECT app.tenant()) AND d.id = f.id;
END $$;

CREATE FUNCTION app.device_counts(p_profile_id uuid, OUT total bigint, OUT online bigint, OUT silent bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    limited text := current_setting('app.groups', true);
    connected uuid[];
BEGIN
    PERFORM set_config('app.groups', '', true);
    connected := ARRAY(
        SELECT p.device_id FROM public.presence p WHERE p.tenant_id = (SELECT app.tenant()) AND p.is_online);
    PERFORM set_config('app.groups', coalesce(limited, ''), true);
    SELECT count(*), count(*) FILTER (WHERE d.id IN (SELECT unnest(connected))),
           count(*) FILTER (WHERE d.id IN (SELECT app.silent()))
    INTO total, online, silent
    FROM public.devices d
    WHERE d.tenant_id = (SELECT app.tenant()) AND d.status <> 'decommissioned'
      AND (p_profile_id IS NULL OR d.profile_id = p_profile_id);
END $$;

GRANT EXECUTE ON FUNCTION app.silent(), app.device_counts(uuid) TO {APP};
"""

# A group that is gone holds nothing, as in a membership: newcomers limited to it alone see nothing, never everything.
NEWCOMERS = """
ALTER TABLE identity_providers
    ADD COLUMN groups uuid[],
    ADD CHECK (groups IS NULL OR (role IS NOT NULL AND cardinality(groups) > 0));
"""


def upgrade() -> None:
    op.execute(FUNCTIONS)
    op.execute(NEWCOMERS)


def downgrade() -> None:
    raise NotImplementedError("Whom a provider brings would no longer be limited: restore the database instead.")
