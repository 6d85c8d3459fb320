"""How alerts lie in the database."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

alerts = Table(
    "alerts",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("rule_id", Uuid, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("device_id", Uuid, nullable=False),
    Column("episode", BigInteger, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("why", JSONB, nullable=False),
    Column("raised_at", DateTime(timezone=True), nullable=False),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("acknowledged_by", Text),
    Column("note", Text),
    Column("cleared_at", DateTime(timezone=True)),
    Column("cleared_reason", Text),
    Column("version", Integer, nullable=False),
)
