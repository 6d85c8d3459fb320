"""What edges tell of their points, as the journal has it; the drain makes sense of it."""

SAID = "points.said"
"""What an edge says of its point table, on `up/points`."""
FAILED = "point-failed"
"""The type of the event by which an edge says why a metric is bad, `{"metric", "error"}`."""
