"""The ways in that a tenant has made: provisioning keys, claim certificates, registered authorities."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.certificates import foreign, x509
from engine.certificates import service as certificates
from engine.certificates.errors import KeyWeak
from engine.certificates.vault import Vault
from engine.devices import groups as device_groups
from engine.devices import service as devices
from engine.devices.errors import ExpiryPast, GroupDynamic, GroupNotFound, ProfileNotFound
from engine.devices.model import checked_name
from engine.pages import Page
from engine.provisioning import errors, jose, rule, secrets, tables
from engine.provisioning.model import MAX_PROVISIONERS, Mode, Provisioner, Terms, Way
from engine.store.tx import Tx
from engine.tenants import service as tenants

provisioners, chosen_groups = tables.provisioners, tables.provisioner_groups

CLAIM_DAYS = 398
_GROUPS = text(
    "SELECT id, filter IS NULL AS is_static FROM device_groups WHERE tenant_id = :tenant AND key = ANY (:keys)"
)


async def get(tx: Tx, provisioner_id: UUID, *, locked: bool = False) -> Provisioner:
    """The way in with this id, held until COMMIT if ``locked``; raises ProvisionerNotFound."""
    query = _mine(tx).where(provisioners.c.id == provisioner_id)
    row = await tx.one(query.with_for_update() if locked else query)
    if row is None:
        raise errors.ProvisionerNotFound
    return (await _with_groups(tx, [row]))[0]


async def by_secret(tx: Tx, kind: Way, secret_sha256: bytes) -> Provisioner | None:
    """The way in of this kind with this digest, or None."""
    row = await tx.one(_mine(tx).where(provisioners.c.kind == kind, provisioners.c.secret_sha256 == secret_sha256))
    return (await _with_groups(tx, [row]))[0] if row else None


async def by_ids(tx: Tx, provisioner_ids: Sequence[UUID]) -> dict[UUID, Provisioner]:
    """Those of ``provisioner_ids`` that exist."""
    rows = await tx.rows(_mine(tx).where(provisioners.c.id.in_(provisioner_ids)))
    return {each.id: each for each in await _with_groups(tx, rows)}


async def page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Provisioner]:
    """The tenant's ways in, newest first, revoked ones too."""
    size = pages.page_size(first)
    query = _mine(tx)
    if after is not None:
        query = query.where(provisioners.c.id < as_id(pages.decode(after)))
    rows = await tx.rows(query.order_by(provisioners.c.id.desc()).limit(size + 1))
    return pages.cut(await _with_groups(tx, rows), size, lambda each: str(each.id))


async def create_key(tx: Tx, terms: Terms) -> tuple[Provisioner, str]:
    """A provisioning key and its text, which is not kept.

    Raises NameMalformed, ProvisionerMalformed, RuleMalformed, ProfileNotFound, GroupNotFound, GroupDynamic, ExpiryPast,
    TooManyProvisioners; so do the two that follow.
    """
    await _check(tx, terms)
    secret = secrets.make(secrets.KEY, tx.principal.tenant_id)
    return await _create(tx, Way.KEY, terms, ids.fingerprint(secret), None), secret


async def sign_claim(tx: Tx, vault: Vault, terms: Terms, csr: str) -> tuple[Provisioner, str]:
    """A claim certificate for the key behind ``csr``, to be put on every device of a batch; and the authority's PEM.

    It ends with the way in, after 398 days at the latest, and with its authority. Raises CsrMalformed, KeyWeak,
    AuthorityEnded, VaultSealed and as above.
    """
    await _check(tx, terms)
    request = x509.read_csr(csr)
    if not jose.is_for_es256(request.public_key()):
        raise KeyWeak("A claim is signed with ES256: its key is on the curve P-256 (prime256v1).")
    until = min(terms.expires_at or tx.now + timedelta(days=CLAIM_DAYS), tx.now + timedelta(days=CLAIM_DAYS))
    name = f"{(await tenants.current(tx)).key}/claim/{ids.uuid7().hex[-12:]}"
    made, authority = await certificates.sign_named(tx, vault, request, name, until)
    terms = replace(terms, expires_at=min(until, made.not_valid_after_utc))
    way = await _create(tx, Way.CLAIM, terms, x509.fingerprint(made), x509.pem(made), authority.id)
    return way, authority.certificate


