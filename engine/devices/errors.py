"""What the registry of devices refuses."""

from engine.errors import Conflict, Invalid, NotFound


class DeviceNotFound(NotFound):
    """There is no such device, or none that you may see."""

    code = "DEVICE_NOT_FOUND"


class ProfileNotFound(NotFound):
    """There is no such profile, or none that you may see."""

    code = "PROFILE_NOT_FOUND"


class CredentialNotFound(NotFound):
    """There is no such credential, or none that you may see."""

    code = "CREDENTIAL_NOT_FOUND"


class GroupNotFound(NotFound):
    """There is no such group, or none that you may see."""

    code = "GROUP_NOT_FOUND"


class GroupKeyTaken(Conflict):
    """Another group already has this key."""

    code = "GROUP_KEY_TAKEN"


class GroupDynamic(Conflict):
    """This group holds what its filter finds; change the filter instead."""

    code = "GROUP_DYNAMIC"


class GroupStatic(Conflict):
    """This group holds the devices put into it and takes no filter; make another with one."""

    code = "GROUP_STATIC"


class TooManyGroups(Conflict):
    """A tenant has at most 500 groups."""

    code = "TOO_MANY_GROUPS"


class FilterMalformed(Invalid):
    """A filter is an object with some of labels, profile, status, keyPrefix."""

    code = "FILTER_MALFORMED"


class DeviceKeyTaken(Conflict):
    """Another device already has this key; keys are never used twice."""

    code = "DEVICE_KEY_TAKEN"


class KeyNotGivenUp(Conflict):
    """A key is given up by a decommissioned device that has it; the device named is not one."""

    code = "KEY_NOT_GIVEN_UP"


class ReasonMalformed(Invalid):
    """A reason has 1 to 500 characters."""

    code = "REASON_MALFORMED"


class SheetMalformed(Invalid):
    """That is no table of devices: CSV with a heading line that names the column key is wanted."""

    code = "SHEET_MALFORMED"


class SheetTooLong(Invalid):
    """A table holds at most 10,000 devices; split it, since rows that are there already do no harm."""

    code = "SHEET_TOO_LONG"


class ErasureNotFound(NotFound):
    """Nothing was asked to be erased of this device, or there is no such device."""

    code = "ERASURE_NOT_FOUND"


class ProfileKeyTaken(Conflict):
    """Another profile already has this key."""

    code = "PROFILE_KEY_TAKEN"


class DeviceStuck(Conflict):
    """A device cannot make that move from where it stands."""

    code = "DEVICE_STUCK"


class VersionStale(Conflict):
    """Somebody else has changed it meanwhile; load it again and repeat your change."""

    code = "VERSION_STALE"


class KeyMalformed(Invalid):
    """A key has 1 to 40 letters, digits, underscores or hyphens, for example cold-room-7."""

    code = "KEY_MALFORMED"


class NameMalformed(Invalid):
    """A name has 1 to 120 characters."""

    code = "NAME_MALFORMED"


class LabelsMalformed(Invalid):
    """Labels are at most 20 pairs of short texts: keys up to 40 characters, values up to 120."""

    code = "LABELS_MALFORMED"


class DaysMalformed(Invalid):
    """Readings are kept for 1 to 90 days; 0 means as long as the organisation's others."""

    code = "DAYS_MALFORMED"


class MetricsMalformed(Invalid):
    """A profile names up to 200 metrics, each once, numbers with min below max."""

    code = "METRICS_MALFORMED"


class CommandsMalformed(Invalid):
    """A profile declares up to 100 commands, each once, with up to 20 well described arguments."""

    code = "COMMANDS_MALFORMED"


class ShadowMalformed(Invalid):
    """A profile declares up to 200 settings, each under a path of its own."""

    code = "SHADOW_MALFORMED"


class IntervalMalformed(Invalid):
    """A device is expected to report every 1 to 2,592,000 seconds (30 days); 0 means that nothing is expected."""

    code = "INTERVAL_MALFORMED"


class ProfileVersionNotFound(NotFound):
    """There is no such version of this profile, or none that you may see."""

    code = "PROFILE_VERSION_NOT_FOUND"


class ExpiryPast(Invalid):
    """The expiry lies in the past."""

    code = "EXPIRY_PAST"
