"""What must reach people outside: channels, policies and deliveries.

A delivery under way keeps ``next_at``, the end of its lease: whoever dies with it leaves it to the next.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

AS_TENANT = "tenant_id = (SELECT app.tenant())"
APP, WORKER, DOOR = (f"tidegate_{role}" for role in ("app", "worker", "door"))

TABLES = """
CREATE TABLE channels (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('email', 'webhook', 'slack', 'teams', 'telegram', 'sms')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    target text NOT NULL,
    settings jsonb NOT NULL,
    secret bytea NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text,
    last_success_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CREATE TABLE notification_policies (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    key text NOT NULL CHECK (key ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    severities text[] NOT NULL CHECK (severities <@ ARRAY['info', 'minor', 'major', 'critical']),
    steps jsonb NOT NULL,
    quiet_hours jsonb,
    repeat_min integer CHECK (repeat_min BETWEEN 1 AND 10080),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key)
);
CREATE TABLE deliveries (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('email', 'webhook', 'slack', 'teams', 'telegram', 'sms')),
    channel_id uuid,
    policy text,
    target text NOT NULL,
    message jsonb NOT NULL,
    secret bytea,
    about uuid,
    state text NOT NULL CHECK (state IN ('waiting', 'sending', 'retrying', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, channel_id) REFERENCES channels ON DELETE SET NULL (channel_id),
    CHECK ((next_at IS NULL) = (state IN ('delivered', 'given_up'))),
    CHECK ((ended_at IS NOT NULL) = (state IN ('delivered', 'given_up')))
);
CREATE INDEX deliveries_due ON deliveries (tenant_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_newest ON deliveries (tenant_id, created_at, id);
CREATE INDEX deliveries_channel ON deliveries (tenant_id, channel_id, created_at);
CREATE INDEX deliveries_about ON deliveries (tenant_id, about) WHERE about IS NOT NULL;
"""

GRANTS: dict[str, dict[str, str]] = {
    "channels": {APP: "SELECT, INSERT, UPDATE, DELETE", WORKER: "SELECT, UPDATE"},
    "notification_policies": {APP: "SELECT, INSERT, UPDATE, DELETE", WORKER: "SELECT"},
    "deliveries": {
        APP: "SELECT, INSERT, UPDATE",
        WORKER: "SELECT, INSERT, UPDATE, DELETE",
        DOOR: "SELECT (tenant_id, next_at)",
    },
}

# The worker tells the owners when a channel was switched off; it needs to know who they are.
OWNERS = f"""
GRANT SELECT (tenant_id, user_id, role) ON memberships TO {WORKER};
GRANT SELECT (id, email) ON users TO {WORKER};
CREATE POLICY worker_mail ON memberships FOR SELECT TO {WORKER} USING ({AS_TENANT});
CREATE POLICY worker_mail ON users FOR SELECT TO {WORKER}
    USING (id IN (SELECT m.user_id FROM memberships m WHERE m.tenant_id = (SELECT app.tenant())));
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table, grants in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for role, rights in grants.items():
            op.execute(f"GRANT {rights} ON {table} TO {role}")
            condition = "true" if role == DOOR else AS_TENANT
            name = role.removeprefix("tidegate_")
            op.execute(f"CREATE POLICY {name} ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})")
    op.execute(OWNERS)


def downgrade() -> None:
    raise NotImplementedError("What waits to be delivered would be lost: restore the database instead.")