async def register_authority(tx: Tx, terms: Terms, certificate: str, verification: str) -> Provisioner:
    """Let devices in that show a certificate of this authority; every process that speaks TLS believes it from now on.

    ``verification`` proves that the tenant has the authority's key: a certificate signed with it, for the name
    ``tidegate-{tenant id}``, so that nobody can register another's. Raises AuthorityUnfit, AuthorityUnproven,
    ProvisionerTaken and as above.
    """
    await _check(tx, terms)
    try:
        authority, shown = foreign.read(certificate), foreign.read(verification)
        foreign.check_authority(authority, tx.now)
    except foreign.Unfit as error:
        raise errors.AuthorityUnfit(str(error)) from error
    wanted = verification_name(tx.principal.tenant_id)
    if foreign.common_name(shown) != wanted or not foreign.is_issued_by(shown, authority):
        raise errors.AuthorityUnproven(
            f"The verification certificate must be signed by the authority and have the CN {wanted}."
        )
    known = foreign.fingerprint(authority)
    if await by_secret(tx, Way.AUTHORITY, known):
        raise errors.ProvisionerTaken
    until = min(terms.expires_at or authority.not_valid_after_utc, authority.not_valid_after_utc)
    made = await _create(tx, Way.AUTHORITY, replace(terms, expires_at=until), known, x509.pem(authority))
    await tx.notify(f"ca:{made.id}")
    return made


def verification_name(tenant_id: UUID) -> str:
    """The CN by which the holder of an authority's key says for which tenant it is."""
    return f"tidegate-{tenant_id}"


async def change(
    tx: Tx,
    provisioner_id: UUID,
    *,
    name: str | None = None,
    needs_approval: bool | None = None,
    rule_: object = None,
    max_uses: int | None = None,
    expires_at: datetime | None = None,
    expected_version: int | None = None,
) -> Provisioner:
    """Change what is given; devices that are in stay in.

    Raises ProvisionerNotFound, ProvisionerStale, ProvisionerEnded, ProvisionerMalformed, ExpiryPast, RuleMalformed,
    NameMalformed, ProfileNotFound, GroupNotFound, GroupDynamic.
    """
    before = await get(tx, provisioner_id, locked=True)
    if expected_version is not None and before.version != expected_version:
        raise errors.ProvisionerStale
    if before.revoked_at is not None:
        raise errors.ProvisionerEnded
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = checked_name(name)
    if needs_approval is not None:
        values["needs_approval"] = needs_approval
    if rule_ is not None:
        values["rule"] = await _checked_rule(tx, rule_)
    if max_uses is not None:
        if max_uses < before.uses:
            raise errors.ProvisionerMalformed(f"It was used {before.uses} times already; maxUses cannot be less.")
        values["max_uses"] = max_uses
    if expires_at is not None:
        _refuse_past(tx, expires_at)
        values["expires_at"] = expires_at
    after = await _save(tx, before, values)
    tx.audit("provisioner.change", "provisioner", before.id, before=before, after=after)
    return after


async def revoke(tx: Tx, provisioner_id: UUID) -> Provisioner:
    """Let nobody in by this way any more; devices that are in stay in. Raises ProvisionerNotFound."""
    before = await get(tx, provisioner_id, locked=True)
    if before.revoked_at is not None:
        return before
    after = await _save(tx, before, {"revoked_at": tx.now})
    if after.kind is Way.AUTHORITY:
        await tx.notify(f"ca:{after.id}")
    tx.audit("provisioner.revoke", "provisioner", before.id, after=after)
    return after


async def claims_of(tx: Tx, authority_id: UUID | None = None) -> dict[UUID, list[UUID]]:
    """The open claims of each authority of the tenant's, or of this one."""
    query = _mine(tx).where(
        provisioners.c.kind == Way.CLAIM, provisioners.c.revoked_at.is_(None), provisioners.c.expires_at > tx.now
    )
    if authority_id is not None:
        query = query.where(provisioners.c.authority_id == authority_id)
    found: dict[UUID, list[UUID]] = {}
    for row in await tx.rows(query.order_by(provisioners.c.id)):
        found.setdefault(row["authority_id"], []).append(row["id"])
    return found


async def revoked_claims(tx: Tx, authority_id: UUID) -> list[Provisioner]:
    """The claims of an authority that were taken back before their end."""
    query = _mine(tx).where(
        *(provisioners.c.kind == Way.CLAIM, provisioners.c.authority_id == authority_id),
        *(provisioners.c.revoked_at.is_not(None), provisioners.c.expires_at > tx.now),
    )
    return [_provisioner(row, ()) for row in await tx.rows(query.order_by(provisioners.c.id))]


async def use(tx: Tx, provisioner_id: UUID) -> None:
    """Spend one use; whoever calls holds the row and has seen that it is open."""
    await tx.execute(
        update(provisioners)
        .where(provisioners.c.tenant_id == tx.principal.tenant_id, provisioners.c.id == provisioner_id)
        .values(uses=provisioners.c.uses + 1)
    )


