"""A database that is in use when it is brought up to date keeps what it holds, and works on as before."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import text

import migrations
from engine.store.pool import Store
from engine.tenancy import SCOPES, Principal, Role, system
from engine.tenants import doorway
from infra.local.postgres import Postgres
from tests.support.catalogue import faults

LANDED = "0011"
"""The last revision that databases in use may stand at."""
REVERSIBLE = "0022", "0025"
"""Revisions between which one can go back, and does."""

FILLED = """
INSERT INTO tenants (id, key, name) VALUES (%(tenant)s, 'old', 'Old');
INSERT INTO users (id, email, name) VALUES (%(user)s, 'ada@old.example', 'Ada');
INSERT INTO memberships (tenant_id, user_id, role) VALUES (%(tenant)s, %(user)s, 'operator');
INSERT INTO invitations (tenant_id, id, email, role, secret_sha256, invited_by, expires_at)
    VALUES (%(tenant)s, %(user)s, 'bob@old.example', 'viewer', sha256('tgi_before'), 'Ada', now() + interval '1 day');
INSERT INTO sessions (tenant_id, id, user_id, secret_sha256, expires_at)
    VALUES (%(tenant)s, %(user)s, %(user)s, sha256('tgs_before'), now() + interval '1 day');
INSERT INTO api_tokens (tenant_id, id, name, prefix, secret_sha256, scopes, created_by)
    VALUES (%(tenant)s, %(user)s, 'script', 'tg_b', sha256('tg_before'), '{devices:read}', 'Ada');
INSERT INTO profiles (tenant_id, id, key, name, metrics, version)
    VALUES (%(tenant)s, %(profile)s, 'pump', 'Pump', '[{"key": "t", "type": "number"}]', 3);
INSERT INTO devices (tenant_id, id, key, name, profile_id, status, labels) VALUES
    (%(tenant)s, %(device)s, 'pump-1', 'Pump', %(profile)s, 'active', '{"site": "7"}'),
    (%(tenant)s, %(other)s, 'pump-2', 'Pump', %(profile)s, 'active', '{}');
INSERT INTO presence (tenant_id, device_id, session_epoch, is_online, since)
    SELECT tenant_id, id, 4, true, now() FROM devices;
INSERT INTO device_groups (tenant_id, id, key, name, filter)
    VALUES (%(tenant)s, %(group)s, 'seven', 'Seven', '{"labels": {"site": ["7"]}}');
INSERT INTO rules (tenant_id, id, name, severity, document, is_enabled)
    VALUES (%(tenant)s, %(rule)s, 'Warm', 'major', %(document)s, true);
INSERT INTO rule_versions (tenant_id, rule_id, version, document, created_by)
    VALUES (%(tenant)s, %(rule)s, 1, %(document)s, 'Ada');
INSERT INTO rule_state (tenant_id, rule_id, device_id, state, due_at)
    VALUES (%(tenant)s, %(rule)s, %(device)s, '{}', now());
INSERT INTO alerts (tenant_id, id, rule_id, rule_version, device_id, episode, severity, status, reason, why, raised_at)
    VALUES (%(tenant)s, %(rule)s, %(rule)s, 1, %(other)s, 1, 'major', 'active', 'warm', '{}', now());
INSERT INTO authorities (tenant_id, id, certificate, sealed_key, vault, expires_at)
    VALUES (%(tenant)s, %(group)s, 'PEM', 'sealed', 'local', now() + interval '1 year');
INSERT INTO provisioners (tenant_id, id, kind, name, mode, needs_approval, secret_sha256, certificate, created_by)
    VALUES (%(tenant)s, %(rule)s, 'claim', 'May', 'preregistered', false, sha256('claim'), 'PEM', 'Ada'),
           (%(tenant)s, %(user)s, 'key', 'June', 'preregistered', false, sha256('key'), NULL, 'Ada');
