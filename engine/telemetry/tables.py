"""How the counts of what came of a device's messages lie in the database."""

from sqlalchemy import BigInteger, Column, DateTime, Table, Uuid

from engine.store.base import metadata, tenant_column

counts = Table(
    "counts",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("not_kept", BigInteger, nullable=False),
)
