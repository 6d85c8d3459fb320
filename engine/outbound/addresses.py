"""Which addresses lie on the public internet, and not in our own network, this machine, or somebody's tunnel."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# IANA's special-purpose registries (RFC 6890 and what came after), by hand: what Python calls global has changed
# between its versions, and calls multicast global too.
_SPECIAL_4 = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
]
# Only 2000::/3 is given out. What carries an IPv4 address inside (6to4, Teredo, NAT64, mapped) leads who knows where.
_GIVEN_6 = ip_network("2000::/3")
_SPECIAL_6 = [
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]


def is_public(address: str) -> bool:
    """Whether ``address`` (an IPv4 or IPv6 address in text) is somebody's on the public internet."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _SPECIAL_4)
    return parsed is not None and parsed in _GIVEN_6 and not any(parsed in network for network in _SPECIAL_6)


def is_loopback(address: str) -> bool:
    """Whether ``address`` is this machine's own, ``127.0.0.0/8`` or ``::1``."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def written(host: str) -> str | None:
    """The address that ``host`` writes out, in the old ways too (127.1, 0x7f000001); None where it is a name."""
    if _parsed(host) is not None:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None
