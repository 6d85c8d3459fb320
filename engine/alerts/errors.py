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