INSERT INTO journal_head (tenant_id, pos) VALUES (%(tenant)s, 7);
INSERT INTO readers (tenant_id, reader, pos) VALUES (%(tenant)s, 'drain', 7);
"""
COUNTED = text(
    "SELECT (SELECT count(*) FROM devices) AS devices, (SELECT count(*) FROM presence) AS presence, "
    "(SELECT count(*) FROM alerts) AS alerts"
)
IDS = ("tenant", "user", "profile", "device", "other", "group", "rule")


@pytest.fixture
def upgraded(postgres: Postgres) -> Iterator[dict[str, UUID]]:
    """A database with rows in every table that later revisions touch, brought up to date; the ids of what it holds."""
    ids = {name: uuid4() for name in IDS}
    postgres.bootstrap("aged")
    migrations.upgrade(postgres.url("owner", "aged"), LANDED)
    with psycopg.connect(postgres.url("superuser", "aged")) as connection:
        for statement in FILLED.split(";\n")[:-1]:
            connection.execute(statement, {**ids, "document": Jsonb({"v": 1, "name": "Warm"})})
    migrations.upgrade(postgres.url("owner", "aged"), REVERSIBLE[1])
    migrations.downgrade(postgres.url("owner", "aged"), REVERSIBLE[0])
    migrations.upgrade(postgres.url("owner", "aged"))
    yield ids
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("DROP DATABASE aged WITH (FORCE)")


async def test_a_filled_database_is_brought_up_to_date_and_loses_nothing(
    upgraded: dict[str, UUID], postgres: Postgres
) -> None:
    with psycopg.connect(postgres.url("superuser", "aged")) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM presence WHERE silent_since IS NULL), "
            "(SELECT count(*) FROM alerts WHERE assigned_to IS NULL AND status = 'active'), "
            "(SELECT count(*) FROM rules WHERE is_enabled AND NOT is_shadow), "
            "(SELECT count(*) FROM rule_versions WHERE changes = '[]'), (SELECT count(*) FROM rule_state), "
            "(SELECT count(*) FROM memberships WHERE groups IS NULL), (SELECT pos FROM readers WHERE turn = 0)"
        ).fetchone()
        assert left == (2, 2, 1, 1, 1, 1, 1, 7)
        history = connection.execute("SELECT profile_id, version, declared->'metrics' FROM profile_versions").fetchall()
        assert history == [(upgraded["profile"], 3, [{"key": "t", "type": "number"}])]
        signed_by = connection.execute("SELECT kind, authority_id FROM provisioners ORDER BY kind").fetchall()
        assert signed_by == [("claim", upgraded["group"]), ("key", None)]
        authority = connection.execute("SELECT number, superseded_at, retired_at FROM authorities").fetchall()
        assert authority == [(1, None, None)]
        assert connection.execute("SELECT tenant_id, what FROM app.due()").fetchall() == [
            (upgraded["tenant"], "journal")
        ]
    assert faults(postgres.url("superuser", "aged")) == []


async def test_whoever_was_there_before_sees_all_and_can_be_limited_from_then_on(
    upgraded: dict[str, UUID], postgres: Postgres
) -> None:
    app = Store(postgres.url("app", "aged"), size=1)
    try:
        for found in (await doorway.session(app, "tgs_before"), await doorway.token(app, "tg_before")):
            assert found is not None
            assert (found.tenant_id, found.groups, found.may("devices:read")) == (upgraded["tenant"], None, True)
        limits = frozenset({upgraded["group"]})
        limited = Principal(upgraded["tenant"], "user", upgraded["user"], SCOPES[Role.OPERATOR], groups=limits)
        for who, expected in ((system(upgraded["tenant"]), (2, 2, 1)), (limited, (1, 1, 0))):
            async with app.as_tenant(who, read_only=True) as tx:
                counted = await tx.one(COUNTED)
                assert counted is not None
                assert dict(counted) == dict(zip(("devices", "presence", "alerts"), expected, strict=True))
    finally:
        await app.close()
