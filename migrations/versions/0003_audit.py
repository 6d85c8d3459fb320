"""The audit log: who did what, append-only, each row sealed with the hash of the one before it.

The application may insert and read, never change or delete. The seal is computed in the database, from the columns as
they are stored, so that the same expression proves it later. Whoever could rewrite the whole chain is caught by the
checkpoints, which are signed with a key that the database does not have.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE audit_head (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    seq bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT '\\x'
) WITH (fillfactor = 50);
CREATE TABLE audit (
    tenant_id uuid NOT NULL REFERENCES tenants,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid NOT NULL,
    actor_name text NOT NULL,
    action text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    result text NOT NULL CHECK (result IN ('done', 'denied', 'refused')),
    reason text,
    before jsonb,
    after jsonb,
    address text,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX audit_target ON audit (tenant_id, target_id, seq);
CREATE TABLE audit_checkpoints (
    tenant_id uuid NOT NULL REFERENCES tenants,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
"""

GRANTS = {
    "audit_head": {"app": "SELECT, UPDATE", "worker": "SELECT, UPDATE", "door": "SELECT, INSERT"},
    "audit": {"app": "SELECT, INSERT", "worker": "SELECT, INSERT"},
    "audit_checkpoints": {"app": "SELECT", "worker": "SELECT, INSERT"},
}

FUNCTIONS = """
CREATE FUNCTION app.audit_seal(p_before bytea, p audit) RETURNS bytea
LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
    SELECT sha256(p_before || convert_to(jsonb_build_array(
        p.tenant_id, p.seq, extract(epoch FROM p.at), p.actor_kind, p.actor_id, p.actor_name, p.action, p.target_kind,
        p.target_id, p.result, p.reason, p.before, p.after, p.address)::text, 'UTF8'))
$$;
GRANT EXECUTE ON FUNCTION app.audit_seal(bytea, audit) TO tidegate_app, tidegate_worker;

CREATE FUNCTION app.audit(p_tenant uuid, p_entries json) RETURNS bigint
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    head audit_head;
    entry json;
    sealed audit;
BEGIN
    SELECT * INTO head FROM audit_head h WHERE h.tenant_id = p_tenant FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the audit log of a tenant is not yours to write' USING ERRCODE = '42501';
    END IF;
    FOR entry IN SELECT * FROM json_array_elements(p_entries) LOOP
        SELECT * INTO sealed FROM json_populate_record(NULL::audit, entry);
        head.seq := head.seq + 1;
        sealed.tenant_id := p_tenant;
        sealed.seq := head.seq;
        sealed.at := clock_timestamp();
        head.hash := app.audit_seal(head.hash, sealed);
        sealed.hash := head.hash;
        INSERT INTO audit SELECT sealed.*;
    END LOOP;
    UPDATE audit_head h SET seq = head.seq, hash = head.hash WHERE h.tenant_id = p_tenant;
    RETURN head.seq;
END $$;
GRANT EXECUTE ON FUNCTION app.audit(uuid, json) TO tidegate_app, tidegate_worker;
"""

# A new tenant's log begins with the tenant: a trigger rather than the door, which belongs to another role.
BEGINNING = """
CREATE FUNCTION app.audit_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_head (tenant_id) VALUES (NEW.id);
    RETURN NEW;
END $$;
CREATE TRIGGER audit_begin AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION app.audit_begin();
"""

# For tasks that go through all tenants, each then worked on as that tenant.
DOOR = """
CREATE FUNCTION app.tenants_all() RETURNS TABLE (tenant_id uuid, key text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.key FROM tenants t ORDER BY t.key
$$;
"""

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
    op.execute(FUNCTIONS)
    op.execute(BEGINNING)
    op.execute("GRANT CREATE ON SCHEMA app TO tidegate_door")
    op.execute(DOOR)
    op.execute("ALTER FUNCTION app.tenants_all() OWNER TO tidegate_door")
    op.execute("REVOKE CREATE ON SCHEMA app FROM tidegate_door")
    op.execute("SET ROLE tidegate_door")
    op.execute("GRANT EXECUTE ON FUNCTION app.tenants_all() TO tidegate_worker")
    op.execute("REVOKE ALL ON FUNCTION app.tenants_all() FROM PUBLIC")
    op.execute("RESET ROLE")
    op.execute("SET ROLE tidegate_door")  # who alone sees every tenant there is
    op.execute("INSERT INTO audit_head (tenant_id) SELECT id FROM tenants")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_begin ON tenants")
    for function in ("tenants_all()", "audit_begin()", "audit(uuid, json)", "audit_seal(bytea, audit)"):
        op.execute(f"DROP FUNCTION app.{function}")
    for table in reversed(GRANTS):
        op.execute(f"DROP TABLE {table}")
