"""What commands refuse."""

from engine.errors import Conflict, Invalid, NotFound


class CommandNotFound(NotFound):
    """There is no such command, or none that you may see."""

    code = "COMMAND_NOT_FOUND"


class CommandUnknown(Invalid):
    """The device's profile declares no such command."""

    code = "COMMAND_UNKNOWN"


class CommandArgumentsInvalid(Invalid):
    """The arguments do not fit what the device's profile declares for this command."""

    code = "COMMAND_ARGUMENTS_INVALID"


class CommandTimesInvalid(Invalid):
    """A command's timeout lies between a second and a day, its time in the queue between a second and 30 days."""

    code = "COMMAND_TIMES_INVALID"


class CommandNotQueued(Conflict):
    """This command is no longer waiting: the device has it, or it is over."""

    code = "COMMAND_NOT_QUEUED"


class TooManyCommands(Conflict):
    """A thousand commands wait for this device already; cancel some, or see why it does not connect."""

    code = "TOO_MANY_COMMANDS"


class DeviceOutOfService(Conflict):
    """This device takes no commands: it is suspended, in quarantine or decommissioned."""

    code = "DEVICE_OUT_OF_SERVICE"
