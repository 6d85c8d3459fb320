"""Postgres as the platform sees it: roles, transactions as a tenant, and the doors."""
