"""How telemetry, the latest values, the rejected inbox and the counts lie in the database."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

telemetry = Table(
    "telemetry",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("time", DateTime(timezone=True), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("values", JSONB, nullable=False),
    Column("quality", JSONB),
)

latest = Table(
    "latest",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("values", JSONB, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

rejected = Table(
    "rejected",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("payload_size_bytes", Integer, nullable=False),
    Column("payload_sha256", LargeBinary, nullable=False),
    Column("replayed_at", DateTime(timezone=True)),
)

counts = Table(
    "counts",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("not_kept", BigInteger, nullable=False),
)
