"""CONNECT and CONNACK: what a client may ask for, and the answer in the words of its protocol version."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from engine import clock
from ingest.adapters.base import RefusalReason
from ingest.adapters.mqtt.limits import MqttLimits
from ingest.adapters.mqtt.packets import V5, Connack, Connect
from ingest.adapters.mqtt.properties import NONE, Properties, Property, explained
from ingest.adapters.mqtt.reasons import ConnectReturn, Reason
from schema.wire.payloads import TIME_PROPERTY

_LONGEST_BYTES: Final = 256
"""No CONNACK of ours is longer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no session: 5.0's reason, 3.1.1's return code (None: just close), and words."""

    reason: Reason
    code: ConnectReturn | None
    words: str

    def connack(self, level: int) -> Connack | None:
        """The CONNACK that says no, where the protocol version has one for it."""
        if level == V5:
            return Connack(False, self.reason, explained(self.words))
        return None if self.code is None else Connack(False, self.code)


REFUSALS: Final[dict[RefusalReason, Refusal]] = {
    "bad_credentials": Refusal(
        Reason.BAD_USERNAME_OR_PASSWORD,
        ConnectReturn.NOT_AUTHORISED,
        "The username is {tenant}/d/{device} and the password a token or JWT of that device; these do not fit "
        "together.",
    ),
    "revoked": Refusal(Reason.NOT_AUTHORISED, ConnectReturn.NOT_AUTHORISED, "This credential was revoked."),
    "suspended": Refusal(Reason.NOT_AUTHORISED, ConnectReturn.NOT_AUTHORISED, "This device or tenant is suspended."),
    "jwt_unfit": Refusal(
        Reason.BAD_USERNAME_OR_PASSWORD,
        ConnectReturn.NOT_AUTHORISED,
        "A JWT here has the sub {tenant}/d/{device} of the username, the aud of this platform, iat, and exp at most 24 "
        "hours later.",
    ),
    "jwt_early": Refusal(
        Reason.NOT_AUTHORISED,
        ConnectReturn.NOT_AUTHORISED,
        "The JWT begins more than a minute ahead of now; set the device's clock.",
    ),
    "jwt_expired": Refusal(
        Reason.NOT_AUTHORISED,
        ConnectReturn.NOT_AUTHORISED,
        "The JWT has ended; sign a new one, and check the device's clock.",
    ),
    "pending": Refusal(
        Reason.NOT_AUTHORISED,
        ConnectReturn.NOT_AUTHORISED,
        "This device is new and waits for approval; try again later.",
    ),
    "turned_away": Refusal(
        Reason.NOT_AUTHORISED,
        ConnectReturn.NOT_AUTHORISED,
        "This device is new and was not let in; its tenant sees the reason in the list of enrolments.",
    ),
    "throttled": Refusal(
        Reason.SERVER_BUSY,
        ConnectReturn.SERVER_UNAVAILABLE,
        "Too many refusals; wait a minute, and check what is sent.",
    ),
    "unavailable": Refusal(
        Reason.SERVER_UNAVAILABLE, ConnectReturn.SERVER_UNAVAILABLE, "Logins cannot be checked now; try again soon."
    ),
}
WRONG_WILL: Final = Refusal(
    Reason.NOT_AUTHORISED,
    ConnectReturn.NOT_AUTHORISED,
    "The will's topic is not below t/{tenant}/d/{device}/up/ of this device.",
)
NO_WAY_IN: Final = Refusal(
    Reason.BAD_USERNAME_OR_PASSWORD,
    ConnectReturn.NOT_AUTHORISED,
    "The username {tenant}/provision takes a provisioning key of that tenant, or its claim certificate by TLS.",
)
NO_WILL: Final = Refusal(
    Reason.NOT_AUTHORISED, ConnectReturn.NOT_AUTHORISED, "Who introduces itself leaves no will; connect without one."
)


def examine(connect: Connect, *, has_certificate: bool = False) -> Refusal | None:
    """What makes a CONNECT impossible to serve, whoever sent it; None if it may go on to the authorizer."""
    if Property.AUTHENTICATION_METHOD in connect.properties:
        return Refusal(Reason.BAD_AUTHENTICATION_METHOD, None, "There is no enhanced authentication here.")
    if not connect.client_id and not connect.clean_start and connect.level != V5:
        return Refusal(Reason.CLIENT_ID_NOT_VALID, ConnectReturn.IDENTIFIER_REJECTED, "The client id is empty.")
    if not has_certificate and (connect.username is None or connect.password is None):
        return REFUSALS["bad_credentials"]
    if connect.will is not None and connect.will.retain and connect.level == V5:
        return Refusal(Reason.RETAIN_NOT_SUPPORTED, None, "Nothing is retained here; send the will without it.")
    return None


@dataclass(slots=True)
class Terms:
    """What a session runs under: the client's wishes within our limits."""

    client_id: str
    keep_alive_s: int
    receive_maximum: int
    """QoS 1 messages the client takes without acknowledging."""
    max_packet_bytes: int
    """The longest packet the client takes."""
    wants_reasons: bool
    """5.0, and the client did not ask to be spared reason strings, and has room for them."""


