"""What a point table is written in; the platform reads it by the same words (`engine.points`)."""

from engine.points.document import MAX_BYTES, MAX_NODES, Fields, Misread, Node, Wrong, of, read

__all__ = ["MAX_BYTES", "MAX_NODES", "Fields", "Misread", "Node", "Wrong", "of", "read"]
