"""What can go wrong with an OPC-UA server, in words that say what to do.

OpcuaError
├── Untrusted        the server's certificate is not believed: a person must decide
├── Unreachable      nobody answers, or the connection broke: tried again by itself
└── Refused          the server said no
"""

import asyncio
from collections.abc import Mapping

from asyncua import ua
from asyncua.ua.uaerrors import UaError, UaStatusCodeError


class OpcuaError(Exception):
    """Something went wrong with an OPC-UA server; its text is meant for a person."""


class Untrusted(OpcuaError):
    """The server's certificate is not believed."""


class Unreachable(OpcuaError):
    """There is no connection with the server."""


class Refused(OpcuaError):
    """The server refused what was asked of it."""


_REMEDIES: Mapping[str, str] = {
    "BadCertificateUntrusted": "The server does not know the edge yet: trust the edge's certificate at the server.",
    "BadSecurityChecksFailed": (
        "The server refuses the edge's certificate without saying why: trust the edge's certificate at the server."
    ),
    "BadCertificateInvalid": "The server cannot use the edge's certificate: trust it at the server.",
    "BadCertificateUseNotAllowed": "The server does not accept the edge's certificate for a client.",
    "BadCertificateTimeInvalid": "A certificate is not valid now: compare the clocks, renew the certificate.",
    "BadCertificateUriInvalid": "The server wants another application URI in the edge's certificate.",
    "BadIdentityTokenRejected": "The server takes no such login: give it a user name and password, or a certificate.",
    "BadIdentityTokenInvalid": "The server does not accept this login: check user name, password or certificate.",
    "BadUserAccessDenied": "The user may not do this: check the login, or the user's rights at the server.",
    "BadNodeIdUnknown": "There is no such node now: browse the server, correct the point's address.",
    "BadNodeIdInvalid": "The address is no node of this server: browse the server, correct the point's address.",
    "BadNotReadable": "The node cannot be read: allow it at the server, or take the point out.",
    "BadNotWritable": "The node cannot be written: allow it at the server, or make the point read only.",
    "BadWriteNotSupported": "The server does not let this be written.",
    "BadTypeMismatch": "The value has not the type of the node.",
    "BadOutOfRange": "The value is outside what the node takes.",
    "BadMethodInvalid": "This is no method of the object: browse the server, correct the point's address.",
    "BadArgumentsMissing": "The method wants more arguments.",
    "BadTooManyArguments": "The method wants fewer arguments.",
    "BadInvalidArgument": "The method does not accept an argument.",
    "BadTooManySessions": "The server has no room for one more session: close others or raise its limit.",
    "BadTooManySubscriptions": "The server has no room for one more subscription: close others or raise its limit.",
    "BadTooManyMonitoredItems": "The server watches no more nodes for us: take points out or raise its limit.",
    "BadServerHalted": "The server is stopped: start it.",
    "BadShutdown": "The server is shutting down.",
    "BadTimeout": "The server did not answer in time.",
    "BadTcpEndpointUrlInvalid": "The server knows no such path: correct the URL.",
    "BadSecurityPolicyRejected": "The server does not allow this security policy.",
}


def words(error: BaseException) -> str:
    """What went wrong and what to do about it, in one line."""
    if isinstance(error, OpcuaError):
        return str(error)
    if isinstance(error, UaStatusCodeError):
        return status_words(error.code)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "The server did not answer in time."
    if isinstance(error, ConnectionRefusedError):
        return "Nobody listens there: check address and port, and that the server runs."
    if isinstance(error, OSError):
        return f"There is no connection with the server ({error.strerror or str(error) or type(error).__name__})."
    if isinstance(error, UaError):
        return f"The server's answer cannot be used ({str(error)[:200] or type(error).__name__})."
    return f"The server's answer cannot be used ({type(error).__name__})."


def status_words(code: int) -> str:
    """A status code with its remedy; one nobody knows is shown as a number."""
    name = ua.StatusCode(code).name
    if name.startswith("UNKNOWN") or not name:
        return f"The server answered with the status 0x{code:08X}."
    remedy = _REMEDIES.get(name) or ua.StatusCode(code).doc.strip()
    return f"{remedy} ({name})"
