"""TLS handshakes of devices that failed: counted by reason, and said in the log now and then (ADR 41).

asyncio tells nobody of a handshake that came to nothing, and OpenSSL forgets the certificate that it refuses. What can
be known is why, and only where the handshake is made: in the object that a context wraps each connection in.
"""

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable

from ingest.metrics import HANDSHAKES

log = logging.getLogger(__name__)

FIRST_S = 5.0
"""So long a first failure waits for others like it."""
APART_S = 60.0
"""No more often than so the log says something."""

UNKNOWN_AUTHORITY = "unknown_authority"
_CERTIFICATE = {
    # X509_V_ERR_*: UNABLE_TO_GET_ISSUER_CERT(_LOCALLY), DEPTH_ZERO_SELF_SIGNED_CERT, SELF_SIGNED_CERT_IN_CHAIN,
    # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    **dict.fromkeys((2, 20, 18, 19, 21), UNKNOWN_AUTHORITY),
    7: "wrong_signature",
    9: "not_yet_valid",
    10: "expired",
    **dict.fromkeys((24, 79), "not_an_authority"),  # INVALID_CA
    26: "wrong_purpose",
}
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL says of bytes that are something else, plain MQTT for example."""


class Handshakes:
    """What failed since the log last said so."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._untold: Counter[str] = Counter()
        self._told_at = float("-inf")
        self._telling: asyncio.TimerHandle | None = None

    def watch(self, context: ssl.SSLContext) -> None:
        """Hear of each handshake by this context that fails; one that succeeds costs nothing."""
        failed = self.failed

        class Watched(ssl.SSLObject):
            def do_handshake(self) -> None:
                try:
                    super().do_handshake()
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    raise
                except ssl.SSLError as error:
                    failed(error)
                    raise

        context.sslobject_class = Watched

    def failed(self, error: ssl.SSLError) -> None:
        """One handshake has failed. On the loop; nothing waits for anything."""
        why = reason_of(error)
        HANDSHAKES.labels(why).inc()
        self._untold[why] += 1
        if self._telling is None:
            wait_s = max(FIRST_S, self._told_at + APART_S - self._steady())
            self._telling = asyncio.get_running_loop().call_later(wait_s, self.tell)

    def tell(self) -> None:
        """Say what has failed since it was said last."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._untold:
            log.warning("tls.handshakes_failed", extra={"reasons": dict(self._untold)})
            self._untold.clear()
            self._told_at = self._steady()


def reason_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, in one of a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "certificate")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "gone"
    said = error.reason or ""
    if "ALERT" in said:  # what the client says to our certificate, or to what we speak
        return "refused_by_client"
    if said in _NO_TLS:
        return "no_tls"
    return "version" if "PROTOCOL" in said or "SHARED_CIPHER" in said else "other"
