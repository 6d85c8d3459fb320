"""An edge's file: where the platform is and who we are, where readings wait, and the point table."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.points import check
from ingest.edge import points
from ingest.edge.document import Fields, Wrong
from ingest.edge.points import PointTable, TableWrong
from ingest.tls_client import client_context
from schema.wire.topics import DEVICE_KEY, TENANT_KEY

_OURS = ("platform", "spool", "points")
_DIRECTORY = "a path, relative to this file"


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the platform is, and as which device the edge logs in: by a token, or by a certificate, over TLS."""

    host: str
    port: int
    is_tls: bool
    tenant: str
    device: str
    token_file: Path | None
    certificate_file: Path | None
    key_file: Path | None
    ca_file: Path | None

    def token(self) -> str:
        """The secret as it is in its file now. Raises OSError."""
        if self.token_file is None:
            return ""
        try:
            token = self.token_file.read_text().strip()
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no text"
            raise OSError(f"`token_file` {self.token_file} cannot be read ({said}); put the token there") from None
        if not token:
            raise OSError(f"`token_file` {self.token_file} is empty; put the token there")
        return token

    def tls(self) -> ssl.SSLContext | None:
        """How to speak TLS, read from the files anew; None for plain TCP. Raises OSError."""
        if not self.is_tls:
            return None
        try:
            context = client_context(self.ca_file)
        except OSError as error:
            raise OSError(f"`ca_file` {self.ca_file} is no certificate in PEM that can be read ({error})") from None
        if self.certificate_file is not None:
            try:
                # the empty password: else OpenSSL would ask for one at the terminal, and wait
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
            except OSError as error:
                files = f"`certificate_file` {self.certificate_file} and `key_file` {self.key_file}"
                raise OSError(f"{files} are no pair in PEM, without a password, that can be read ({error})") from None
        return context


@dataclass(frozen=True, slots=True)
class Config:
    """All that a file says. `folder` is where the edge keeps what must outlast it.

    `is_local`: the file says `points: local`, its table alone counts, and the platform's is refused. `told` is the
    file's table as the platform may see it. `misread`: numbers in it that YAML takes for others than people do.
    """

    platform: Platform
    folder: Path
    max_bytes: int
    table: PointTable
    is_local: bool = False
    told: str = ""
    misread: Sequence[Wrong] = ()


def load(path: Path, *, goes_on: bool = False) -> Config:
    """Read an edge's file. Raises TableWrong, which names every line that is wrong, or OSError.

    `goes_on`: what YAML takes for another number than people do is no error, but lies in `misread`.
    """
    misread: list[Wrong] = []
    root = points.read(path, misread.append if goes_on else None)
    problems: list[Wrong] = []
    platform, spool, source = None, None, "platform"
    try:
        fields = root.fields()
        source = fields.choice("points", ("platform", "local"), "platform")
        platform = _platform(fields, path.parent)
        spool = _spool(fields, path.parent)
    except Wrong as wrong:
        problems.append(wrong)
    try:
        table = points.parse(root, beside=_OURS)
    except TableWrong as wrong:
        raise TableWrong([*problems, *wrong.problems]) from None
    if platform is None or spool is None:
        raise TableWrong(problems)
    return Config(platform, spool[0], spool[1], table, source == "local", check.told(root), misread)


def _platform(fields: Fields, beside: Path) -> Platform:
    node = fields.node("platform")
    if node is None:
        raise Wrong(fields.place, "`platform` is missing; say where it is: {host, tenant, device, token_file}.")
    own = node.fields()
    is_tls = own.flag("tls", True)
    ca_file, token_file = _path(own, "ca_file", beside), _path(own, "token_file", beside)
    certificate_file, key_file = _path(own, "certificate_file", beside), _path(own, "key_file", beside)
    if (token_file is None) == (certificate_file is None):
        raise Wrong(node.place, "Log in by one of `token_file` (the device's token) and `certificate_file`.")
    if certificate_file is not None and (key_file is None or not is_tls):
        raise Wrong(node.place, "A `certificate_file` needs its `key_file`, and `tls: true`.")
    if ca_file is not None and not is_tls:
        raise Wrong(node.place, "A `ca_file` is for TLS only; leave out `tls: false`, or the `ca_file`.")
    platform = Platform(
        own.text("host", hint="a name or an address"),
        own.integer("port", 8883 if is_tls else 1883, low=1, high=65_535),
        is_tls,
        own.text("tenant", pattern=TENANT_KEY, hint="the tenant's key"),
        own.text("device", pattern=DEVICE_KEY, hint="the key of the gateway device that this edge is"),
        token_file,
        certificate_file,
        key_file,
        ca_file,
    )
    own.done()
    return platform


def _spool(fields: Fields, beside: Path) -> tuple[Path, int]:
    node = fields.node("spool")
    if node is None:
        return beside / "edge-data", 256 * 1024 * 1024
    own = node.fields()
    folder = _path(own, "folder", beside) or beside / "edge-data"
    max_mb = own.integer("max_mb", 256, low=1, high=1_000_000)
    own.done()
    return folder, max_mb * 1024 * 1024


def _path(fields: Fields, name: str, beside: Path) -> Path | None:
    text = fields.text(name, "", hint=_DIRECTORY)
    if "\0" in text:
        raise Wrong(fields.place_of(name), f"`{name}` holds a NUL, which no path does; write {_DIRECTORY}.")
    return beside / text if text else None
