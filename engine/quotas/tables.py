"""How quotas and usage lie in the database."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Table

from engine.store.base import metadata, tenant_column

quotas = Table(
    "quotas",
    metadata,
    tenant_column(),
    Column("devices", Integer),
    Column("messages_per_s", Integer),
    Column("values_per_s", Integer),
    Column("storage_days", Integer),
    Column("subscriptions", Integer),
    Column("api_cost_per_min", Integer),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

usage = Table(
    "usage",
    metadata,
    tenant_column(),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("values", BigInteger, nullable=False),
    Column("api_cost", BigInteger, nullable=False),
    Column("api_refused", BigInteger, nullable=False),
    Column("streams_peak", Integer, nullable=False),
    Column("devices", Integer),
)
