"""The audit of a fleet: every check is asked of the database, findings come, stay and go with what is found.

It is made on demand and once a day. A finding that is no longer found is resolved; one found again is open again, with
the day it was first seen. Who suppresses a finding says why; it stays out of the list until that ends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.devices.quarantine import checked_reason
from engine.fleet import errors, events, tables
from engine.fleet.checks import BY_KIND, CHECKS, Check
from engine.fleet.model import Audit, Figure, Finding, FindingStatus
from engine.pages import Page
from engine.store.tx import Tx

audits, findings = tables.audits, tables.findings

KEPT_OF_ONE_KIND = 1_000
"""Findings of one check that are kept; more of the same are only counted."""
EVERY = timedelta(days=1)
KEPT = timedelta(days=90)
"""How long audits and resolved findings are kept."""
_KEYS_AT_ONCE = 20_000
_MOST_AUTHORITIES = 1_000
"""Registered authorities that are looked at, those in use first: a tenant has 200 ways in, and revoked ones pile up."""

_UNREAD = text(
    "SELECT k.credential_id, k.pem FROM certificates k WHERE k.tenant_id = :tenant AND k.key_kind IS NULL LIMIT :most"
)
_READ = text(
    "UPDATE certificates k SET key_sha256 = u.digest, key_kind = u.kind, key_bits = u.bits "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:digests AS bytea[]), CAST(:kinds AS text[]), CAST(:bits AS integer[])) "
    "AS u (id, digest, kind, bits) WHERE k.tenant_id = :tenant AND k.credential_id = u.id"
)
_REGISTERED = text(
    "SELECT p.id, p.certificate FROM provisioners p WHERE p.tenant_id = :tenant AND p.kind = 'authority' "
    "ORDER BY p.revoked_at DESC NULLS FIRST, p.id LIMIT :most"
)
_DEVICES = text("SELECT count(*) FROM devices WHERE tenant_id = :tenant AND status <> 'decommissioned'")
_WHOLE = text("SET LOCAL enable_nestloop = off")
"""Each check reads whole tables of the tenant, and joins them by hashes: of a fleet that was just registered, and not
counted yet, Postgres expects one device, and would go through all that are connected for each: 30 s for 10,000.
"""
_SEEN = text(
    "INSERT INTO fleet_findings (tenant_id, id, kind, subject, device_id, facts, first_seen_at, last_seen_at) "
    "SELECT :tenant, u.id, :kind, u.subject, u.device, CAST(u.facts AS jsonb), :now, :now "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:subjects AS text[]), CAST(:devices AS uuid[]), CAST(:facts AS text[])) "
    "AS u (id, subject, device, facts) "
    "ON CONFLICT (tenant_id, kind, subject) DO UPDATE SET facts = EXCLUDED.facts, "
    "last_seen_at = EXCLUDED.last_seen_at, device_id = EXCLUDED.device_id, resolved_at = NULL"
)
_RESOLVED = text(
    "UPDATE fleet_findings SET resolved_at = :now WHERE tenant_id = :tenant AND kind = :kind AND resolved_at IS NULL "
    "AND NOT subject = ANY (CAST(:subjects AS text[]))"
)
_FORGET = (
    text("DELETE FROM fleet_audits WHERE tenant_id = :tenant AND started_at < :before"),
    text("DELETE FROM fleet_findings WHERE tenant_id = :tenant AND resolved_at < :before"),
)


async def is_due(tx: Tx) -> bool:
    """Whether the last audit was more than a day ago, or never."""
    last = await tx.scalar(select(func.max(audits.c.started_at)).where(audits.c.tenant_id == tx.principal.tenant_id))
    return last is None or tx.now - last > EVERY


async def run(tx: Tx, trigger: str = "asked") -> Audit:
    """Ask every check now and bring the findings up to date. ``trigger``: ``asked`` or ``daily``."""
    await _read_keys(tx)
    authorities = await _authorities(tx)
    await tx.execute(_WHOLE)
    figures = {check.kind: await _ask(tx, check, authorities) for check in CHECKS}
    row = await tx.one(
        insert(audits)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            started_at=tx.now,
            finished_at=func.clock_timestamp(),
            trigger=trigger,
            devices=await tx.scalar(_DEVICES, {"tenant": tx.principal.tenant_id}),
            figures=figures,
        )
        .returning(audits)
    )
    assert row is not None
    if trigger == "daily":
        for statement in _FORGET:
            await tx.execute(statement, {"tenant": tx.principal.tenant_id, "before": tx.now - KEPT})
    made = _audit(row)
    tx.emit(events.FleetAudited(made.id))
    tx.audit("fleet.audit", "fleet", made.id, after={kind: found for kind, found in figures.items() if found})
    return made


async def latest(tx: Tx) -> Audit:
    """The newest audit. Raises NotAudited before the first."""
    query = select(audits).where(audits.c.tenant_id == tx.principal.tenant_id)
    row = await tx.one(query.order_by(audits.c.started_at.desc()).limit(1))
    if row is None:
        raise errors.NotAudited
    return _audit(row)


async def page(
    tx: Tx,
    *,
    status: FindingStatus = FindingStatus.OPEN,
    kind: str | None = None,
    device_id: UUID | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Finding]:
    """Findings in the order in which they were first found, newest first."""
    size = pages.page_size(first)
    query = _mine(tx).where(_stands(status, tx.now))
    if kind is not None:
        query = query.where(findings.c.kind == kind)
    if device_id is not None:
        query = query.where(findings.c.device_id == device_id)
    if after is not None:
        query = query.where(findings.c.id < pages.decode_id(after))
    rows = await tx.rows(query.order_by(findings.c.id.desc()).limit(size + 1))
    return pages.cut([_finding(row, tx.now) for row in rows], size, lambda finding: str(finding.id))


async def get(tx: Tx, finding_id: UUID) -> Finding:
    """One finding; raises FindingNotFound."""
    row = await tx.one(_mine(tx).where(findings.c.id == finding_id))
    if row is None:
        raise errors.FindingNotFound
    return _finding(row, tx.now)


async def suppress(tx: Tx, finding_id: UUID, reason: str, until: datetime | None = None) -> Finding:
    """Keep a finding out of the list, for a reason, until it ends or for good.

    Raises FindingNotFound, FindingStuck, ReasonMalformed, SuppressionPast.
    """
    said = checked_reason(reason)
    if until is not None and until <= tx.now:
        raise errors.SuppressionPast
    before = await _locked(tx, finding_id)
    if before.status is FindingStatus.RESOLVED:
        raise errors.FindingStuck("This finding is resolved; there is nothing to suppress.")
    return await _change(
        tx,
        before,
        "finding.suppress",
        {
            "suppressed_at": tx.now,
            "suppressed_until": until,
            "suppressed_by": tx.principal.name,
            "suppressed_reason": said,
        },
    )


async def restore(tx: Tx, finding_id: UUID) -> Finding:
    """Bring a suppressed finding back into the list. Raises FindingNotFound, FindingStuck."""
    before = await _locked(tx, finding_id)
    if before.suppressed_reason is None:
        raise errors.FindingStuck("This finding is not suppressed.")
    names = ("suppressed_at", "suppressed_until", "suppressed_by", "suppressed_reason")
    return await _change(tx, before, "finding.restore", dict.fromkeys(names))


async def _ask(tx: Tx, check: Check, authorities: str) -> int:
    """Ask one check, keep what it finds, resolve what it no longer finds; returns how many it found."""
    named = {"tenant": tx.principal.tenant_id, "now": tx.now}
    counted = text(f"SELECT f.*, count(*) OVER () AS total FROM ({check.sql}) f ORDER BY f.subject LIMIT :most")  # noqa: S608
    found = await tx.rows(counted, {**named, "most": KEPT_OF_ONE_KIND, "authorities": authorities})
    subjects = [row["subject"] for row in found]
    if found:
        columns = {
            "ids": [ids.uuid7() for _ in found],
            "subjects": subjects,
            "devices": [row["device_id"] for row in found],
            "facts": [orjson.dumps(row["facts"]).decode() for row in found],
        }
        await tx.execute(_SEEN, {**named, "kind": check.kind, **columns})
    await tx.execute(_RESOLVED, {**named, "kind": check.kind, "subjects": subjects})
    return int(found[0]["total"]) if found else 0


async def _read_keys(tx: Tx) -> None:
    """Note of each new certificate what kind of key it holds, and that key's digest: Postgres cannot read X.509."""
    named = {"tenant": tx.principal.tenant_id}
    rows = await tx.rows(_UNREAD, {**named, "most": _KEYS_AT_ONCE})
    if not rows:
        return
    read = await asyncio.to_thread(lambda: [_key(row["pem"]) for row in rows])
    columns = {
        "ids": [row["credential_id"] for row in rows],
        "digests": [digest for digest, _, _ in read],
        "kinds": [kind for _, kind, _ in read],
        "bits": [bits for _, _, bits in read],
    }
    await tx.execute(_READ, {**named, **columns})