async def groups_by_key(tx: Tx, keys: Sequence[str]) -> list[UUID]:
    """The ids of static groups with these keys. Raises GroupNotFound, GroupDynamic."""
    rows = await tx.rows(_GROUPS, {"tenant": tx.principal.tenant_id, "keys": list(keys)})
    if len(rows) < len(set(keys)):
        raise GroupNotFound
    if not all(row["is_static"] for row in rows):
        raise GroupDynamic
    return [row["id"] for row in rows]


async def _create(
    tx: Tx, kind: Way, terms: Terms, digest: bytes, certificate: str | None, authority_id: UUID | None = None
) -> Provisioner:
    row = await tx.one(
        upsert(provisioners)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            kind=kind,
            name=checked_name(terms.name),
            mode=terms.mode,
            profile_id=terms.profile_id,
            needs_approval=terms.needs_approval,
            rule=None if terms.rule is None else await _checked_rule(tx, terms.rule),
            max_uses=terms.max_uses,
            uses=0,
            secret_sha256=digest,
            certificate=certificate,
            authority_id=authority_id,
            created_by=tx.principal.name or tx.principal.kind,
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
            expires_at=terms.expires_at,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "secret_sha256"])
        .returning(provisioners)
    )
    if row is None:
        raise errors.ProvisionerTaken
    if terms.group_ids:
        mine = {"tenant_id": tx.principal.tenant_id, "provisioner_id": row["id"]}
        await tx.execute(insert(chosen_groups), [{**mine, "group_id": each} for each in sorted(set(terms.group_ids))])
    made = _provisioner(row, tuple(sorted(set(terms.group_ids))))
    tx.audit("provisioner.create", "provisioner", made.id, after=made)
    return made


async def _check(tx: Tx, terms: Terms) -> None:
    if (terms.mode is Mode.CREATE) != (terms.profile_id is not None):
        raise errors.ProvisionerMalformed
    if terms.profile_id is not None:
        await devices.profile(tx, terms.profile_id)
    for group_id in terms.group_ids:
        if (await device_groups.get(tx, group_id)).filter is not None:
            raise GroupDynamic
    if terms.max_uses is not None and not 1 <= terms.max_uses <= 2_147_483_647:
        raise errors.ProvisionerMalformed("maxUses is a whole number from 1 upwards.")
    if terms.expires_at is not None:
        _refuse_past(tx, terms.expires_at)
    live = select(func.count()).select_from(_mine(tx).where(provisioners.c.revoked_at.is_(None)).subquery())
    if await tx.scalar(live) >= MAX_PROVISIONERS:
        raise errors.TooManyProvisioners


async def _checked_rule(tx: Tx, document: object) -> object:
    """The document of a rule that names only profiles and groups that exist."""
    if document == {}:
        return None
    profiles, groups = rule.parse(document).named()
    for key in profiles:
        if await devices.profile_by_key(tx, key) is None:
            raise ProfileNotFound(f"The rule names the profile {key}, which does not exist.")
    await groups_by_key(tx, sorted(groups))
    return document


def _refuse_past(tx: Tx, at: datetime) -> None:
    if at <= tx.now:
        raise ExpiryPast


async def _save(tx: Tx, before: Provisioner, values: dict[str, Any]) -> Provisioner:
    row = await tx.one(
        update(provisioners)
        .where(provisioners.c.tenant_id == tx.principal.tenant_id, provisioners.c.id == before.id)
        .values(**values, version=before.version + 1, updated_at=tx.now)
        .returning(provisioners)
    )
    assert row is not None
    return _provisioner(row, before.group_ids)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(provisioners).where(provisioners.c.tenant_id == tx.principal.tenant_id)


async def _with_groups(tx: Tx, rows: Sequence[RowMapping]) -> list[Provisioner]:
    wanted = [row["id"] for row in rows]
    held: dict[UUID, list[UUID]] = {each: [] for each in wanted}
    query = select(chosen_groups).where(
        chosen_groups.c.tenant_id == tx.principal.tenant_id, chosen_groups.c.provisioner_id.in_(wanted)
    )
    for row in await tx.rows(query.order_by(chosen_groups.c.group_id)) if wanted else ():
        held[row["provisioner_id"]].append(row["group_id"])
    return [_provisioner(row, tuple(held[row["id"]])) for row in rows]


def as_id(text_: str) -> UUID:
    """The id in a cursor; raises BadCursor."""
    try:
        return UUID(text_)
    except ValueError:
        raise pages.BadCursor from None


def _provisioner(row: RowMapping, group_ids: tuple[UUID, ...]) -> Provisioner:
    return Provisioner(
        id=row["id"],
        kind=Way(row["kind"]),
        name=row["name"],
        mode=Mode(row["mode"]),
        profile_id=row["profile_id"],
        group_ids=group_ids,
        needs_approval=row["needs_approval"],
        rule=row["rule"],
        max_uses=row["max_uses"],
        uses=row["uses"],
        certificate=row["certificate"],
        created_by=row["created_by"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
