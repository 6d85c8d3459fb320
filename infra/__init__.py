"""Running Tidegate."""
