"""What the way out refuses."""

from engine.errors import Invalid, Unavailable


class AddressRefused(Invalid):
    """The platform connects to https:// addresses on the public internet only."""

    code = "ADDRESS_REFUSED"


class NoAnswer(Unavailable):
    """The other side gave no usable answer."""

    code = "NO_ANSWER"
