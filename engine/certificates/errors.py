"""What the certificate authorities refuse."""

from engine.errors import Conflict, Invalid, NotFound, Unavailable


class NoAuthority(NotFound):
    """This tenant has no certificate authority yet; it is made when the first certificate is signed."""

    code = "NO_AUTHORITY"


class AuthorityNotFound(NotFound):
    """There is no certificate authority with this id."""

    code = "AUTHORITY_NOT_FOUND"


class AuthorityEnded(Conflict):
    """The certificate authority has ended and signs nothing any more: renew it."""

    code = "AUTHORITY_ENDED"


class AuthorityCurrent(Conflict):
    """This is the authority that signs: renew it first, then the former one can be retired."""

    code = "AUTHORITY_CURRENT"


class AuthorityInUse(Conflict):
    """Certificates of this authority are in use."""

    code = "AUTHORITY_IN_USE"


class TooManyAuthorities(Conflict):
    """At most 10 certificate authorities are made within 30 days."""

    code = "TOO_MANY_AUTHORITIES"


class CsrMalformed(Invalid):
    """That is no certificate signing request: PEM (PKCS #10), signed with its own key, is wanted."""

    code = "CSR_MALFORMED"


class KeyWeak(Invalid):
    """That key is too weak or of a kind not known here: EC P-256, P-384 or P-521, Ed25519, or RSA from 2048 bits."""

    code = "KEY_WEAK"


class ValidityMalformed(Invalid):
    """A device's certificate is valid for 1 to 398 days."""

    code = "VALIDITY_MALFORMED"


class VaultSealed(Unavailable):
    """The key of the certificate authority cannot be opened at the moment."""

    code = "VAULT_SEALED"
