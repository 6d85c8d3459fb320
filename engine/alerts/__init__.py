"""Alerts: what rules have found, until it is over."""
