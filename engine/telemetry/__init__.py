"""Telemetry: what devices have measured, and what became of what they sent."""
