"""The bounds that keep one client's misbehaviour its own: sizes, counts and times, all of them settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MqttLimits:
    """What a client may ask of the endpoint. The defaults fit devices of some kilobytes a message on a small server."""

    max_packet_bytes: int = 256 * 1024
    connect_packet_bytes: int = 16 * 1024
    """A CONNECT may have so many bytes; before login nobody may make us keep more."""
    connect_timeout_s: float = 10.0
    """From the first byte of TCP to the end of the login."""
    handshake_bytes: int = 8 * 1024
    """The request that begins a WebSocket."""
    max_unauthenticated: int = 10_000
    """Connections that have not logged in: as many as a whole fleet that comes back at once, of 3-20 kB each."""
    max_visits: int = 500
    """Newcomers that introduce themselves at the same time; the next are told to come again."""
    max_visits_each: int = 100
    """Of these, so many from one address, and so many for one tenant: nobody's newcomers keep the others' out."""
    visit_s: float = 60.0
    """How long a newcomer may stay: it subscribes, introduces itself, and hears the answer."""
    visit_bytes: int = 64 * 1024
    """The longest packet of a newcomer."""
    last_words_s: float = 1.0
    """How long the one that has its answer may stay, to acknowledge it and say goodbye."""
    max_connections: int = 20_000
    silence_s: float = 1.0
    """Who has sent no CONNECT for so long gives way to a newcomer when the house is full."""
    in_flight: int = 100
    """Messages of one connection without a verdict; then it is not read. Announced as Receive Maximum in 5.0."""
    in_flight_bytes: int = 1024 * 1024
    """Their payloads together; one message is always let through."""
    unreleased: int = 1_000
    """QoS 2 messages of one 3.1.1 connection that wait for their PUBREL; in 5.0 `in_flight` bounds them."""
    topic_aliases: int = 16
    """Topics that a 5.0 client may name by a number. Announced as Topic Alias Maximum."""
    topic_alias_chars: int = 4_096
    """Characters of these topics together."""
    max_keep_alive_s: int = 1_200
    """The longest keep-alive; also what 0 ("for ever") becomes."""
    outbound_bytes: int = 256 * 1024
    """What may wait in the socket's write buffer; a reader behind that is closed as slow."""
    slow_reader_s: float = 10.0
    """How long a reader may leave the write buffer above its high mark."""
    outbound_in_flight: int = 16
    """QoS 1 messages to one device without its PUBACK; less if the client's Receive Maximum says so."""
    outbound_queue: int = 64
    """Messages to one device waiting for a place in flight; then `send` says no."""
    max_subscriptions: int = 16
    tick_s: float = 1.0
    """How finely all times here are kept."""
    control_per_s: float = 20.0
    """PINGREQ, SUBSCRIBE, refused messages and the like, sustained; more at once only out of `control_burst`."""
    control_burst: float = 100.0
    quota_pause_s: float = 1.0
    """A 3.1.1 client above its quota is not read for so long, then closed: 3.1.1 has no word for it."""
    close_timeout_s: float = 2.0
    """After our last words: how long the client may take to read them and close its side."""
    drain_s: float = 5.0
    """At shutdown: how long the verdicts of messages already taken are waited for."""
