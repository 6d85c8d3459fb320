"""What alerts refuse."""

from engine.errors import Conflict, Invalid, NotFound


class AlertNotFound(NotFound):
    """There is no such alert, or none that you may see."""

    code = "ALERT_NOT_FOUND"


class AlertCleared(Conflict):
    """This alert has cleared already; there is nothing left to acknowledge."""

    code = "ALERT_CLEARED"


class NoteTooLong(Invalid):
    """A note has at most 1,000 characters."""

    code = "NOTE_TOO_LONG"


class CommentMalformed(Invalid):
    """A comment has 1 to 2,000 characters."""

    code = "COMMENT_MALFORMED"


class SnoozeMalformed(Invalid):
    """An alert is snoozed until a time that lies ahead, by at most 30 days."""

    code = "SNOOZE_MALFORMED"


class NotAMember(NotFound):
    """There is nobody with this id in your organisation."""

    code = "NOT_A_MEMBER"


class SilenceNotFound(NotFound):
    """There is no such silence, or none that you may see."""

    code = "SILENCE_NOT_FOUND"


class SilenceMalformed(Invalid):
    """A silence needs a reason of at most 500 characters, and an end after its beginning, ahead, within 366 days."""

    code = "SILENCE_MALFORMED"


class TooManySilences(Conflict):
    """There are 500 silences that have not ended; end some first."""

    code = "TOO_MANY_SILENCES"


class TooManyAlerts(Invalid):
    """At most 200 alerts can be changed at once."""

    code = "TOO_MANY_ALERTS"
