"""Keeping the promises of the schema online."""
