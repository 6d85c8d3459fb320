"""How tenants, people, roles, invitations, sessions and API tokens lie in the database."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from engine.store.base import metadata, tenant_column

tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("suspended_at", DateTime(timezone=True)),
    Column("suspended_reason", Text),
    Column("is_platform", Boolean, nullable=False),
    Column("time_zone", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # what only the doors see
    Column("password_hash", Text),
    Column("totp", LargeBinary),
    Column("totp_since", DateTime(timezone=True)),
    Column("totp_step", BigInteger, nullable=False),
    Column("recovery", ARRAY(LargeBinary), nullable=False),
    Column("factor_reset_at", DateTime(timezone=True)),
    Column("factor_reset_by", Text),
    # whose own they are: people whom only one tenant's identity provider vouches for
    Column("home_id", Uuid),
)

memberships = Table(
    "memberships",
    metadata,
    tenant_column(),
    Column("user_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    Column("role_id", Uuid),
    Column("groups", ARRAY(Uuid)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("is_platform", Boolean, Computed("role = 'platform'"), nullable=False),
)

roles = Table(
    "roles",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("role_id", Uuid),
    Column("groups", ARRAY(Uuid)),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("accepted_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("is_platform", Boolean, Computed("role = 'platform'"), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("agent", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("last_seen_at", DateTime(timezone=True)),
    Column("provider_id", Uuid),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    tenant_column(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("groups", ARRAY(Uuid)),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

idempotency = Table(
    "idempotency",
    metadata,
    tenant_column(),
    Column("principal_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
