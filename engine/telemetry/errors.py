"""What asking for telemetry refuses."""

from engine.errors import Invalid


class RangeEmpty(Invalid):
    """The start of the range must lie before its end."""

    code = "RANGE_EMPTY"


class BucketMalformed(Invalid):
    """A bucket is a number and a unit, for example 1m, 15m, 1h, 1d, 1w, 1mo, or a name of those; at least 1s."""

    code = "BUCKET_MALFORMED"


class TooManyPoints(Invalid):
    """That range holds too many points of that size; ask for a larger bucket or a shorter range."""

    code = "TOO_MANY_POINTS"


class TimeZoneUnknown(Invalid):
    """A time zone is named as in the IANA database, for example Europe/Berlin or UTC."""

    code = "TIME_ZONE_UNKNOWN"


class RetentionMalformed(Invalid):
    """Readings are kept for 1 to 90 days, their hours and days for 1 to 1,095; 0 means as long as possible."""

    code = "RETENTION_MALFORMED"


class MetricMalformed(Invalid):
    """A metric's name has 1 to 64 characters."""

    code = "METRIC_MALFORMED"
