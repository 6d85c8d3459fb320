"""How transfers, audits and their findings lie in the database."""

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

transfers = Table(
    "device_transfers",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("code_sha256", LargeBinary, nullable=False),
    Column("to_tenant", Text),
    Column("offered_by", Text, nullable=False),
    Column("offered_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("accepted_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
)

codes = Table(
    "transfer_codes",
    metadata,
    tenant_column(),
    Column("secret_sha256", LargeBinary, primary_key=True),
    Column("giver", Uuid, nullable=False),
    Column("transfer_id", Uuid, nullable=False),
    Column("device_id", Uuid),
    Column("spent_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
)

audits = Table(
    "fleet_audits",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("trigger", Text, nullable=False),
    Column("devices", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
)

findings = Table(
    "fleet_findings",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("device_id", Uuid),
    Column("facts", JSONB, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("suppressed_at", DateTime(timezone=True)),
    Column("suppressed_until", DateTime(timezone=True)),
    Column("suppressed_by", Text),
    Column("suppressed_reason", Text),
)
