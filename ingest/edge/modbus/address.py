"""Where a value lies in a Modbus machine, as `engine.points.modbus` reads it from a point table."""

from engine.points.modbus import BITS, TABLES, WRITABLE, Address, Table

__all__ = ["BITS", "TABLES", "WRITABLE", "Address", "Table"]
