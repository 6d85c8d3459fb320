"""Any packet MQTT can carry, for hypothesis, built from the property table and the packet classes."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from ingest.adapters.mqtt.packets import (
    V5,
    V311,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from ingest.adapters.mqtt.properties import NONE, TABLE, Kind, Property, repeats

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
filters = text.filter(bool)
topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0#+"), min_size=1, max_size=12)
payloads = st.binary(max_size=40)
packet_ids = st.integers(1, 0xFFFF)
codes = st.integers(0, 255)
u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)

VALUES: dict[int, st.SearchStrategy[Any]] = {
    **dict.fromkeys((1, 23, 25, 36, 37, 40, 41, 42), st.integers(0, 1)),
    **dict.fromkeys((2, 17, 24), u32),
    **dict.fromkeys((3, 8, 18, 21, 26, 28, 31), text),
    **dict.fromkeys((9, 22), payloads),
    **dict.fromkeys((19, 34, 35), u16),
    Property.SUBSCRIPTION_IDENTIFIER: st.integers(1, 268_435_455),
    Property.RECEIVE_MAXIMUM: st.integers(1, 0xFFFF),
    Property.MAXIMUM_PACKET_SIZE: st.integers(1, 0xFFFF_FFFF),
    Property.USER_PROPERTY: st.tuples(text, text),
}


def properties(level: int, kind: Kind) -> st.SearchStrategy[Any]:
    """Any properties that this kind of packet may have at this level."""
    if level != V5:
        return st.just(NONE)
    optional = {
        int(identifier): st.lists(VALUES[identifier], min_size=1, max_size=3).map(tuple)
        if repeats(identifier, kind)
        else VALUES[identifier]
        for identifier, (_, kinds) in TABLE.items()
        if kind in kinds
    }
    return st.fixed_dictionaries({}, optional=optional)


def _publish(level: int) -> st.SearchStrategy[Publish]:
    found = properties(level, Kind.PUBLISH)
    qos_0 = st.builds(Publish, topics, payloads, st.just(0), st.booleans(), properties=found)
    qos_1_2 = st.builds(Publish, topics, payloads, st.integers(1, 2), st.booleans(), st.booleans(), packet_ids, found)
    if level != V5:
        return qos_0 | qos_1_2
    alias = st.fixed_dictionaries({int(Property.TOPIC_ALIAS): u16})
    by_alias = st.builds(Publish, st.just(""), payloads, st.just(1), packet_id=packet_ids, properties=alias)
    return qos_0 | qos_1_2 | by_alias


def _connect(level: int) -> st.SearchStrategy[Connect]:
    will = st.builds(Will, topics, payloads, st.integers(0, 2), st.booleans(), properties(level, Kind.WILL))
    login: st.SearchStrategy[tuple[str | None, bytes | None]] = st.tuples(st.none() | text, st.none() | payloads)
    if level == V311:
        login = login.filter(lambda pair: pair[0] is not None or pair[1] is None)
    return st.builds(
        lambda name, *rest: Connect(level, *rest[:3], *name, *rest[3:]),
        login,
        text,
        st.booleans(),
        u16,
        st.none() | will,
        properties(level, Kind.CONNECT),
    )


def _coded(packet: Any, level: int, kind: Kind, *before: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(packet, *before, codes if level == V5 else st.just(0), properties(level, kind))


@cache  # building these is dear; drawing from them is not
def packets(level: int) -> st.SearchStrategy[Packet]:
    """Any packet of either side at this protocol level."""
    options = st.booleans() if level == V5 else st.just(False)
    handling = st.integers(0, 2) if level == V5 else st.just(0)
    wanted = st.builds(Subscription, filters, st.integers(0, 2), options, options, handling)
    several_codes = st.lists(codes, min_size=1, max_size=4).map(tuple)
    every: list[st.SearchStrategy[Any]] = [
        _connect(level),
        st.builds(Connack, st.booleans(), codes, properties(level, Kind.CONNACK)),
        _publish(level),
        _coded(Puback, level, Kind.PUBACK, packet_ids),
        _coded(Pubrec, level, Kind.PUBREC, packet_ids),
        _coded(Pubrel, level, Kind.PUBREL, packet_ids),
        _coded(Pubcomp, level, Kind.PUBCOMP, packet_ids),
        st.builds(
            Subscribe,
            packet_ids,
            st.lists(wanted, min_size=1, max_size=4).map(tuple),
            properties(level, Kind.SUBSCRIBE),
        ),
        st.builds(Suback, packet_ids, several_codes, properties(level, Kind.SUBACK)),
        st.builds(
            Unsubscribe,
            packet_ids,
            st.lists(filters, min_size=1, max_size=4).map(tuple),
            properties(level, Kind.UNSUBSCRIBE),
        ),
        st.builds(
            Unsuback,
            packet_ids,
            several_codes if level == V5 else st.just(()),
            properties(level, Kind.UNSUBACK),
        ),
        st.builds(Pingreq),
        st.builds(Pingresp),
        _coded(Disconnect, level, Kind.DISCONNECT),
    ]
    if level == V5:
        every.append(_coded(Auth, level, Kind.AUTH))
    return st.one_of(every)


levels = st.sampled_from([V311, V5])
packets_with_level = st.one_of([st.tuples(st.just(level), packets(level)) for level in (V311, V5)])
streams_with_level = st.one_of(
    [st.tuples(st.just(level), st.lists(packets(level), max_size=6)) for level in (V311, V5)]
)
