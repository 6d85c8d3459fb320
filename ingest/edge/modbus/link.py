"""How to reach Modbus machines, as `engine.points.modbus` reads it from a point table."""

from engine.points.modbus import MOST_BITS, MOST_REGISTERS, Link

__all__ = ["MOST_BITS", "MOST_REGISTERS", "Link"]
