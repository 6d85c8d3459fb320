"""Verifying an id_token: signed by the issuer's key with an algorithm it announced, for us and for this sign-in."""

from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.identity_providers.discovery import Metadata
from engine.identity_providers.errors import TokenUnproven

LEEWAY_S = 60
_LONGEST = 16_384


class SignerUnknown(TokenUnproven):
    """The token was signed with a key that the issuer did not publish."""


def claims(text: str, keys: KeySet, metadata: Metadata, *, client_id: str, nonce: str, now_s: float) -> dict[str, Any]:
    """The claims of an id_token (OpenID Connect Core 1.0, §3.1.3.7). Raises TokenUnproven, SignerUnknown.

    ``alg`` must be one that the issuer announced, and ours: RS256 or ES256. ``iss``, ``aud`` (with ``azp``), ``exp``,
    ``iat`` (a minute's grace each) and ``nonce`` must be there and right.
    """
    if len(text) > _LONGEST:
        raise TokenUnproven
    try:
        token = jwt.decode(text, keys, algorithms=sorted(metadata.algorithms))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise SignerUnknown from error
    wanted = {
        "iss": {"essential": True, "value": metadata.issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
        "nonce": {"essential": True, "value": nonce},
    }
    said = CodeIDToken(token.claims, token.header, wanted, {"nonce": nonce, "client_id": client_id})
    try:
        said.validate(now=int(now_s), leeway=LEEWAY_S)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenUnproven from error
    if isinstance(said["nonce"], list) or not 1 <= len(str(said["sub"])) <= 255:
        raise TokenUnproven
    return dict(said)
