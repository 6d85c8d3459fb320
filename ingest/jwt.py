"""Whether a JWT is a device's word: signed by a key registered for it, for us, for a day at most, and now.

Imported when the first one comes: the library behind it is slow to import, and most devices log in with a token.
"""

import time
from collections.abc import Mapping, Sequence

from engine.provisioning import jose
from ingest.adapters.base import RefusalReason, Refused

_FAULTS: Mapping[jose.Fault, RefusalReason] = {
    "malformed": "bad_credentials",
    "unfit": "jwt_unfit",
    "early": "jwt_early",
    "expired": "jwt_expired",
}


def check(token: bytes, keys: Sequence[tuple[bytes, bytes]], username: str, audience: str) -> tuple[bytes, float]:
    """The handle of the key that signed ``token``, and when the token ends (unix seconds).

    ``keys`` are handles and public keys (DER). Raises Refused; what a token says is only looked at, and told, once its
    signature holds.
    """
    try:
        signed = jose.parse(token)
        handle = jose.signer(signed, keys)
        if handle is None:
            raise Refused("bad_credentials")
        ends = jose.check_times(signed.claims, time.time())
    except jose.Unsound as fault:
        raise Refused(_FAULTS[fault.fault]) from None
    if signed.claims.get("sub") != username or not jose.is_for(signed.claims, audience):
        raise Refused("jwt_unfit")
    return handle, ends
