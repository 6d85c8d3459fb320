"""What signing in and managing access refuse."""

from engine.errors import Forbidden, Invalid, NotFound, Unavailable


class BadCredentials(Forbidden):
    """The e-mail address or the password is not right."""

    code = "BAD_CREDENTIALS"


class TooManyTries(Unavailable):
    """Too many attempts to sign in; wait a minute and try again."""

    code = "TOO_MANY_TRIES"


class TokenNotFound(NotFound):
    """There is no such token, or none that you may see."""

    code = "TOKEN_NOT_FOUND"


class ScopesTooWide(Forbidden):
    """A token cannot be given rights that you do not have yourself."""

    code = "SCOPES_TOO_WIDE"


class ScopesUnknown(Invalid):
    """A token needs at least one right, each from the list of known rights."""

    code = "SCOPES_UNKNOWN"


class TokenMalformed(Invalid):
    """A token needs a name of 1 to 120 characters and, if it expires, an expiry in the future."""

    code = "TOKEN_MALFORMED"
