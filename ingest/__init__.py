"""Connectivity, both ways: from devices to storage and back."""
