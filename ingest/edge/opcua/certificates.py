"""Who the edge is towards OPC-UA servers, and which servers it believes: a folder of certificates that a person fills.

own/       the edge's certificate (give it to the servers) and its key (0600)
trusted/   certificates of servers, as DER or PEM: these very servers are believed
issuers/   authorities: a server whose certificate one of them signed for the host asked for is believed
           (and `*.crl` here, what they took back)
rejected/  what unknown servers showed, for a person to look at and move to `trusted/`
"""

import ipaddress
import logging
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from asyncua.crypto import cert_gen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from engine import clock
from ingest.edge.opcua.errors import Unreachable, Untrusted
from ingest.edge.wall import EARLIEST_MS

log = logging.getLogger(__name__)

_EARLIEST = clock.from_ms(EARLIEST_MS)
_LASTS_DAYS = 5 * 365
_WARN_BEFORE = timedelta(days=60)
_KEPT_REJECTED = 50
"""Of what unknown servers showed: whoever answers at an address may show a new one each time."""


class Certificates:
    """The folder of certificates of one edge."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.application_uri = ""
        self.own = folder / "own" / "certificate.der"
        self.key = folder / "own" / "key.pem"
        self.trusted = folder / "trusted"
        self.issuers = folder / "issuers"
        self.rejected = folder / "rejected"

    def prepare(self) -> None:
        """Make the folders, and at the first start the edge's own certificate.

        Raises OSError, ValueError, or Unreachable while the clock was not set: what it made then would have expired.
        """
        for folder in (self._folder, self.own.parent, self.trusted, self.issuers, self.rejected):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.own.exists() and self.key.exists()):
            if (now := clock.now()) < _EARLIEST:
                raise Unreachable(
                    f"The edge's clock says {now:%Y-%m-%d}, and nobody would accept a certificate made then: set the "
                    "clock (NTP); the edge tries again by itself."
                )
            self._make()
        own = x509.load_der_x509_certificate(self.own.read_bytes())
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (self.application_uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        left = own.not_valid_after_utc - clock.now()
        if left < _WARN_BEFORE:
            log.warning("edge.opcua.certificate_ends", extra={"days": left.days, "file": str(self.own)})

    def judge(self, shown: bytes, url: str, host: str) -> x509.Certificate:
        """The certificate a server showed, if it is believed. Raises Untrusted, which says what to move where."""
        try:
            certificate = x509.load_der_x509_certificate(shown)
        except ValueError as error:
            raise Untrusted(f"The server at {url} showed something that is no certificate.") from error
        if not certificate.not_valid_before_utc <= clock.now() <= certificate.not_valid_after_utc:
            raise Untrusted(
                f"The certificate of the server at {url} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}. Renew it at the server, or set the clocks right."
            )
        if not (self._is_known(certificate) or self._is_vouched_for(certificate, host)):
            raise Untrusted(self._unknown(certificate, url))
        return certificate

    def _is_known(self, certificate: x509.Certificate) -> bool:
        return any(known == certificate for known in _read(self.trusted))

    def _is_vouched_for(self, certificate: x509.Certificate, host: str) -> bool:
        if host not in _hosts(certificate):
            return False
        for issuer in _read(self.issuers):
            if _is_authority(issuer) and _is_signed(certificate, issuer):
                return not self._is_taken_back(certificate, issuer)
        return False

    def _is_taken_back(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        for path in sorted(self.issuers.glob("*.crl")):
            content = path.read_bytes()
            load = x509.load_pem_x509_crl if content.startswith(b"-----") else x509.load_der_x509_crl
            try:
                taken_back = load(content)
            except ValueError:
                log.warning("edge.opcua.unreadable", extra={"file": str(path)})
                return True  # what was taken back cannot be known: nobody is believed until the file can be read
            if (
                taken_back.issuer == issuer.subject
                and taken_back.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            ):
                return True
        return False

    def _unknown(self, certificate: x509.Certificate, url: str) -> str:
        fingerprint = certificate.fingerprint(SHA256()).hex()
        file = self.rejected / f"{fingerprint[:32]}.der"
        kept = sorted(self.rejected.glob("*.der"), key=lambda path: path.stat().st_mtime)
        if not file.exists():
            for old in kept[: max(0, len(kept) - _KEPT_REJECTED + 1)]:
                old.unlink(missing_ok=True)
            file.write_bytes(certificate.public_bytes(Encoding.DER))
        was = next((known for known in _read(self.trusted) if known.subject == certificate.subject), None)
        words = "is not trusted yet: it showed the certificate"
        if was is not None:
            words = (
                f"has another certificate than the one that is trusted (until {was.not_valid_after_utc:%Y-%m-%d}): it "
                "was renewed, or somebody else answers there. It showed"
            )
        return (
            f"The server at {url} {words} "
            f"{certificate.subject.rfc4514_string()[:200]!r} with the SHA-256 {fingerprint}. If that is what the "
            f"server itself shows, move {file} to {self.trusted}; the edge tries again by itself."
        )

    def _make(self) -> None:
        key = cert_gen.generate_private_key()
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(f"urn:{socket.gethostname()}:tidegate:edge:{uuid4().hex[:12]}"),
            x509.DNSName(socket.gethostname()),
        ]
        certificate = cert_gen.generate_self_signed_app_certificate(
            key,
            "Tidegate edge",
            {"organizationName": "Tidegate"},
            names,
            [ExtendedKeyUsageOID.CLIENT_AUTH],
            _LASTS_DAYS,
        )
        _write_secret(self.key, cert_gen.dump_private_key_as_pem(key))
        self.own.write_bytes(certificate.public_bytes(Encoding.DER))
        log.info("edge.opcua.certificate_made", extra={"file": str(self.own)})


def _write_secret(path: Path, content: bytes) -> None:
    """A file nobody else can read at any moment, whole or not there."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    partial.rename(path)


def _read(folder: Path) -> Iterator[x509.Certificate]:
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".der", ".pem", ".crt", ".cer"}:
            continue
        try:
            content = path.read_bytes()
            load = x509.load_pem_x509_certificate if content.startswith(b"-----") else x509.load_der_x509_certificate
            yield load(content)
        except (OSError, ValueError):
            log.warning("edge.opcua.unreadable", extra={"file": str(path)})


def _hosts(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _is_authority(certificate: x509.Certificate) -> bool:
    now = clock.now()
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
    return is_ca and certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def host_of(name: str) -> str:
    """A host as certificates write it: an address in its shortest form, a name in lower case."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()
