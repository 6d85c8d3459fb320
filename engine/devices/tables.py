"""How devices, their profiles, credentials and presence lie in the database."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    and_,
    case,
)
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

profiles = Table(
    "profiles",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("is_strict", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("reporting_interval_s", Integer),
    Column("commands", JSONB, nullable=False),
    Column("shadow", JSONB, nullable=False),
    Column("retention_days", Integer),
)

profile_versions = Table(
    "profile_versions",
    metadata,
    tenant_column(),
    Column("profile_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("declared", JSONB, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

devices = Table(
    "devices",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("profile_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("quarantined_at", DateTime(timezone=True)),
    Column("quarantine_reason", Text),
    Column("former_key", Text),
    Column("words", Text, Computed("lower(key) || E'\\n' || lower(name)")),
)

# Quarantine lies in the database as suspension with a reason, so that whoever shuts out the suspended shuts these out.
status = case(
    (and_(devices.c.status == "suspended", devices.c.quarantined_at.is_not(None)), "quarantined"),
    else_=devices.c.status,
)

credentials = Table(
    "credentials",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("public_key", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

presence = Table(
    "presence",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("session_epoch", BigInteger, nullable=False),
    Column("seen_epoch", BigInteger, nullable=False),
    Column("is_online", Boolean, nullable=False),
    Column("since", DateTime(timezone=True)),
    Column("reason", Text),
    Column("watched_from", DateTime(timezone=True)),
    Column("silent_since", DateTime(timezone=True)),
    Column("through", JSONB),
)

silence_watches = Table(
    "silence_watches",
    metadata,
    tenant_column(),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
)

device_groups = Table(
    "device_groups",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("filter", JSONB(none_as_null=True)),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

device_group_members = Table(
    "device_group_members",
    metadata,
    tenant_column(),
    Column("group_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("added_at", DateTime(timezone=True), nullable=False),
)

erasures = Table(
    "device_erasures",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("expected", BigInteger, nullable=False),
    Column("erased", JSONB, nullable=False),
    Column("drained_to", BigInteger),
    Column("worked_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)