_ROOM_FOR_REASONS: Final = 256
"""A client that takes no longer packets is told none: it would have to hang up on each (section 3.4.2.2.2)."""


def agree(connect: Connect, limits: MqttLimits, device: str) -> Terms:
    """The terms for a client that is let in. No session state survives a connection: its expiry is always 0."""
    client_id = connect.client_id or f"{device}-{secrets.token_hex(8)}"
    keep_alive_s = min(connect.keep_alive_s or limits.max_keep_alive_s, limits.max_keep_alive_s)
    asked = connect.properties
    max_packet_bytes = asked.get(Property.MAXIMUM_PACKET_SIZE, 0xFFFF_FFFF)
    is_spared = asked.get(Property.REQUEST_PROBLEM_INFORMATION, 1) == 0 or max_packet_bytes < _ROOM_FOR_REASONS
    return Terms(
        client_id,
        keep_alive_s,
        min(asked.get(Property.RECEIVE_MAXIMUM, 0xFFFF), limits.outbound_in_flight),
        max_packet_bytes,
        connect.level == V5 and not is_spared,
    )


def granted(connect: Connect, terms: Terms, limits: MqttLimits, *, is_visit: bool = False) -> Properties:
    """The CONNACK's properties: everything we limit or do not offer, what time it is, and nothing in 3.1.1.

    Without a Maximum QoS it is 2 (section 3.2.2.3.4): a visit's is 1, and it has no topic aliases.
    """
    if connect.level != V5:
        return NONE
    granted: dict[int, object] = {
        Property.RECEIVE_MAXIMUM: min(limits.in_flight, 0xFFFF),
        Property.RETAIN_AVAILABLE: 0,
        Property.MAXIMUM_PACKET_SIZE: limits.max_packet_bytes,
        Property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: 0,
        Property.SHARED_SUBSCRIPTION_AVAILABLE: 0,
    }
    if is_visit:
        granted[Property.MAXIMUM_QOS] = 1
    else:
        granted[Property.TOPIC_ALIAS_MAXIMUM] = limits.topic_aliases
    if connect.properties.get(Property.SESSION_EXPIRY_INTERVAL):
        granted[Property.SESSION_EXPIRY_INTERVAL] = 0
    if terms.keep_alive_s != connect.keep_alive_s:
        granted[Property.SERVER_KEEP_ALIVE] = terms.keep_alive_s
    if not connect.client_id:
        granted[Property.ASSIGNED_CLIENT_IDENTIFIER] = terms.client_id
    if terms.max_packet_bytes >= _LONGEST_BYTES:  # what a client has no room for must be left out (3.2.2.3.10)
        granted[Property.USER_PROPERTY] = ((TIME_PROPERTY, str(clock.now_ms())),)
    return granted
