"""How identity providers, and whom they vouched for, lie in the database."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid

from engine.store.base import metadata, tenant_column

identity_providers = Table(
    "identity_providers",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_secret", LargeBinary, nullable=False),
    Column("domains", ARRAY(Text), nullable=False),
    Column("role", Text),
    Column("role_id", Uuid),
    Column("groups", ARRAY(Uuid)),
    Column("is_enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

identities = Table(
    "identities",
    metadata,
    tenant_column(),
    Column("provider_id", Uuid, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

spent_logins = Table(
    "spent_logins",
    metadata,
    tenant_column(),
    Column("secret_sha256", LargeBinary, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
