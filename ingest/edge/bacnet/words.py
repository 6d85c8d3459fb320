"""What BACnet devices refuse, in words that say what to do.

BacnetError
├── Silent     the device does not answer
└── Refused    the device said no, or something that cannot be used
"""

from collections.abc import Mapping

from bacpypes3.apdu import AbortPDU, ErrorPDU, ErrorRejectAbortNack, RejectPDU


class BacnetError(Exception):
    """Something went wrong with a device; its text is meant for a person."""


class Silent(BacnetError):
    """The device does not answer."""


class Refused(BacnetError):
    """The device refused. `reason` is BACnet's own word for it."""

    def __init__(self, words: str, reason: str = "") -> None:
        super().__init__(words)
        self.reason = reason


TOO_LARGE = frozenset({"segmentation-not-supported", "buffer-overflow", "apdu-too-long", "out-of-resources"})
NOT_KNOWN = frozenset({"unrecognized-service", "service-request-denied", "optional-functionality-not-supported"})

_REMEDIES: Mapping[str, str] = {
    "unknown-object": "The device has no such object: discover its objects, correct the point's address.",
    "unknown-property": "The object has no such property: correct the point's address.",
    "property-is-not-an-array": "The property is no array: leave out `index`.",
    "invalid-array-index": "The array is shorter: correct `index`.",
    "write-access-denied": "The device does not let this be written: make the point read only, or allow it there.",
    "value-out-of-range": "The value is outside what the object takes.",
    "invalid-data-type": "The value has not the type of the property.",
    "datatype-not-supported": "The value has not the type of the property.",
    "unrecognized-service": "The device does not know this service.",
    "service-request-denied": "The device denies this service.",
    "cov-subscription-failed": "The device tells of no changes of this object.",
    "password-failure": "The device wants a password.",
    "segmentation-not-supported": "The answer is too long for the device.",
    "buffer-overflow": "The answer is too long for the device.",
    "out-of-resources": "The device is out of memory.",
    "no-space-to-add-list-element": "The device has no room for one more subscription.",
    "read-access-denied": "The device does not let this be read.",
    "device-busy": "The device is busy.",
}


def refusal(said: ErrorRejectAbortNack) -> BacnetError:
    """What a device's error, reject or abort means."""
    if isinstance(said, AbortPDU | RejectPDU):
        reason = _dashed(said.apduAbortRejectReason)
        if reason in ("no-response", "tsm-timeout"):
            return Silent("It does not answer.")
    elif isinstance(said, ErrorPDU):
        reason = _dashed(getattr(said, "errorCode", "") or "error")
    else:
        reason = "error"
    return Refused(error_words(reason), reason)


def error_words(code: object) -> str:
    """An error code with its remedy."""
    reason = _dashed(code)
    return f"{_REMEDIES.get(reason, 'The device refuses.')} ({reason})"


def _dashed(code: object) -> str:
    return str(code)[:60]
