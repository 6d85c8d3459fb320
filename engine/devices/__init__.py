"""Devices: the registry, their profiles, credentials and presence."""
