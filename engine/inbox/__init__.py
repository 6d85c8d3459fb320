"""The inbox: what could not be accepted, by its faults, and what people do about it."""
