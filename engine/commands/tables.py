"""How commands lie in the database."""

from sqlalchemy import Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

commands = Table(
    "commands",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("command", Text, nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("reason", Text),
    Column("result", JSONB),
    Column("late", JSONB),
    Column("rule_id", Uuid),
    Column("version", Integer, nullable=False),
    Column("handed_until", DateTime(timezone=True)),
)
