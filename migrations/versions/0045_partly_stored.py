"""What lies in the inbox may be what was left out of a reading whose rest is stored (ADR 79).

``rejected`` says of such which row the rest is, and which metrics were left out; ``faults`` counts how many they are.
"""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE rejected ADD COLUMN rest_time timestamptz, ADD COLUMN rest_seq bigint, ADD COLUMN left_out text[];
ALTER TABLE faults ADD COLUMN partial bigint NOT NULL DEFAULT 0;
"""

# As of 0026, with the rest. A process of the version before says nothing of it.
REJECT = """
CREATE OR REPLACE FUNCTION app.reject(p_rejected json) RETURNS void
LANGUAGE sql SECURITY INVOKER SET search_path = public, pg_temp AS $$
    INSERT INTO rejected (tenant_id, id, device_id, received_at, reason, about, message, transport, topic, decoder,
                          is_part, payload, payload_size_bytes, payload_sha256, rest_time, rest_seq, left_out)
    SELECT d.tenant_id, r.id, d.id, to_timestamp(r.received_us / 1e6), r.reason, coalesce(r.about, ''), r.message,
           r.transport, r.topic, coalesce(r.decoder, 1), coalesce(r.is_part, false), decode(r.payload, 'base64'),
           r.size_bytes, decode(r.sha256, 'base64'), to_timestamp(r.rest_ms / 1e3), r.rest_seq, r.left_out
    FROM json_to_recordset(CASE json_typeof(p_rejected) WHEN 'array' THEN p_rejected ELSE p_rejected -> 'kept' END)
         AS r (tenant_id uuid, id uuid, device_id uuid, received_us bigint, reason text, about text, message text,
               transport text, topic text, decoder smallint, is_part boolean, payload text, size_bytes integer,
               sha256 text, rest_ms bigint, rest_seq bigint, left_out text[])
    JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id;
    INSERT INTO faults AS f (tenant_id, device_id, reason, about, message, count, partial, first_at, last_at)
    SELECT d.tenant_id, d.id, r.reason, r.about, r.message, r.count, coalesce(r.partial, 0),
           to_timestamp(r.first_us / 1e6), to_timestamp(r.last_us / 1e6)
    FROM json_to_recordset(CASE json_typeof(p_rejected) WHEN 'array' THEN NULL ELSE p_rejected -> 'faults' END)
         AS r (tenant_id uuid, device_id uuid, reason text, about text, message text, count bigint, partial bigint,
               first_us bigint, last_us bigint)
    JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id
    ORDER BY d.tenant_id, d.id, r.reason, r.about
    ON CONFLICT (tenant_id, device_id, reason, about) DO UPDATE SET
        count = f.count + excluded.count, partial = f.partial + excluded.partial, message = excluded.message,
        first_at = least(f.first_at, excluded.first_at), last_at = greatest(f.last_at, excluded.last_at)
$$;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(REJECT)


def downgrade() -> None:
    raise NotImplementedError("What was left out of readings would look as if it had been rejected whole.")
