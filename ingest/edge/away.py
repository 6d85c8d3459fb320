"""Why the platform cannot be reached, in words that say what to do: for whoever sets an edge up for the first time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from engine import clock
from ingest.edge.config import Platform
from ingest.edge.wall import EARLIEST_MS

_NOT_YET, _EXPIRED = 9, 10
_NOT_KNOWN = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})
"""What OpenSSL says of a certificate (X509_V_ERR_…)."""
_NETWORK: Mapping[type[OSError], str] = {
    ConnectionRefusedError: "nobody listens there: look at `host` and `port`, and whether the platform runs",
    TimeoutError: "it does not answer: look at `host`, the network, and what a firewall lets out",
    ConnectionResetError: "it hung up: look at `port`, and whether it speaks {spoken} there",
}


def words(error: Exception, platform: Platform) -> str:
    """What stands between the edge and the platform, and what to look at."""
    where = f"{platform.host}:{platform.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{where}: {_of_certificate(error, platform)}"
    if isinstance(error, ssl.SSLError):
        said = f" ({error.reason.replace('_', ' ').lower()})" if error.reason else ""
        remedy = "look at `port` (8883 as a rule); `tls: false` is for a platform without TLS"
        return f"{where} does not speak TLS with us{said}: {remedy}"
    if isinstance(error, socket.gaierror | UnicodeError):
        said = str(error.strerror if isinstance(error, OSError) else error)
        return f"the name {platform.host!r} cannot be found ({said}): look at `host`, and at the network's name server"
    for kind, remedy in _NETWORK.items():
        if isinstance(error, kind):
            return f"{where}: {remedy.format(spoken='TLS' if platform.is_tls else 'MQTT without TLS')}"
    if isinstance(error, OSError) and error.errno and error.filename is None:
        return f"{where} is not reached ({error.strerror}): look at the network"
    return str(error)


def hung_up(platform: Platform) -> str:
    """What an end means that comes before any answer to the login."""
    remedy = "" if platform.is_tls else ", and whether it wants TLS: then leave out `tls: false`"
    return f"{platform.host}:{platform.port} hung up before it let us in: look at `port`{remedy}"


def _of_certificate(error: ssl.SSLCertVerificationError, platform: Platform) -> str:
    code, said = error.verify_code, error.verify_message
    if code == _NOT_YET or (code == _EXPIRED and clock.now_ms() < EARLIEST_MS):
        now = f"{clock.now():%Y-%m-%d %H:%M} UTC"
        return f"its certificate is not valid yet: the computer's clock says {now}; set it, by NTP"
    if code == _EXPIRED:
        return "its certificate has expired: renew it at the platform, or set the computer's clock"
    if code in _OTHER_NAME or "match" in said:
        return f"its certificate is for another name than {platform.host!r}: write the name that it has as `host`"
    if code in _NOT_KNOWN:
        whose = "by the authorities in `ca_file`" if platform.ca_file else "by the computer's authorities"
        return (
            f"its certificate is not vouched for {whose} ({said}): have the certificate of its authority given to you, "
            "and name that file as `ca_file`"
        )
    return f"its certificate is not believed: {said}"
