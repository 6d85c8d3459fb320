"""An authority of the tenant's own and its successors: what relies on each, and taking a former one out of use."""

from dataclasses import dataclass
from uuid import UUID

from engine.certificates import foreign
from engine.certificates import service as certificates
from engine.certificates.errors import AuthorityInUse
from engine.certificates.kept import KeptLists
from engine.certificates.model import Authority, AuthorityState, Reliance, RevocationList, Revoked
from engine.certificates.vault import Vault
from engine.provisioning import provisioners
from engine.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Standing:
    """An authority, what relies on it, and how many open ways in are claim certificates that it signed."""

    authority: Authority
    reliance: Reliance
    claims: int


async def standings(tx: Tx) -> list[Standing]:
    """The tenant's authorities, the one that signs first, the latest 50; none before the first certificate."""
    relies, claims = await certificates.reliance(tx), await provisioners.claims_of(tx)
    return [
        Standing(each, relies.get(each.id, Reliance()), len(claims.get(each.id, ())))
        for each in await certificates.authorities_of(tx)
    ]


async def revocations(
    tx: Tx, vault: Vault, authority_id: UUID | None = None, kept: KeptLists | None = None
) -> RevocationList:
    """What an authority (None: the one that signs now) signed and was taken back, of devices and claims alike.

    ``kept``: one of these, signed lately, if it says the same. Raises NoAuthority, AuthorityNotFound, VaultSealed.
    """
    authority = await (certificates.authority(tx) if authority_id is None else certificates.by_id(tx, authority_id))
    claims = [
        Revoked(foreign.read(claim.certificate).serial_number, claim.revoked_at)
        for claim in await provisioners.revoked_claims(tx, authority.id)
        if claim.certificate is not None and claim.revoked_at is not None
    ]
    return await certificates.revocations(tx, vault, authority.id, claims, kept)


async def retire(tx: Tx, authority_id: UUID, certificates_in_use: int = 0) -> Standing:
    """Take a former authority out of use: its certificates and claims are worthless, who is connected by one is cut.

    ``certificates_in_use``: of how many the caller knows; where more are good (claims count too), nothing is done and
    AuthorityInUse says how many. Retiring once more changes nothing. Raises AuthorityNotFound, AuthorityCurrent.
    """
    authority = await certificates.held(tx, authority_id)
    if authority.state is AuthorityState.RETIRED:
        return Standing(authority, Reliance(), 0)
    relies = (await certificates.reliance(tx)).get(authority_id, Reliance())
    claims = (await provisioners.claims_of(tx, authority_id)).get(authority_id, [])
    if relies.certificates + len(claims) > certificates_in_use:
        raise AuthorityInUse(_in_use(relies, len(claims)))
    retired = await certificates.retire(tx, authority_id)
    for claim in claims:
        await provisioners.revoke(tx, claim)
    took = {
        "certificates_revoked": relies.certificates,
        "devices_cut_off": relies.devices,
        "devices_left_without": relies.stranded,
        "claims_revoked": len(claims),
    }
    tx.audit("authority.retire", "authority", authority_id, after={"name": retired.name, **took})
    return Standing(retired, Reliance(), 0)


def _in_use(relies: Reliance, claims: int) -> str:
    total = relies.certificates + claims
    return (
        f"{relies.certificates} certificates of {relies.devices} devices and {claims} claim certificates of this "
        f"authority are good still; {relies.stranded} of the devices have nothing else to sign in with. To cut them "
        f"off all the same, retire it with inUse {total}."
    )
