"""Connecting to addresses that a tenant typed: checked, bounded, and nowhere but to the public internet."""
