"""How point tables lie in the database."""

from sqlalchemy import Boolean, Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from engine.store.base import metadata, tenant_column

point_tables = Table(
    "point_tables",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("changed_by", Text),
    Column("changed_at", DateTime(timezone=True)),
    Column("said_at", DateTime(timezone=True)),
    Column("running_version", Integer),
    Column("running_points", Integer),
    Column("running_since", DateTime(timezone=True)),
    Column("refused_version", Integer),
    Column("problems", JSONB, nullable=False),
    Column("is_local", Boolean, nullable=False),
    Column("file_text", Text),
)

point_table_versions = Table(
    "point_table_versions",
    metadata,
    tenant_column(),
    Column("device_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("changed_by", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)
"""Those that were replaced; the newest is in `point_tables`."""
