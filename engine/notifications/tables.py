"""How channels, notification policies and deliveries lie in the database."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

channels = Table(
    "channels",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("failures", Integer, nullable=False),
    Column("failing_since", DateTime(timezone=True)),
    Column("last_error", Text),
    Column("last_success_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

policies = Table(
    "notification_policies",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("severities", ARRAY(Text), nullable=False),
    Column("steps", JSONB, nullable=False),
    Column("quiet_hours", JSONB),
    Column("repeat_min", Integer),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("channel_id", Uuid),
    Column("policy", Text),
    Column("target", Text, nullable=False),
    Column("message", JSONB, nullable=False),
    Column("secret", LargeBinary),
    Column("about", Uuid),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True)),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
)
