"""The certificate authorities in the console: renewed after a question, retired once it is said what goes with it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.authorities import Authorities, authority_line

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CURRENT: dict[str, Any] = {
    "authority": {
        "id": "a2",
        "state": "CURRENT",
        "subject": "2.5.4.5=0190e6f2,CN=Devices of demo 2,O=Tidegate",
        "fingerprint": "3fa0" * 16,
        "certificate": "PEM 2",
        "createdAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2036-01-01T00:00:00Z",
        "supersededAt": None,
        "retiredAt": None,
    },
    "certificates": 0,
    "devices": 0,
    "stranded": 0,
    "claims": 0,
    "lastEndsAt": None,
}
FORMER: dict[str, Any] = {
    **CURRENT,
    "authority": {**CURRENT["authority"], "id": "a1", "state": "RETIRING", "supersededAt": "2026-01-01T00:00:00Z"},
    "certificates": 12,
    "devices": 10,
    "stranded": 1,
    "claims": 2,
}


@pytest.fixture
async def authorities(gateway: Gateway, visit: Visit) -> Authorities:
    gateway.answers["CertificateAuthorities"] = {"certificateAuthorities": [CURRENT, FORMER]}
    gateway.answers["AuthorityRenew"] = {"authorityRenew": {"id": "a3"}}
    gateway.answers["AuthorityRetire"] = {"authorityRetire": {"certificates": 0}}
    gateway.answers["Revocations"] = {"certificateRevocations": {"pem": "CRL", "revoked": 1}}
    state = visit(Authorities, "/ways-in")
    await state.load()
    return state


async def test_each_says_what_it_is_and_what_relies_on_it(authorities: Authorities) -> None:
    current, former = authorities.lines
    assert (current.name, current.said, current.in_use) == ("Devices of demo 2", "no certificate of it is in use", 0)
    assert former.said == "12 certificates of 10 devices and 2 claim certificates are good"
    assert former.cuts == (
        "10 devices can no longer sign in with its certificates. 1 device has nothing else to sign in with. "
        "2 ways in are closed: its claim certificates."
    )
    assert "nobody is cut off" in current.cuts


async def test_what_retiring_cuts_off_is_asked_anew_before_it_is_said_and_sent_with_it(
    authorities: Authorities, gateway: Gateway
) -> None:
    grown = {**FORMER, "certificates": 13, "devices": 11}
    gateway.answers["CertificateAuthorities"] = {"certificateAuthorities": [CURRENT, grown]}
    await authorities.doubt("a1")
    assert (authorities.retiring, authorities.lines[1].in_use) == ("a1", 15)
    await authorities.retire("a1")
    assert gateway.variables("AuthorityRetire") == {"id": "a1", "inUse": 15}
    assert (authorities.retiring, authorities.problem) == ("", "")
    assert "out of use" in authorities.said


async def test_a_refusal_is_shown_in_its_words_and_nothing_is_said_to_be_done(
    authorities: Authorities, gateway: Gateway
) -> None:
    gateway.refuses("AuthorityRetire", "13 certificates of 11 devices are good still.", "AUTHORITY_IN_USE")
    await authorities.doubt("a1")
    await authorities.retire("a1")
    assert (authorities.problem, authorities.said, authorities.retiring) == (
        "13 certificates of 11 devices are good still.",
        "",
        "",
    )


async def test_it_is_renewed_after_a_question(authorities: Authorities, gateway: Gateway) -> None:
    authorities.consider(True)
    assert authorities.is_renewing
    assert "AuthorityRenew" not in [name for name, _ in gateway.asked]
    await authorities.renew()
    assert (authorities.is_renewing, "signs from now on" in authorities.said) == (False, True)


async def test_each_has_a_certificate_and_a_list_of_its_own(authorities: Authorities, gateway: Gateway) -> None:
    assert "-authority-a2.crt" in str(authorities.save_certificate("a2"))
    assert "-authority-a1.crl.pem" in str(await authorities.save_revocations("a1"))
    assert gateway.variables("Revocations") == {"authorityId": "a1"}


def test_one_that_ends_soon_is_told_of() -> None:
    soon = {**CURRENT, "authority": {**CURRENT["authority"], "expiresAt": "2026-07-01T00:00:00Z"}}
    assert authority_line(soon, NOW).is_ending
    assert not authority_line(CURRENT, NOW).is_ending
    one = {**FORMER, "certificates": 1, "devices": 1, "stranded": 0, "claims": 0}
    assert authority_line(one, NOW).said == "1 certificate of 1 device is good"
    assert authority_line(one, NOW).cuts == (
        "1 device can no longer sign in with its certificates. It has something else to sign in with."
    )
