"""A device's certificates in the console: a private key is never sent, and what is shown is what was signed."""

import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.certificates import Certificates, request_of
from ui.credentials import credential_line, signs
from ui.first_message import mosquitto_pub_tls, openssl_request, openssl_server

REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nMIH\n-----END CERTIFICATE REQUEST-----\n"
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\n"
CREDENTIAL: dict[str, Any] = {
    "id": "c1",
    "kind": "x509",
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2027-01-01T00:00:00Z",
    "revokedAt": None,
    "fingerprint": "3fa0" * 16,
}
DEVICE = {
    "key": "pump-7",
    "status": "ACTIVE",
    "profile": {"metrics": []},
    "credentials": [{**CREDENTIAL, "id": "t1", "kind": "token", "expiresAt": None, "fingerprint": None}, CREDENTIAL],
}


@pytest.fixture
async def certificates(gateway: Gateway, visit: Visit) -> Certificates:
    gateway.answers["DeviceCertificates"] = {"device": DEVICE}
    gateway.answers["CertificateSign"] = {"certificateSign": {"certificate": "PEM", "isShortened": False}}
    gateway.refuses("Authority", "There is no authority yet.", "NO_AUTHORITY")
    state = visit(Certificates, "/devices/d1")
    await state.load()
    return state


async def test_only_certificates_are_listed_and_no_authority_is_no_problem(certificates: Certificates) -> None:
    assert [each.id for each in certificates.lines] == ["c1"]
    assert (certificates.problem, certificates.authority) == ("", "")


async def test_a_request_is_sent_as_it_was_pasted_without_what_stood_around_it(
    certificates: Certificates, gateway: Gateway
) -> None:
    await certificates.sign({"csr": f"$ cat device.csr\n{REQUEST}", "days": "90"})
    assert gateway.variables("CertificateSign") == {"deviceId": "d1", "csr": REQUEST, "days": 90}
    assert (certificates.made, certificates.is_asking) == ("PEM", False)
    await certificates.load()
    assert certificates.made == ""


async def test_a_certificate_that_ends_with_its_authority_says_so(certificates: Certificates, gateway: Gateway) -> None:
    gateway.answers["CertificateSign"] = {"certificateSign": {"certificate": "PEM", "isShortened": True}}
    await certificates.sign({"csr": REQUEST, "days": "365"})
    assert certificates.is_shortened


async def test_a_private_key_never_leaves_for_the_platform(certificates: Certificates, gateway: Gateway) -> None:
    form = certificates.form_number
    await certificates.sign({"csr": KEY + REQUEST, "days": "90"})
    assert "must stay on the device" in certificates.form_problem
    assert "CertificateSign" not in [name for name, _ in gateway.asked]
    assert certificates.form_number > form  # nor does it stay on the screen


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"])
def test_what_is_no_request_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match="no request"):
        request_of(text)


def test_a_credential_says_how_it_ended() -> None:
    before, after = datetime(2026, 5, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)
    revoked = {**CREDENTIAL, "revokedAt": "2026-02-01T00:00:00Z"}
    assert credential_line(CREDENTIAL, before).ended_at == ""
    assert credential_line(CREDENTIAL, after, ran_out="expired").ended_how == "expired"
    assert credential_line(revoked, before, ran_out="expired").ended_how == "revoked"
    assert signs("3fa0cc", 2) == "3F:A0:…"


def test_the_lines_to_paste_name_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_MQTTS_PORT", "18883")
    words = shlex.split(mosquitto_pub_tls("demo", "pump-7", []))
    assert words[words.index("--key") + 1] in shlex.split(openssl_request("pump-7"))
    assert words[words.index("--cafile") + 1] in shlex.split(openssl_server())
    assert words[words.index("-t") + 1] == "t/demo/d/pump-7/up/telemetry"
    assert "%HOST%:18883" in openssl_server()
    assert words[words.index("-p") + 1] == "18883"
