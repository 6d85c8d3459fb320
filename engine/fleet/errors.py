"""What the fleet's keeping refuses."""

from engine.errors import Conflict, Expired, Invalid, NotFound


class TransferNotFound(NotFound):
    """There is no such transfer, or none that you may see."""

    code = "TRANSFER_NOT_FOUND"


class TransferOver(Conflict):
    """This transfer was accepted or withdrawn already."""

    code = "TRANSFER_OVER"


class TransferCodeUnknown(Invalid):
    """That is no code of a transfer, or it is meant for somebody else."""

    code = "TRANSFER_CODE_UNKNOWN"


class TransferCodeExpired(Expired):
    """This code is too old; ask for another one."""

    code = "TRANSFER_CODE_EXPIRED"


class TransferCodeSpent(Conflict):
    """This code was used or withdrawn already; each is good once."""

    code = "TRANSFER_CODE_SPENT"


class TransferToSelf(Conflict):
    """The device is yours already; a code is for another tenant."""

    code = "TRANSFER_TO_SELF"


class ProfileNeeded(Invalid):
    """Choose a profile for the device: none of yours has the key of its former one, and you may not make one."""

    code = "PROFILE_NEEDED"


class NotAudited(NotFound):
    """No audit was made yet; one is made every day, or when you ask for it."""

    code = "NOT_AUDITED"


class FindingNotFound(NotFound):
    """There is no such finding, or none that you may see."""

    code = "FINDING_NOT_FOUND"


class FindingStuck(Conflict):
    """This finding cannot be treated so: it is suppressed already, or it is not."""

    code = "FINDING_STUCK"


class SuppressionPast(Invalid):
    """That end of a suppression lies in the past."""

    code = "SUPPRESSION_PAST"
