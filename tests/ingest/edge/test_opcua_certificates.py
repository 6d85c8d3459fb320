"""Which servers an edge believes: those a person trusts, and those an authority vouches for and has not taken back."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from engine import clock
from ingest.edge.opcua.certificates import Certificates
from ingest.edge.opcua.errors import Unreachable, Untrusted

URL, HOST = "opc.tcp://192.0.2.7:4840", "192.0.2.7"
ROOT = ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    name: str, *, issuer: str = "Root", by: ec.EllipticCurvePrivateKey = ROOT, is_ca: bool = False, age_days: int = 1
) -> x509.Certificate:
    key = ROOT if is_ca else ec.generate_private_key(ec.SECP256R1())
    begins = clock.now() - timedelta(days=age_days)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("press.plant")])
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(by, SHA256())
    )


def der(made: x509.Certificate) -> bytes:
    return made.public_bytes(Encoding.DER)


@pytest.fixture
def folder(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path)
    for place in (made.trusted, made.issuers, made.rejected):
        place.mkdir()
    return made


def test_a_trusted_certificate_is_believed_as_der_and_as_pem(folder: Certificates) -> None:
    one, other = certificate("One"), certificate("Other")
    (folder.trusted / "one.der").write_bytes(der(one))
    (folder.trusted / "other.pem").write_bytes(other.public_bytes(Encoding.PEM))
    (folder.trusted / "note.txt").write_text("not a certificate")
    (folder.trusted / "broken.der").write_bytes(b"not a certificate")
    assert folder.judge(der(one), URL, HOST) == one
    assert folder.judge(der(other), URL, HOST) == other


def test_an_authority_vouches_for_the_host_in_the_certificate_and_for_no_other(folder: Certificates) -> None:
    press = certificate("Press")
    (folder.issuers / "root.der").write_bytes(der(certificate("Root", is_ca=True)))
    for host in (HOST, "press.plant"):
        assert folder.judge(der(press), URL, host) == press
    with pytest.raises(Untrusted, match="is not trusted yet"):
        folder.judge(der(press), URL, "192.0.2.8")


def test_who_only_bears_the_authoritys_name_or_is_none_vouches_for_nobody(folder: Certificates) -> None:
    forged = certificate("Press", by=ec.generate_private_key(ec.SECP256R1()))
    (folder.issuers / "root.der").write_bytes(der(certificate("Root", is_ca=True)))
    with pytest.raises(Untrusted):
        folder.judge(der(forged), URL, HOST)
    (folder.trusted / "root.der").write_bytes((folder.issuers / "root.der").read_bytes())
    (folder.issuers / "root.der").unlink()
    with pytest.raises(Untrusted):  # a server that is trusted is no authority for others
        folder.judge(der(certificate("Press")), URL, HOST)


def test_what_an_authority_took_back_is_not_believed_and_nothing_is_while_its_list_is_unreadable(
    folder: Certificates,
) -> None:
    press, lathe = certificate("Press"), certificate("Lathe")
    (folder.issuers / "root.der").write_bytes(der(certificate("Root", is_ca=True)))
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(press.serial_number)
        .revocation_date(clock.now() - timedelta(hours=1))
        .build()
    )
    listed = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name("Root"))
        .last_update(clock.now() - timedelta(hours=1))
        .next_update(clock.now() + timedelta(days=1))
        .add_revoked_certificate(revoked)
        .sign(ROOT, SHA256())
    )
    (folder.issuers / "root.crl").write_bytes(listed.public_bytes(Encoding.DER))
    with pytest.raises(Untrusted):
        folder.judge(der(press), URL, HOST)
    assert folder.judge(der(lathe), URL, HOST) == lathe
    (folder.issuers / "root.crl").write_bytes(b"cut off")
    with pytest.raises(Untrusted):
        folder.judge(der(lathe), URL, HOST)


def test_what_has_expired_is_refused_even_if_it_is_trusted(folder: Certificates) -> None:
    old = certificate("Old", age_days=60)
    (folder.trusted / "old.der").write_bytes(der(old))
    with pytest.raises(Untrusted, match="Renew it at the server, or set the clocks right"):
        folder.judge(der(old), URL, HOST)
    with pytest.raises(Untrusted, match="no certificate"):
        folder.judge(b"", URL, HOST)


def test_a_clock_that_was_never_set_makes_no_certificate_that_nobody_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Certificates(tmp_path / "fresh")
    with monkeypatch.context() as patch:
        patch.setattr("engine.clock.now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
        with pytest.raises(Unreachable, match=r"says 1970-01-01.*set the clock"):
            fresh.prepare()
    fresh.prepare()
    assert fresh.own.exists()


def test_a_certificate_that_was_renewed_is_told_from_one_that_nobody_ever_saw(folder: Certificates) -> None:
    old, new = certificate("Press", issuer="Press"), certificate("Press", issuer="Press", age_days=0)
    (folder.trusted / "press.der").write_bytes(der(old))
    with pytest.raises(Untrusted, match=r"another certificate than the one that is trusted.*move .*rejected"):
        folder.judge(der(new), URL, HOST)
    with pytest.raises(Untrusted, match="is not trusted yet"):
        folder.judge(der(certificate("Lathe", issuer="Lathe")), URL, HOST)


def test_strangers_cannot_fill_the_disk(folder: Certificates) -> None:
    for number in range(60):
        with pytest.raises(Untrusted):
            folder.judge(der(certificate(f"Stranger {number}")), URL, HOST)
    assert len(os.listdir(folder.rejected)) == 50
