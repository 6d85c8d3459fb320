"""The audit log: who did what to what, append-only, sealed row by row and provable."""
