"""How certificate authorities and what they signed lie in the database."""

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Text, Uuid

from engine.store.base import metadata, tenant_column

authorities = Table(
    "authorities",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("certificate", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("vault", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("superseded_at", DateTime(timezone=True)),
    Column("retired_at", DateTime(timezone=True)),
)

certificates = Table(
    "certificates",
    metadata,
    tenant_column(),
    Column("credential_id", Uuid, primary_key=True),
    Column("authority_id", Uuid, nullable=False),
    Column("serial", Text, nullable=False),
    Column("pem", Text, nullable=False),
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("not_after", DateTime(timezone=True), nullable=False),
    Column("key_sha256", LargeBinary),
    Column("key_kind", Text),
    Column("key_bits", Integer),
)
