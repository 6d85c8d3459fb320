"""Logins by an identity provider: providers of a tenant, whom they vouch for, and people who are one tenant's own.

A provider vouches for people in its own tenant only. Whom it brings, and nobody had invited by password, is a person of
that tenant's own (``users.home_id``): beside the person with the same address whom the platform knows by password, and
never that person. So the doors that find somebody by e-mail address pass over people with a home.

Before anybody has signed in, a tenant's row is found by its key, put into the transaction as ``app.tenant_key``: a
policy shows that one row, and no door is needed.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
APP = "tidegate_app"

PEOPLE = f"""
ALTER TABLE users
    ADD COLUMN home_id uuid REFERENCES tenants,
    DROP CONSTRAINT users_email_key,
    ADD CHECK (home_id IS NULL OR (password_hash IS NULL AND totp IS NULL));
CREATE UNIQUE INDEX users_email ON users (email) WHERE home_id IS NULL;
CREATE UNIQUE INDEX users_home ON users (home_id, email) WHERE home_id IS NOT NULL;
GRANT SELECT (home_id), INSERT (id, email, name, home_id, created_at) ON users TO {APP};
CREATE POLICY home ON users TO {APP}
    USING (home_id = (SELECT app.tenant())) WITH CHECK (home_id = (SELECT app.tenant()));

CREATE FUNCTION app.tenant_key() RETURNS text LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.tenant_key', true), '') $$;
GRANT EXECUTE ON FUNCTION app.tenant_key() TO {APP};
CREATE POLICY by_key ON tenants FOR SELECT TO {APP} USING (key = (SELECT app.tenant_key()));
"""

TABLES = """
CREATE TABLE identity_providers (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    issuer text NOT NULL CHECK (length(issuer) <= 400),
    client_id text NOT NULL CHECK (length(client_id) BETWEEN 1 AND 400),
    client_secret bytea NOT NULL,
    domains text[] NOT NULL CHECK (cardinality(domains) <= 50),
    role text CHECK (role IN ('admin', 'operator', 'designer', 'viewer', 'custom')),
    role_id uuid,  -- no key to roles: a provider does not keep one alive; without it new people need an invitation
    is_enabled boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, issuer, client_id),
    CHECK ((role IS NOT DISTINCT FROM 'custom') = (role_id IS NOT NULL)),
    CHECK (role IS NULL OR cardinality(domains) > 0)
);
CREATE TABLE identities (
    tenant_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id uuid NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, provider_id, subject),
    UNIQUE (tenant_id, provider_id, user_id),
    FOREIGN KEY (tenant_id, provider_id) REFERENCES identity_providers ON DELETE CASCADE
);
CREATE TABLE spent_logins (
    tenant_id uuid NOT NULL REFERENCES tenants,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, secret_sha256)
);
ALTER TABLE sessions
    ADD COLUMN provider_id uuid,
    ADD FOREIGN KEY (tenant_id, provider_id) REFERENCES identity_providers ON DELETE CASCADE;
CREATE INDEX sessions_provider ON sessions (tenant_id, provider_id) WHERE provider_id IS NOT NULL;
"""

GRANTS = {
    "identity_providers": "SELECT, INSERT, UPDATE, DELETE",
    "identities": "SELECT, INSERT, UPDATE, DELETE",
    "spent_logins": "SELECT, INSERT, DELETE",
}

# Where somebody is looked up by e-mail address, people with a home are passed over. The functions are as they stand
# but for that: function → (what it says, what it says from now on). Those of the door belong to it.
BY_ADDRESS = {
    "login": ("WHERE u.email = lower(p_email)", "WHERE u.email = lower(p_email) AND u.home_id IS NULL"),
    "invitation": (
        "FROM users u WHERE u.email = i.email;",
        "FROM users u WHERE u.email = i.email AND u.home_id IS NULL;",
    ),
    "found": (
        "FROM users WHERE email = lower(p_email);",
        "FROM users WHERE email = lower(p_email) AND home_id IS NULL;",
    ),
}
DOORS = {"login", "invitation"}
REPLACE = """
DO $do$
DECLARE
    said text := pg_get_functiondef('app.{name}'::regproc);
BEGIN
    IF length(said) - length(replace(said, $a${old}$a$, '')) <> length($a${old}$a$) THEN
        RAISE EXCEPTION 'app.{name} does not look somebody up once as expected';
    END IF;
    EXECUTE replace(said, $a${old}$a$, $a${new}$a$);
END $do$
"""


def upgrade() -> None:
    op.execute(PEOPLE)
    op.execute(TABLES)
    for table, rights in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(f"GRANT {rights} ON {table} TO {APP}")
        op.execute(f"CREATE POLICY app ON {table} TO {APP} USING ({AS_TENANT}) WITH CHECK ({AS_TENANT})")
    op.execute("GRANT CREATE ON SCHEMA app TO tidegate_door")
    op.execute("SET LOCAL check_function_bodies = off")  # the body of `found` is looked at as the door, who may not
    for name, (old, new) in BY_ADDRESS.items():
        op.execute("SET ROLE tidegate_door" if name in DOORS else "RESET ROLE")
        op.execute(REPLACE.format(name=name, old=old, new=new))
    op.execute("RESET ROLE")
    op.execute("SET LOCAL check_function_bodies = on")
    op.execute("REVOKE CREATE ON SCHEMA app FROM tidegate_door")


def downgrade() -> None:
    raise NotImplementedError("People whom a provider vouched for would be lost: restore the database instead.")
