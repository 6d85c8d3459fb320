"""The inbox tells one fault from another, counts all of each, and has what it keeps decided again.

``faults`` counts what was rejected of a device by the reason and what it is about, whether or not the bytes were kept.
``rejected`` says that too, which decoder refused it, whether it stood in a list, and that somebody wants it replayed.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

APP, WORKER, INGEST = (f"tidegate_{role}" for role in ("app", "worker", "ingest"))
AS_TENANT = "tenant_id = (SELECT app.tenant())"
OF_BATCH = "tenant_id = ANY ((SELECT app.tenants()::uuid[])::uuid[])"
WITHIN = "(SELECT app.sees_all()) OR app.sees(device_id)"

TABLES = """
ALTER TABLE rejected
    ADD COLUMN about text NOT NULL DEFAULT '',
    ADD COLUMN decoder smallint NOT NULL DEFAULT 1,
    ADD COLUMN is_part boolean NOT NULL DEFAULT false,
    ADD COLUMN replay_asked_at timestamptz;
CREATE INDEX rejected_asked ON rejected (tenant_id, id) WHERE replay_asked_at IS NOT NULL;
CREATE TABLE faults (
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    reason text NOT NULL,
    about text NOT NULL,
    message text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id, reason, about),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
) WITH (fillfactor = 70);
ALTER TABLE rejected NO FORCE ROW LEVEL SECURITY;
INSERT INTO faults
SELECT tenant_id, device_id, reason, '', (array_agg(message ORDER BY id DESC))[1], count(*), min(received_at),
       max(received_at)
FROM rejected GROUP BY tenant_id, device_id, reason;
ALTER TABLE rejected FORCE ROW LEVEL SECURITY;
"""

GRANTS = {APP: "SELECT, UPDATE, DELETE", WORKER: "SELECT, DELETE", INGEST: "SELECT, INSERT, UPDATE, DELETE"}

# Whoever decides a message again takes it out of the inbox in the transaction that stores it.
REPLAYED = f"""
GRANT SELECT, UPDATE, DELETE ON rejected TO {INGEST};
GRANT DELETE ON rejected TO {APP};
"""

# A process of the version before says an array: what it keeps, and nothing of faults.
REJECT = """
CREATE OR REPLACE FUNCTION app.reject(p_rejected json) RETURNS void
LANGUAGE sql SECURITY INVOKER SET search_path = public, pg_temp AS $$
    INSERT INTO rejected (tenant_id, id, device_id, received_at, reason, about, message, transport, topic, decoder,
                          is_part, payload, payload_size_bytes, payload_sha256)
    SELECT d.tenant_id, r.id, d.id, to_timestamp(r.received_us / 1e6), r.reason, coalesce(r.about, ''), r.message,
           r.transport, r.topic, coalesce(r.decoder, 1), coalesce(r.is_part, false), decode(r.payload, 'base64'),
           r.size_bytes, decode(r.sha256, 'base64')
    FROM json_to_recordset(CASE json_typeof(p_rejected) WHEN 'array' THEN p_rejected ELSE p_rejected -> 'kept' END)
         AS r (tenant_id uuid, id uuid, device_id uuid, received_us bigint, reason text, about text, message text,
               transport text, topic text, decoder smallint, is_part boolean, payload text, size_bytes integer,
               sha256 text)
    JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id;
    INSERT INTO faults AS f (tenant_id, device_id, reason, about, message, count, first_at, last_at)
    SELECT d.tenant_id, d.id, r.reason, r.about, r.message, r.count, to_timestamp(r.first_us / 1e6),
           to_timestamp(r.last_us / 1e6)
    FROM json_to_recordset(CASE json_typeof(p_rejected) WHEN 'array' THEN NULL ELSE p_rejected -> 'faults' END)
         AS r (tenant_id uuid, device_id uuid, reason text, about text, message text, count bigint, first_us bigint,
               last_us bigint)
    JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id
    ORDER BY d.tenant_id, d.id, r.reason, r.about
    ON CONFLICT (tenant_id, device_id, reason, about) DO UPDATE SET
        count = f.count + excluded.count, message = excluded.message,
        first_at = least(f.first_at, excluded.first_at), last_at = greatest(f.last_at, excluded.last_at)
$$;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute("ALTER TABLE faults ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for role, rights in GRANTS.items():
        mine = OF_BATCH if role == INGEST else AS_TENANT
        op.execute(f"GRANT {rights} ON faults TO {role}")
        name = role.removeprefix("tidegate_")
        op.execute(f"CREATE POLICY {name} ON faults TO {role} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"CREATE POLICY limits ON faults AS RESTRICTIVE TO {APP} USING ({WITHIN}) WITH CHECK ({WITHIN})")
    op.execute(REPLAYED)
    op.execute(REJECT)


def downgrade() -> None:
    raise NotImplementedError("What was counted would be lost: restore the database instead.")
