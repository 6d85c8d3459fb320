"""Commands: asking a device to do something, and knowing what became of it."""
