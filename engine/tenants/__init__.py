"""Tenants and people: who belongs where and how they come in."""
