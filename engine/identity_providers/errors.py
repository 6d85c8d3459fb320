"""What registering identity providers, and signing in by one, refuses."""

from engine.errors import Conflict, Expired, Forbidden, Invalid, NotFound, Unavailable


class ProviderNotFound(NotFound):
    """There is no such identity provider, or none that you may see."""

    code = "IDENTITY_PROVIDER_NOT_FOUND"


class ProviderMalformed(Invalid):
    """An identity provider needs a name, the issuer's https address, a client id and a client secret."""

    code = "IDENTITY_PROVIDER_MALFORMED"


class ProviderTaken(Conflict):
    """This client of this issuer is registered already."""

    code = "IDENTITY_PROVIDER_TAKEN"


class TooManyProviders(Conflict):
    """A tenant has at most 10 identity providers; remove one that is not used."""

    code = "TOO_MANY_IDENTITY_PROVIDERS"


class ProviderStale(Conflict):
    """The identity provider has changed since you saw it; look at it again."""

    code = "VERSION_STALE"


class ProviderUnfit(Invalid):
    """The issuer's OpenID configuration is missing, not its own, or lacks something that signing in needs."""

    code = "IDENTITY_PROVIDER_UNFIT"


class ProviderSilent(Unavailable):
    """The identity provider does not answer as it should; try again, or sign in another way."""

    code = "IDENTITY_PROVIDER_SILENT"


class SignInOver(Expired):
    """This sign-in was begun in another browser, took too long, or is finished already. Begin again."""

    code = "SIGN_IN_OVER"


class SignInRefused(Forbidden):
    """The identity provider did not let you in."""

    code = "SIGN_IN_REFUSED"


class TokenUnproven(Forbidden):
    """What the identity provider said about you could not be verified."""

    code = "ID_TOKEN_UNPROVEN"


class EmailUnverified(Forbidden):
    """The identity provider did not vouch for your e-mail address (email, email_verified)."""

    code = "EMAIL_UNVERIFIED"


class DomainNotAllowed(Forbidden):
    """Your e-mail address is of none of the domains that this sign-in is for."""

    code = "DOMAIN_NOT_ALLOWED"


class NotInvited(Forbidden):
    """You are not a member here: ask an admin of the organisation to invite your e-mail address."""

    code = "NOT_INVITED"


class SubjectChanged(Forbidden):
    """Somebody else of this identity provider signs in with your e-mail address here; ask an admin."""

    code = "IDENTITY_CHANGED"
