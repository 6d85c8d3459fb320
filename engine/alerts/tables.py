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
    Column("assigned_to", Uuid),
    Column("assigned_name", Text),
    Column("snoozed_until", DateTime(timezone=True)),
    Column("silenced_until", DateTime(timezone=True)),
    Column("silence_id", Uuid),
)

alert_events = Table(
    "alert_events",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("alert_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text),
)

alert_tellings = Table(
    "alert_tellings",
    metadata,
    tenant_column(),
    Column("alert_id", Uuid, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("message", Text),
)

silences = Table(
    "silences",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("rule_id", Uuid),
    Column("device_id", Uuid),
    Column("group_id", Uuid),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("until_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
)
