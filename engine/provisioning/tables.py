"""How ways in and enrolments lie in the database."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

provisioners = Table(
    "provisioners",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("profile_id", Uuid),
    Column("needs_approval", Boolean, nullable=False),
    Column("rule", JSONB(none_as_null=True)),
    Column("max_uses", Integer),
    Column("uses", Integer, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("certificate", Text),
    Column("authority_id", Uuid),
    Column("created_by", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

provisioner_groups = Table(
    "provisioner_groups",
    metadata,
    tenant_column(),
    Column("provisioner_id", Uuid, primary_key=True),
    Column("group_id", Uuid, primary_key=True),
)

enrolments = Table(
    "enrolments",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("provisioner_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("material", LargeBinary),
    Column("material_sha256", LargeBinary, nullable=False),
    Column("ticket_sha256", LargeBinary),
    Column("device_key", Text),
    Column("name", Text),
    Column("labels", JSONB, nullable=False),
    Column("profile_id", Uuid),
    Column("groups", ARRAY(Uuid), nullable=False),
    Column("reason", Text),
    Column("device_id", Uuid),
    Column("address", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
)
