"""What channels, policies and deliveries refuse, and how a delivery fails."""

from engine.errors import Conflict, Invalid, NotFound


class ChannelNotFound(NotFound):
    """There is no such channel, or none that you may see."""

    code = "CHANNEL_NOT_FOUND"


class ChannelMalformed(Invalid):
    """A channel needs a name and the settings of its kind."""

    code = "CHANNEL_MALFORMED"


class ChannelNameTaken(Conflict):
    """Another channel has this name already."""

    code = "CHANNEL_NAME_TAKEN"


class ChannelInUse(Conflict):
    """A notification policy still names this channel; take it out there first."""

    code = "CHANNEL_IN_USE"


class TooManyChannels(Conflict):
    """A tenant has at most 100 channels; remove one that is not used."""

    code = "TOO_MANY_CHANNELS"


class PolicyNotFound(NotFound):
    """There is no such notification policy, or none that you may see."""

    code = "NOTIFICATION_POLICY_NOT_FOUND"


class PolicyMalformed(Invalid):
    """A notification policy needs a name and at least one channel."""

    code = "NOTIFICATION_POLICY_MALFORMED"


class PolicyKeyTaken(Conflict):
    """Another notification policy has this key already."""

    code = "NOTIFICATION_POLICY_KEY_TAKEN"


class TooManyPolicies(Conflict):
    """A tenant has at most 100 notification policies; remove one that is not used."""

    code = "TOO_MANY_NOTIFICATION_POLICIES"


class Stale(Conflict):
    """It has changed since you saw it; look at it again."""

    code = "VERSION_STALE"


class DeliveryNotFound(NotFound):
    """There is no such delivery, or none that you may see."""

    code = "DELIVERY_NOT_FOUND"


class DeliveryOver(Conflict):
    """Only what was given up can be sent again, as long as its channel is switched on and its content is kept."""

    code = "DELIVERY_OVER"


class Undelivered(Exception):
    """A try failed; ``words`` say why. ``is_final``: trying again is no use. ``is_gone``: nor is anything else there.

    No secret may be in the words: they are shown.
    """

    def __init__(self, words: str, *, is_final: bool = False, is_gone: bool = False) -> None:
        self.words = words
        self.is_final = is_final or is_gone
        self.is_gone = is_gone
        super().__init__(words)


class TooManyWaiting(Conflict):
    """20,000 messages are waiting to be sent already; see in the delivery log what holds them up."""

    code = "TOO_MANY_WAITING"