async def _authorities(tx: Tx) -> str:
    """What the certificates of registered authorities say: their end and their key, as JSON for the checks."""
    rows = await tx.rows(_REGISTERED, {"tenant": tx.principal.tenant_id, "most": _MOST_AUTHORITIES})
    read = await asyncio.to_thread(lambda: [_authority(row["id"], row["certificate"]) for row in rows])
    return orjson.dumps(read).decode()


def _authority(id_: UUID, pem: str) -> dict[str, object]:
    _, kind, bits = _key(pem)
    ends_at = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    return {"id": id_, "ends_at": ends_at, "key_kind": kind, "key_bits": bits}


def _key(pem: str) -> tuple[bytes | None, str, int | None]:
    """A certificate's public key: the sha256 of its SubjectPublicKeyInfo (RFC 5280), its kind, its length in bits."""
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None, "unknown", None
    digest = ids.fingerprint(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if isinstance(key, rsa.RSAPublicKey):
        return digest, "rsa", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return digest, "ec", key.curve.key_size
    return digest, "ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "unknown", None


async def _locked(tx: Tx, finding_id: UUID) -> Finding:
    row = await tx.one(_mine(tx).where(findings.c.id == finding_id).with_for_update())
    if row is None:
        raise errors.FindingNotFound
    return _finding(row, tx.now)


async def _change(tx: Tx, before: Finding, action: str, values: Mapping[str, object]) -> Finding:
    where = and_(findings.c.tenant_id == tx.principal.tenant_id, findings.c.id == before.id)
    row = await tx.one(update(findings).where(where).values(**values).returning(findings))
    assert row is not None
    after = _finding(row, tx.now)
    tx.audit(action, "finding", before.id, before=before, after=after)
    return after


def _stands(status: FindingStatus, now: datetime) -> ColumnElement[bool]:
    is_suppressed = and_(
        findings.c.suppressed_at.is_not(None),
        or_(findings.c.suppressed_until.is_(None), findings.c.suppressed_until > now),
    )
    if status is FindingStatus.RESOLVED:
        return findings.c.resolved_at.is_not(None)
    is_suppressed = is_suppressed if status is FindingStatus.SUPPRESSED else ~is_suppressed
    return and_(findings.c.resolved_at.is_(None), is_suppressed)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(findings).where(findings.c.tenant_id == tx.principal.tenant_id, findings.c.kind.in_(BY_KIND))


def _finding(row: RowMapping, now: datetime) -> Finding:
    check = BY_KIND[row["kind"]]
    until = row["suppressed_until"]
    status = FindingStatus.OPEN
    if row["resolved_at"] is not None:
        status = FindingStatus.RESOLVED
    elif row["suppressed_at"] is not None and (until is None or until > now):
        status = FindingStatus.SUPPRESSED
    return Finding(
        id=row["id"],
        kind=check.kind,
        severity=check.severity,
        title=check.title,
        wrong=check.told(row["facts"]),
        mend=check.mend,
        device_id=row["device_id"],
        subject=row["subject"],
        facts=row["facts"],
        status=status,
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        resolved_at=row["resolved_at"],
        suppressed_reason=row["suppressed_reason"],
        suppressed_by=row["suppressed_by"],
        suppressed_until=until,
    )


def _audit(row: RowMapping) -> Audit:
    found: Mapping[str, Any] = row["figures"]
    figures: Sequence[Figure] = [
        Figure(check.kind, check.severity, check.title, found[check.kind]) for check in CHECKS if check.kind in found
    ]
    return Audit(row["id"], row["started_at"], row["finished_at"], row["trigger"], row["devices"], tuple(figures))
