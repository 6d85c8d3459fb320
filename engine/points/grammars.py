"""The grammar of each protocol, as the platform knows it: all but what only the protocol's own library can tell."""

from collections.abc import Mapping

from engine.points import bacnet, modbus, opcua
from engine.points.table import Grammar

_GRAMMARS: Mapping[str, Grammar] = {"modbus-tcp": modbus, "modbus-rtu": modbus, "opcua": opcua, "bacnet": bacnet}


def get(protocol: str) -> Grammar:
    """The grammar of one of `table.PROTOCOLS`."""
    return _GRAMMARS[protocol]
