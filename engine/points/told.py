"""What ingest tells the journal of point tables; the drain makes sense of it."""

SAID = "points.said"
"""What an edge says of its point table, on `up/points`."""
