"""How rules, their versions and what they remember of each device lie in the database."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

rules = Table(
    "rules",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("is_shadow", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
    Column("times_off", Integer, nullable=False),
)

rule_versions = Table(
    "rule_versions",
    metadata,
    tenant_column(),
    Column("rule_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

rule_state = Table(
    "rule_state",
    metadata,
    tenant_column(),
    Column("rule_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("state", JSONB, nullable=False),
    Column("due_at", DateTime(timezone=True)),
)

rule_notices = Table(
    "rule_notices",
    metadata,
    tenant_column(),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("message", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("times", BigInteger, nullable=False),
)

rule_drafts = Table(
    "rule_drafts",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("rule_id", Uuid),
    Column("rule_version", Integer),
    Column("document", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
)

rule_firings = Table(
    "rule_firings",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("rule_id", Uuid, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("device_id", Uuid, nullable=False),
    Column("episode", BigInteger, nullable=False),
    Column("fired_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("why", JSONB, nullable=False),
    Column("would", JSONB, nullable=False),
    Column("cleared_at", DateTime(timezone=True)),
    Column("cleared_reason", Text),
)

rule_non_firings = Table(
    "rule_non_firings",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("rule_id", Uuid, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("device_id", Uuid, nullable=False),
    Column("looked_at", DateTime(timezone=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("phase", Text, nullable=False),
    Column("verdict", Boolean),
    Column("is_near", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("why", JSONB, nullable=False),
)
